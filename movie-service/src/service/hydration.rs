//! Any film of TMDB by its id, at once: from memory, Redis, Postgres or TMDB, in this order. What we
//! have is served whether or not TMDB is up; what has grown old is served and asked for again.

use std::{sync::Arc, time::Duration};

use chassis::{feed::outbox::Outbox, shutdown::Shutdown};
use chrono::{TimeDelta, Utc};
use moka::future::Cache;
use sqlx::PgPool;
use tokio::{sync::Semaphore, time::Instant};

use super::cache::{CachedMovie, MOVIE_READS_TOTAL, MovieCache};
use crate::{
    client::{
        limits::TokenBucket,
        tmdb::{Tmdb, TmdbError},
    },
    config::Config,
    models::{MovieDetail, MovieId, MovieRef, MovieVersion, NewMovie},
    repository::movies,
};

/// Age of films that were served, in days (histogram).
pub const MOVIE_SERVED_AGE_DAYS: &str = "movie_served_age_days";
/// Films that were served though they are older than they should be (counter).
pub const MOVIE_STALE_SERVED_TOTAL: &str = "movie_stale_served_total";
/// Refreshes in the background, by outcome (counter).
pub const MOVIE_REFRESHES_TOTAL: &str = "movie_refreshes_total";

/// How long a client waits for a film that we do not have; well below the time limit of a request.
const COLD_PATIENCE: Duration = Duration::from_secs(8);
/// How long a refresh in the background may take.
const REFRESH_PATIENCE: Duration = Duration::from_secs(30);
/// Refreshes under way at once; one more waits for the next reader.
const REFRESHES: usize = 16;
/// A film whose refresh failed is left alone for so long.
const REFRESH_PAUSE: Duration = Duration::from_secs(60);
/// Ids that TMDB does not know, remembered at most.
const UNKNOWN_IDS: u64 = 200_000;
/// TMDB counts in 32 bits; it is a few millions as yet.
const LARGEST_ID: i64 = i32::MAX as i64;

/// Why there is no film.
#[derive(Debug, thiserror::Error)]
pub enum HydrationError {
    /// Neither we nor TMDB know it.
    #[error("movie not found")]
    NotFound,
    /// We do not have it, and TMDB cannot be asked now.
    #[error("TMDB cannot be asked")]
    TmdbAway {
        /// When it may be worth trying again.
        retry_after: Duration,
        /// What TMDB said.
        #[source]
        source: Option<TmdbError>,
    },
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A film, and how old what we know of it is.
#[derive(Debug, Clone)]
pub struct Served {
    /// The film.
    pub film: Arc<CachedMovie>,
    /// How long ago TMDB was asked, where that is longer than it should be.
    pub stale_for: Option<TimeDelta>,
}

/// Finds films; cheap to clone.
#[derive(Clone)]
pub struct Hydration(Arc<Inner>);

struct Inner {
    pool: PgPool,
    cache: MovieCache,
    tmdb: Tmdb,
    outbox: Outbox,
    shutdown: Shutdown,
    stale_after: TimeDelta,
    include_adult: bool,
    /// Ids that TMDB does not know.
    unknown: Cache<MovieRef, ()>,
    /// IMDb's ids and whose they are.
    imdb: Cache<String, MovieId>,
    /// Films whose refresh was tried lately.
    refreshed: Cache<MovieId, ()>,
    refreshes: Arc<Semaphore>,
    cold: TokenBucket,
    memory_reads: metrics::Counter,
    served_age_days: metrics::Histogram,
}

impl Hydration {
    /// Finds films in `cache`, `pool` and `tmdb`, and tells `outbox` of what changes by that.
    #[must_use]
    pub fn new(
        pool: PgPool,
        cache: MovieCache,
        tmdb: Tmdb,
        outbox: Outbox,
        shutdown: Shutdown,
        config: &Config,
    ) -> Self {
        let unknown = Cache::builder()
            .max_capacity(UNKNOWN_IDS)
            .time_to_live(Duration::from_secs(config.negative_cache_seconds))
            .build();
        let imdb = Cache::builder().max_capacity(100_000).build();
        let refreshed = Cache::builder()
            .max_capacity(100_000)
            .time_to_live(REFRESH_PAUSE)
            .build();
        Self(Arc::new(Inner {
            pool,
            cache,
            tmdb,
            outbox,
            shutdown,
            stale_after: TimeDelta::days(config.movie_stale_threshold_days),
            include_adult: config.include_adult,
            unknown,
            imdb,
            refreshed,
            refreshes: Arc::new(Semaphore::new(REFRESHES)),
            cold: TokenBucket::new(config.hydration_rate_per_second),
            // Looked up once: every film is counted.
            memory_reads: metrics::counter!(MOVIE_READS_TOTAL, "tier" => "memory"),
            served_age_days: metrics::histogram!(MOVIE_SERVED_AGE_DAYS),
        }))
    }

    /// The film that `reference` names.
    ///
    /// # Errors
    /// As [`HydrationError`] says; shared by all who asked at once.
    pub async fn get(&self, reference: &MovieRef) -> Result<Served, Arc<HydrationError>> {
        let id = match reference {
            MovieRef::Tmdb(id) => *id,
            MovieRef::Imdb(imdb) => {
                let resolve = self.resolve(imdb.clone());
                self.0.imdb.try_get_with(imdb.clone(), resolve).await?
            }
        };
        let cache = &self.0.cache;
        let mut film = match cache.memory().get(&id).await {
            Some(film) => {
                self.0.memory_reads.increment(1);
                film
            }
            None => cache.memory().try_get_with(id, self.load(id)).await?,
        };
        if cache.is_outdated(&film).await {
            // It was read before a change and kept after it.
            cache.memory().invalidate(&id).await;
            film = cache.memory().try_get_with(id, self.load(id)).await?;
        }
        let age = Utc::now() - film.detail.movie.synced_at;
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of a film's age fit f64's 53 bits"
        )]
        self.0
            .served_age_days
            .record(age.num_seconds() as f64 / 86_400.0);
        let stale_for = (age > self.0.stale_after).then_some(age);
        if stale_for.is_some() {
            metrics::counter!(MOVIE_STALE_SERVED_TOTAL).increment(1);
            self.refresh_soon(id).await;
        }
        Ok(Served { film, stale_for })
    }

    async fn load(&self, id: MovieId) -> Result<Arc<CachedMovie>, HydrationError> {
        let count = |tier| metrics::counter!(MOVIE_READS_TOTAL, "tier" => tier).increment(1);
        if let Some(film) = self.0.cache.find_shared(id).await
            && !self.0.cache.has_later(&film).await
        {
            count("redis");
            return Ok(Arc::new(CachedMovie::new(film)));
        }
        let reference = MovieRef::Tmdb(id);
        let film = match movies::find(&self.0.pool, &reference).await? {
            Some(film) => {
                count("postgres");
                film
            }
            None => {
                count("tmdb");
                self.fetch_cold(&reference).await?
            }
        };
        self.0.cache.share(&film).await;
        Ok(Arc::new(CachedMovie::new(film)))
    }

    /// TMDB's id of the film that IMDb calls `imdb`.
    async fn resolve(&self, imdb: String) -> Result<MovieId, HydrationError> {
        let reference = MovieRef::Imdb(imdb);
        let film = match movies::find(&self.0.pool, &reference).await? {
            Some(film) => film,
            None => self.fetch_cold(&reference).await?,
        };
        Ok(film.movie.id)
    }

    /// Fetches a film that we do not have, and stores it.
    async fn fetch_cold(&self, reference: &MovieRef) -> Result<MovieDetail, HydrationError> {
        let too_large = matches!(reference, MovieRef::Tmdb(id) if id.get() > LARGEST_ID);
        if too_large || self.0.unknown.contains_key(reference) || !self.0.tmdb.has_key() {
            return Err(HydrationError::NotFound);
        }
        let deadline = Instant::now() + COLD_PATIENCE;
        let wait = self.0.cold.reserve(COLD_PATIENCE / 4);
        let Some(wait) = wait else {
            return Err(HydrationError::TmdbAway {
                retry_after: COLD_PATIENCE,
                source: None,
            });
        };
        tokio::time::sleep(wait).await;
        let patience = deadline.saturating_duration_since(Instant::now());
        match self.fetch(reference, patience).await {
            Ok(film) => {
                self.store(&film).await?;
                let stored = MovieRef::Tmdb(MovieId::new(film.id).ok_or(HydrationError::NotFound)?);
                movies::find(&self.0.pool, &stored)
                    .await?
                    .ok_or(HydrationError::NotFound)
            }
            Err(TmdbError::NotFound) => {
                self.0.unknown.insert(reference.clone(), ()).await;
                Err(HydrationError::NotFound)
            }
            Err(source) => Err(HydrationError::TmdbAway {
                retry_after: match &source {
                    TmdbError::LeftAlone(time) => *time,
                    _ => Duration::from_secs(5),
                },
                source: Some(source),
            }),
        }
    }

    /// Asks TMDB. A film that is not admitted is as good as none.
    async fn fetch(&self, reference: &MovieRef, patience: Duration) -> Result<NewMovie, TmdbError> {
        let film = self.0.tmdb.movie(reference, patience).await?;
        if film.adult && !self.0.include_adult {
            return Err(TmdbError::NotFound);
        }
        Ok(film)
    }

    async fn store(&self, film: &NewMovie) -> sqlx::Result<()> {
        let changed = movies::upsert(&self.0.pool, std::slice::from_ref(film)).await?;
        self.tell(&changed).await;
        Ok(())
    }

    async fn tell(&self, changed: &[MovieVersion]) {
        if !changed.is_empty() {
            self.0.outbox.notify_readers();
            self.0.cache.learn(changed).await;
        }
    }

    /// Refreshes film `id` beside the requests, unless that is under way or was tried just now.
    async fn refresh_soon(&self, id: MovieId) {
        if !self.0.tmdb.has_key() || self.0.refreshed.contains_key(&id) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.0.refreshes).try_acquire_owned() else {
            return;
        };
        let fresh = self.0.refreshed.entry(id).or_insert(()).await;
        if !fresh.is_fresh() {
            return;
        }
        let this = self.clone();
        self.0.shutdown.spawn(async move {
            let outcome = tokio::select! {
                () = this.0.shutdown.started() => "stopped",
                outcome = this.refresh(id) => outcome,
            };
            metrics::counter!(MOVIE_REFRESHES_TOTAL, "outcome" => outcome).increment(1);
            drop(permit);
        });
    }

    async fn refresh(&self, id: MovieId) -> &'static str {
        let result = match self.fetch(&MovieRef::Tmdb(id), REFRESH_PATIENCE).await {
            Ok(film) => self.store(&film).await.map(|()| "refreshed"),
            Err(TmdbError::NotFound) => match movies::remove(&self.0.pool, &[id]).await {
                Ok(gone) => {
                    self.tell(&gone).await;
                    Ok("removed")
                }
                Err(error) => Err(error),
            },
            Err(error) => {
                tracing::debug!(%id, %error, "cannot refresh a film, what we have stays");
                Ok("tmdb_away")
            }
        };
        match result {
            Ok("refreshed") => {
                // A film that did not change has a new `synced_at`, of which the feed says nothing. Where
                // TMDB is away the copy stays, so that nobody has to wait for Postgres.
                self.0.cache.memory().invalidate(&id).await;
                if let Ok(Some(film)) = movies::find(&self.0.pool, &MovieRef::Tmdb(id)).await {
                    self.0.cache.share(&film).await;
                    let film = Arc::new(CachedMovie::new(film));
                    self.0.cache.memory().insert(id, film).await;
                }
                "refreshed"
            }
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::warn!(%id, %error, "cannot store a refreshed film");
                "database_away"
            }
        }
    }
}
