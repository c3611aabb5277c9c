//! The work of jobs: pages are read and expanded into movies, movies are fetched and stored, each in the transaction
//! that marks its item as done. [`super::jobs`] decides which process works on a job and for how long.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chassis::jobs::{LeasedJob, Stop};
use futures_util::{StreamExt, stream};
use sqlx::PgPool;
use tokio::{sync::Semaphore, time::Instant};

use super::cache::MovieCache;
use crate::{
    client::tmdb::{Tmdb, TmdbError},
    models::{Item, JobFailure, JobKind, MovieId, MovieList, MovieRef, NewMovie, Parameters},
    repository::{
        job_items::{self, Done},
        movies,
    },
};

/// Finished items of jobs, by kind and outcome (counter).
pub const JOB_ITEMS_TOTAL: &str = "job_items_total";
/// Progress of the job that moved last, by kind (gauge, 0 to 1).
pub const JOB_PROGRESS_RATIO: &str = "job_progress_ratio";
/// Waits of jobs for TMDB's circuit breaker, by kind (counter).
pub const JOB_WAITS_TOTAL: &str = "job_waits_total";

/// The time limit of one request to TMDB, with all retries.
const TMDB_TIMEOUT: Duration = Duration::from_secs(30);
/// Concurrent fetches of movies, over all jobs of a process. More would delay reads of single movies.
const MAX_CONCURRENT_FETCHES: usize = 16;
/// Items per lookup.
const WINDOW: i64 = 400;
/// Movies per transaction.
const MAX_BATCH: usize = 50;
/// A fetched movie waits no longer for others to be stored with.
const MAX_BATCH_AGE: Duration = Duration::from_millis(500);
/// The maximum polling interval while the circuit breaker is open.
const MAX_BREAKER_PAUSE: Duration = Duration::from_secs(2);

/// The work of jobs.
pub struct Fetching {
    pool: PgPool,
    tmdb: Tmdb,
    cache: MovieCache,
    max_outage: Duration,
    include_adult: bool,
    slots: Semaphore,
}

/// One worker's work on one job.
struct Work<'a> {
    fetching: &'a Fetching,
    job: &'a LeasedJob,
    kind: JobKind,
    parameters: Parameters,
    /// The start of TMDB's present outage, as this job saw it.
    down_since: Mutex<Option<Instant>>,
}

impl Fetching {
    /// Fetches from `tmdb` into `pool` and publishes changes to `cache`. A job waits at most `max_outage` while TMDB is
    /// down.
    pub fn new(
        pool: PgPool,
        tmdb: Tmdb,
        cache: MovieCache,
        max_outage: Duration,
        include_adult: bool,
    ) -> Self {
        Self {
            pool,
            tmdb,
            cache,
            max_outage,
            include_adult,
            slots: Semaphore::new(MAX_CONCURRENT_FETCHES),
        }
    }

    /// Does the remaining work of a leased job.
    pub(super) async fn fetch(&self, job: &LeasedJob) -> Result<(), Stop> {
        let (kind, parameters) = job_items::load(&self.pool, job.id).await?;
        let work = Work {
            fetching: self,
            job,
            kind,
            parameters,
            down_since: Mutex::new(None),
        };
        work.run().await
    }
}

impl Work<'_> {
    async fn run(&self) -> Result<(), Stop> {
        self.refresh_genres().await?;
        loop {
            let items = job_items::list_todo(&self.fetching.pool, self.job.id, WINDOW).await?;
            match items.first() {
                None => break,
                Some((position, Item::Page(list, page))) => {
                    self.read_page(*position, *list, *page).await?;
                }
                Some((_, Item::Movie(_))) => {
                    let films = items.into_iter().map_while(|(position, item)| match item {
                        Item::Movie(id) => Some((position, id)),
                        Item::Page(..) => None,
                    });
                    self.fetch_films(films).await?;
                }
            }
        }
        let (succeeded, failed_pages) = job_items::tally(&self.fetching.pool, self.job.id).await?;
        if succeeded == 0 && failed_pages > 0 {
            return Err(Stop::GaveUp("no page could be read from TMDB".to_owned()));
        }
        Ok(())
    }

    /// Updates the names of genres, which movies only refer to.
    async fn refresh_genres(&self) -> Result<(), Stop> {
        let pool = &self.fetching.pool;
        let languages = self.fetching.tmdb.languages();
        let languages: Vec<String> = languages.map(|other| other.primary().to_owned()).collect();
        // A few movies do not justify another request.
        if matches!(self.kind, JobKind::Import | JobKind::Refresh)
            && movies::has_genres(pool, &languages).await?
        {
            return Ok(());
        }
        match self
            .call(|| self.fetching.tmdb.genres(TMDB_TIMEOUT))
            .await?
        {
            Ok(genres) => {
                let changed = movies::upsert_genres(pool, &genres, true).await?;
                self.fetching.cache.publish(&changed).await;
                Ok(())
            }
            Err(error) => Err(Stop::GaveUp(error.to_string())),
        }
    }

    /// Calls TMDB. Waits while the circuit breaker is open, unless a client waits for the job.
    async fn call<T, F>(&self, request: impl Fn() -> F) -> Result<Result<T, TmdbError>, Stop>
    where
        F: Future<Output = Result<T, TmdbError>>,
    {
        loop {
            let error = match request().await {
                Ok(response) => {
                    *self.down_since() = None;
                    return Ok(Ok(response));
                }
                Err(error) => error,
            };
            match error {
                TmdbError::BreakerOpen(time) if !self.parameters.impatient => {
                    let since = *self.down_since().get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.fetching.max_outage {
                        return Err(Stop::GaveUp(
                            "TMDB has been down for too long; retry the rest later".to_owned(),
                        ));
                    }
                    metrics::counter!(JOB_WAITS_TOTAL, "kind" => self.kind.name()).increment(1);
                    tokio::time::sleep(time.clamp(Duration::from_millis(50), MAX_BREAKER_PAUSE))
                        .await;
                }
                // Every other request would fail as well.
                TmdbError::Unauthorized => return Err(Stop::GaveUp(error.to_string())),
                error => return Ok(Err(error)),
            }
        }
    }

    fn down_since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.down_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_page(&self, position: i64, list: MovieList, page: u32) -> Result<(), Stop> {
        let response = self
            .call(|| self.fetching.tmdb.list(list, page, TMDB_TIMEOUT))
            .await?;
        let mut transaction = self.fetching.pool.begin().await?;
        self.job.checkpoint(&mut transaction).await?;
        match response {
            Ok(listed) => {
                let is_last = i64::from(page) >= listed.total_pages;
                let ids: Vec<i64> = listed
                    .results
                    .into_iter()
                    .filter(|film| self.fetching.include_adult || !film.adult)
                    .filter_map(|film| MovieId::new(film.id))
                    .map(MovieId::get)
                    .collect();
                job_items::expand_page(
                    &mut transaction,
                    self.job.id,
                    position,
                    &ids,
                    is_last,
                    self.parameters.most_films,
                )
                .await?;
            }
            Err(error) => {
                let done = Done {
                    position,
                    failure: Some(self.failure(Item::Page(list, page), &error.to_string())),
                };
                job_items::record(&mut transaction, self.job.id, &[done]).await?;
            }
        }
        job_items::recount(&mut transaction, self.job.id).await?;
        transaction.commit().await?;
        self.job.notify();
        Ok(())
    }

    async fn fetch_films(&self, films: impl Iterator<Item = (i64, MovieId)>) -> Result<(), Stop> {
        let fetched = stream::iter(films).map(|(position, id)| self.fetch_film(position, id));
        let mut fetched = std::pin::pin!(fetched.buffer_unordered(MAX_CONCURRENT_FETCHES));
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut store_at = Instant::now();
        loop {
            let next = tokio::select! {
                next = fetched.next() => next,
                () = tokio::time::sleep_until(store_at), if !batch.is_empty() => {
                    self.store(&mut batch).await?;
                    continue;
                }
            };
            let Some(film) = next else {
                return self.store(&mut batch).await;
            };
            if batch.is_empty() {
                store_at = Instant::now() + MAX_BATCH_AGE;
            }
            batch.push(film?);
            if batch.len() >= MAX_BATCH {
                self.store(&mut batch).await?;
            }
        }
    }

    async fn fetch_film(&self, position: i64, id: MovieId) -> Result<Fetched, Stop> {
        let reference = MovieRef::Tmdb(id);
        let request = || async {
            let _slot = self.fetching.slots.acquire().await;
            self.fetching.tmdb.movie(&reference, TMDB_TIMEOUT).await
        };
        let result = match self.call(request).await? {
            Ok(film) if film.adult && !self.fetching.include_adult => Err(Missing {
                reason: "adult content, which INCLUDE_ADULT excludes".to_owned(),
                is_gone: true,
            }),
            Ok(film) => Ok(film),
            Err(error) => Err(Missing {
                reason: error.to_string(),
                is_gone: matches!(error, TmdbError::NotFound),
            }),
        };
        Ok(Fetched {
            position,
            id,
            result,
        })
    }

    /// Stores a batch; if Postgres rejects one of its movies, each on its own.
    async fn store(&self, batch: &mut Vec<Fetched>) -> Result<(), Stop> {
        let batch = std::mem::take(batch);
        match self.store_together(&batch).await {
            Err(Stop::Database(error)) if is_rejected(&error) => {}
            other => return other,
        }
        for mut fetched in batch {
            match self.store_together(std::slice::from_ref(&fetched)).await {
                Err(Stop::Database(error)) if is_rejected(&error) => {
                    tracing::warn!(id = %fetched.id, %error, "cannot store a movie");
                    fetched.result = Err(Missing {
                        reason: "it cannot be stored".to_owned(),
                        is_gone: false,
                    });
                    self.store_together(&[fetched]).await?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn store_together(&self, batch: &[Fetched]) -> Result<(), Stop> {
        if batch.is_empty() {
            return Ok(());
        }
        let films: Vec<NewMovie> = batch
            .iter()
            .filter_map(|fetched| fetched.result.as_ref().ok().cloned())
            .collect();
        let missing = batch.iter().filter_map(|fetched| {
            let missing = fetched.result.as_ref().err()?;
            Some((fetched.id, missing))
        });
        let gone: Vec<MovieId> = missing
            .filter_map(|(id, missing)| missing.is_gone.then_some(id))
            .collect();
        let done: Vec<Done> = batch
            .iter()
            .map(|fetched| Done {
                position: fetched.position,
                failure: self.failure_of(fetched),
            })
            .collect();
        let mut transaction = self.fetching.pool.begin().await?;
        self.job.checkpoint(&mut transaction).await?;
        let mut changed = movies::upsert(&mut transaction, &films).await?;
        changed.extend(movies::remove(&mut transaction, &gone).await?);
        let progress = job_items::record(&mut transaction, self.job.id, &done).await?;
        transaction.commit().await?;
        self.fetching.cache.publish(&changed).await;
        let kind = self.kind.name();
        let failed = done.iter().filter(|item| item.failure.is_some()).count();
        for (outcome, count) in [("succeeded", done.len() - failed), ("failed", failed)] {
            metrics::counter!(JOB_ITEMS_TOTAL, "kind" => kind, "outcome" => outcome)
                .increment(count as u64);
        }
        metrics::gauge!(JOB_PROGRESS_RATIO, "kind" => kind)
            .set(f64::from(progress.processed) / f64::from(progress.total.max(1)));
        self.job.notify();
        Ok(())
    }

    /// The failure to record; a refresh that removes a movie succeeded.
    fn failure_of(&self, fetched: &Fetched) -> Option<JobFailure> {
        let missing = fetched.result.as_ref().err()?;
        let is_failure = !(missing.is_gone && self.kind == JobKind::Refresh);
        is_failure.then(|| self.failure(Item::Movie(fetched.id), &missing.reason))
    }

    fn failure(&self, item: Item, reason: &str) -> JobFailure {
        JobFailure {
            item: item.to_string(),
            reason: reason.to_owned(),
        }
    }
}

/// The result of fetching a movie.
struct Fetched {
    position: i64,
    id: MovieId,
    result: Result<NewMovie, Missing>,
}

/// The reason for a missing movie.
struct Missing {
    reason: String,
    /// True if the catalogue must not have the movie either.
    is_gone: bool,
}

/// True if Postgres rejects the values, rather than being unreachable or out of resources.
fn is_rejected(error: &sqlx::Error) -> bool {
    // SQLSTATE classes: data exception, constraint violation, program limit exceeded.
    error
        .as_database_error()
        .and_then(|database| database.code())
        .is_some_and(|code| {
            ["22", "23", "54"]
                .iter()
                .any(|class| code.starts_with(class))
        })
}
