//! Movies by id from memory, Redis, Postgres or TMDB, in this order. Handlers and [`super::matching`] call it. A
//! stored movie is served whether or not TMDB is up; a stale one is served and refreshed in the background.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{clock::Clock, language::Language, shutdown::Shutdown};
use chrono::TimeDelta;
use moka::future::Cache;
use sqlx::PgPool;
use tokio::{
    sync::{OnceCell, Semaphore},
    time::Instant,
};

use super::{
    cache::{self, CachedMovie, MOVIE_READS_TOTAL, MovieCache},
    translation::translate,
};
use crate::{
    client::{
        limits::TokenBucket,
        tmdb::{Tmdb, TmdbError},
    },
    config::Config,
    models::{CacheState, Genre, Includes, Movie, MovieId, MovieRef, NewMovie},
    repository::movies,
};

/// The age of served movies, in days (histogram).
pub const MOVIE_SERVED_AGE_DAYS: &str = "movie_served_age_days";
/// Stale movies that were served (counter).
pub const MOVIE_STALE_SERVED_TOTAL: &str = "movie_stale_served_total";
/// Background refreshes by outcome (counter).
pub const MOVIE_REFRESHES_TOTAL: &str = "movie_refreshes_total";

/// The time limit of a read that goes to TMDB, well below the time limit of a request.
const COLD_READ_TIMEOUT: Duration = Duration::from_secs(8);
/// The maximum wait of a read for a TMDB token; a longer one is refused immediately.
const MAX_COLD_READ_DELAY: Duration = Duration::from_secs(2);
/// The time limit of the first read of a database for the genres.
const GENRES_TIMEOUT: Duration = Duration::from_secs(2);
/// The time limit of a background refresh.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(30);
/// Above this a stale movie stays stale until its next read.
const MAX_CONCURRENT_REFRESHES: usize = 16;
/// The shortest time between two refreshes of a movie.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);
/// Entries of the negative cache.
const MAX_UNKNOWN_IDS: u64 = 200_000;
/// TMDB's ids are 32-bit.
const MAX_TMDB_ID: i64 = i32::MAX as i64;

/// A failed read of a movie.
#[derive(Debug, thiserror::Error)]
pub enum HydrationError {
    /// Neither the catalogue nor TMDB has the movie.
    #[error("movie not found")]
    NotFound,
    /// The catalogue does not have the movie, and TMDB is unavailable.
    #[error("TMDB is unavailable")]
    TmdbUnavailable {
        /// The time until a retry may succeed.
        retry_after: Duration,
        /// The failure, unless the request was refused before it reached TMDB.
        #[source]
        source: Option<TmdbError>,
    },
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A movie with its staleness.
#[derive(Debug, Clone)]
pub struct Served {
    /// The movie.
    pub film: Arc<CachedMovie>,
    /// The time since the last sync, if the movie is stale.
    pub stale_for: Option<TimeDelta>,
}

/// The read path of single movies; cheap to clone.
#[derive(Clone)]
pub struct Hydration(Arc<Inner>);

struct Inner {
    pool: PgPool,
    cache: MovieCache,
    tmdb: Tmdb,
    clock: Clock,
    shutdown: Shutdown,
    stale_after: TimeDelta,
    include_adult: bool,
    /// Movies in other languages, each valid for one version of the movie.
    translated: Cache<(MovieId, Language), Arc<CachedMovie>>,
    /// The negative cache: ids that TMDB does not have.
    unknown: Cache<MovieRef, ()>,
    imdb_ids: Cache<String, MovieId>,
    /// Movies with a recent refresh.
    refreshed: Cache<MovieId, ()>,
    refreshes: Arc<Semaphore>,
    cold_reads: TokenBucket,
    /// Set once all genres are stored.
    has_genres: OnceCell<()>,
    reads: AtomicU64,
    loads: AtomicU64,
    memory_reads: metrics::Counter,
    served_age_days: metrics::Histogram,
}

impl Hydration {
    /// Reads from `cache`, `pool` and `tmdb`.
    pub fn new(
        pool: PgPool,
        cache: MovieCache,
        tmdb: Tmdb,
        clock: Clock,
        shutdown: Shutdown,
        config: &Config,
    ) -> Self {
        let unknown = Cache::builder()
            .max_capacity(MAX_UNKNOWN_IDS)
            .time_to_live(Duration::from_secs(config.negative_cache_seconds))
            .build();
        let refreshed = Cache::builder()
            .max_capacity(100_000)
            .time_to_live(REFRESH_INTERVAL)
            .build();
        Self(Arc::new(Inner {
            pool,
            cache,
            tmdb,
            clock,
            shutdown,
            stale_after: TimeDelta::days(config.movie_stale_threshold_days),
            include_adult: config.include_adult,
            translated: cache::translated(config.movie_cache_bytes / 4),
            unknown,
            imdb_ids: Cache::new(100_000),
            refreshed,
            refreshes: Arc::new(Semaphore::new(MAX_CONCURRENT_REFRESHES)),
            cold_reads: TokenBucket::new(config.hydration_rate_per_second),
            has_genres: OnceCell::new(),
            reads: AtomicU64::default(),
            loads: AtomicU64::default(),
            // Registered once, since every read counts.
            memory_reads: metrics::counter!(MOVIE_READS_TOTAL, "tier" => "memory"),
            served_age_days: metrics::histogram!(MOVIE_SERVED_AGE_DAYS),
        }))
    }

    /// Returns the movie that `reference` names. Concurrent reads of one movie share one load and its error.
    ///
    /// # Errors
    /// `NotFound` if neither the catalogue nor TMDB has it, `TmdbUnavailable` if only TMDB could have it and cannot
    /// be reached, `Database` if Postgres fails.
    pub async fn get(&self, reference: &MovieRef) -> Result<Served, Arc<HydrationError>> {
        let id = match reference {
            MovieRef::Tmdb(id) => *id,
            MovieRef::Imdb(imdb) => {
                let resolve = self.resolve(reference, imdb);
                self.0.imdb_ids.try_get_with_by_ref(imdb, resolve).await?
            }
        };
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        let cache = &self.0.cache;
        let mut film = match cache.memory().get(&id).await {
            Some(film) => {
                self.0.memory_reads.increment(1);
                film
            }
            None => {
                self.0.loads.fetch_add(1, Ordering::Relaxed);
                cache.memory().try_get_with(id, self.load(id)).await?
            }
        };
        if cache.is_outdated(&film).await {
            // Loaded before a change, inserted after it.
            cache.memory().invalidate(&id).await;
            film = cache.memory().try_get_with(id, self.load(id)).await?;
        }
        let age = self.0.clock.now() - film.movie.synced_at;
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds of a movie's age fit f64's 53 bits"
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

    /// The cache in memory.
    #[must_use]
    pub fn cache_state(&self) -> CacheState {
        let memory = self.0.cache.memory();
        let reads = self.0.reads.load(Ordering::Relaxed);
        CacheState {
            entries: memory.entry_count(),
            bytes: memory.weighted_size(),
            max_bytes: memory.policy().max_capacity().unwrap_or_default(),
            reads,
            hits: reads.saturating_sub(self.0.loads.load(Ordering::Relaxed)),
        }
    }

    /// Returns the movie that `reference` names, with its texts in `language` where they are known, as [`Self::get`].
    /// If Postgres fails, a cached movie is served in the catalogue's language.
    pub async fn get_in(
        &self,
        reference: &MovieRef,
        language: Language,
    ) -> Result<Served, Arc<HydrationError>> {
        let served = self.get(reference).await?;
        let film = match self.translate(&served.film, language).await {
            Ok(film) => film,
            Err(error) => {
                tracing::debug!(%error, "cannot read translations, responding without");
                return Ok(served);
            }
        };
        Ok(Served { film, ..served })
    }

    async fn translate(
        &self,
        film: &Arc<CachedMovie>,
        language: Language,
    ) -> sqlx::Result<Arc<CachedMovie>> {
        let key = (film.movie.id, language);
        let cached = self.0.translated.get(&key).await;
        if let Some(cached) = cached.filter(|cached| cached.is_copy_of(&film.movie)) {
            return Ok(cached);
        }
        let mut movie = film.movie.clone();
        let includes = Includes {
            overview: true,
            genres: true,
            ..Includes::default()
        };
        let movies = std::slice::from_mut(&mut movie);
        let translated = match translate(&self.0.pool, movies, language, includes).await? {
            true => Arc::new(CachedMovie::translated(movie, language)),
            false => Arc::clone(film),
        };
        self.0.translated.insert(key, Arc::clone(&translated)).await;
        Ok(translated)
    }

    #[tracing::instrument(name = "service.hydration.load", level = "debug", skip_all, fields(%id))]
    async fn load(&self, id: MovieId) -> Result<Arc<CachedMovie>, HydrationError> {
        let count = |tier| metrics::counter!(MOVIE_READS_TOTAL, "tier" => tier).increment(1);
        if let Some(movie) = self.0.cache.find_shared(id).await
            && !self.0.cache.has_later(&movie).await
        {
            count("redis");
            return Ok(Arc::new(CachedMovie::new(movie)));
        }
        let movie = match movies::find(&self.0.pool, id).await? {
            Some(movie) => {
                count("postgres");
                movie
            }
            None => {
                count("tmdb");
                self.fetch_cold(&MovieRef::Tmdb(id)).await?
            }
        };
        self.0.cache.share(&movie).await;
        Ok(Arc::new(CachedMovie::new(movie)))
    }

    async fn resolve(&self, reference: &MovieRef, imdb: &str) -> Result<MovieId, HydrationError> {
        match movies::find_imdb_id(&self.0.pool, imdb).await? {
            Some(id) => Ok(id),
            None => Ok(self.fetch_cold(reference).await?.id),
        }
    }

    /// Fetches and stores a movie that the catalogue does not have.
    #[tracing::instrument(name = "service.hydration.fetch_cold", level = "debug", skip(self))]
    async fn fetch_cold(&self, reference: &MovieRef) -> Result<Movie, HydrationError> {
        let too_large = matches!(reference, MovieRef::Tmdb(id) if id.get() > MAX_TMDB_ID);
        if too_large || self.0.unknown.contains_key(reference) || !self.0.tmdb.has_key() {
            return Err(HydrationError::NotFound);
        }
        let deadline = Instant::now() + COLD_READ_TIMEOUT;
        let delay = self.0.cold_reads.reserve(MAX_COLD_READ_DELAY);
        tokio::time::sleep(delay.ok_or(HydrationError::TmdbUnavailable {
            retry_after: COLD_READ_TIMEOUT,
            source: None,
        })?)
        .await;
        let timeout = deadline.saturating_duration_since(Instant::now());
        match self.fetch(reference, timeout).await {
            Ok(movie) => {
                self.fetch_missing_genres().await;
                self.store(&movie).await?;
                let id = MovieId::new(movie.id).ok_or(HydrationError::NotFound)?;
                let stored = movies::find(&self.0.pool, id).await?;
                stored.ok_or(HydrationError::NotFound)
            }
            Err(TmdbError::NotFound) => {
                self.0.unknown.insert(reference.clone(), ()).await;
                Err(HydrationError::NotFound)
            }
            Err(source) => Err(HydrationError::TmdbUnavailable {
                retry_after: match &source {
                    TmdbError::BreakerOpen(time) => *time,
                    _ => Duration::from_secs(5),
                },
                source: Some(source),
            }),
        }
    }

    /// Stores all genres, once, if some names of them are missing: the first movie of a database comes before any job. If
    /// TMDB does not respond, those of the movie are stored with it.
    async fn fetch_missing_genres(&self) {
        let languages = self.0.tmdb.languages();
        let languages: Vec<String> = languages.map(|other| other.primary().to_owned()).collect();
        let fetch = || async move {
            if !movies::has_genres(&self.0.pool, &languages).await? {
                let genres = self.0.tmdb.genres(GENRES_TIMEOUT).await?;
                self.store_genres(&genres).await?;
            }
            anyhow::Ok(())
        };
        let fetched = self.0.has_genres.get_or_try_init(fetch);
        match tokio::time::timeout(GENRES_TIMEOUT, fetched).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cannot fetch the genres"),
            Err(_) => tracing::debug!("cannot fetch the genres in time"),
        }
    }

    /// Stores the names of genres that are not stored yet, since movies only refer to them.
    async fn store_genres(&self, genres: &[Genre]) -> sqlx::Result<()> {
        if genres.is_empty() {
            return Ok(());
        }
        let changed = movies::upsert_genres(&self.0.pool, genres, false).await?;
        self.0.cache.publish(&changed).await;
        Ok(())
    }

    /// Fetches a movie; one that INCLUDE_ADULT excludes counts as not found.
    async fn fetch(&self, reference: &MovieRef, timeout: Duration) -> Result<NewMovie, TmdbError> {
        let movie = self.0.tmdb.movie(reference, timeout).await?;
        if movie.adult && !self.0.include_adult {
            return Err(TmdbError::NotFound);
        }
        Ok(movie)
    }

    async fn store(&self, movie: &NewMovie) -> sqlx::Result<()> {
        self.store_genres(&movie.genres).await?;
        let mut transaction = self.0.pool.begin().await?;
        let changed = movies::upsert(&mut transaction, std::slice::from_ref(movie)).await?;
        transaction.commit().await?;
        self.0.cache.publish(&changed).await;
        Ok(())
    }

    async fn remove(&self, id: MovieId) -> sqlx::Result<()> {
        let mut transaction = self.0.pool.begin().await?;
        let removed = movies::remove(&mut transaction, &[id]).await?;
        transaction.commit().await?;
        self.0.cache.publish(&removed).await;
        Ok(())
    }

    /// Starts a background refresh, unless one is running or was tried recently.
    async fn refresh_soon(&self, id: MovieId) {
        if !self.0.tmdb.has_key() || self.0.refreshed.contains_key(&id) {
            return;
        }
        let Ok(permit) = Arc::clone(&self.0.refreshes).try_acquire_owned() else {
            return;
        };
        let entry = self.0.refreshed.entry(id).or_insert(()).await;
        if !entry.is_fresh() {
            return;
        }
        let this = self.clone();
        self.0.shutdown.spawn(async move {
            let outcome = tokio::select! {
                () = this.0.shutdown.started() => "stopped",
                outcome = this.refresh(id) => outcome.unwrap_or_else(|error| {
                    tracing::warn!(%id, %error, "cannot store a refreshed movie");
                    "database_away"
                }),
            };
            metrics::counter!(MOVIE_REFRESHES_TOTAL, "outcome" => outcome).increment(1);
            drop(permit);
        });
    }

    /// Refreshes a movie and returns the outcome, a label of [`MOVIE_REFRESHES_TOTAL`].
    #[tracing::instrument(name = "service.hydration.refresh", level = "debug", skip_all, fields(%id))]
    async fn refresh(&self, id: MovieId) -> sqlx::Result<&'static str> {
        match self.fetch(&MovieRef::Tmdb(id), REFRESH_TIMEOUT).await {
            Ok(movie) => self.store(&movie).await?,
            Err(TmdbError::NotFound) => {
                self.remove(id).await?;
                return Ok("removed");
            }
            Err(error) => {
                tracing::debug!(%id, %error, "cannot refresh a movie, the stored copy stays");
                return Ok("tmdb_away");
            }
        }
        // An unchanged movie has a new `synced_at`, which the feed does not carry.
        self.0.cache.memory().invalidate(&id).await;
        if let Ok(Some(movie)) = movies::find(&self.0.pool, id).await {
            self.0.cache.share(&movie).await;
            let film = Arc::new(CachedMovie::new(movie));
            self.0.cache.memory().insert(id, film).await;
        }
        Ok("refreshed")
    }
}
