//! What a job's work is: pages are read and become films, films are fetched and stored, each film in
//! the transaction that marks it as done. Who does it, and until when, is [`super::jobs`]'s.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chassis::{
    feed::outbox::Outbox,
    jobs::{LeasedJob, Stop},
};
use futures_util::{StreamExt, stream};
use sqlx::PgPool;
use tokio::{sync::Semaphore, time::Instant};

use super::cache::MovieCache;
use crate::{
    client::tmdb::{Tmdb, TmdbError},
    models::{
        Item, JobFailure, JobKind, MovieId, MovieList, MovieRef, MovieVersion, NewMovie, Parameters,
    },
    repository::{
        job_items::{self, Done},
        movies,
    },
};

/// Items of jobs that are done, by kind and outcome (counter).
pub const JOB_ITEMS_TOTAL: &str = "job_items_total";
/// How much of the job that moved last is done, by kind (gauge, 0 to 1).
pub const JOB_PROGRESS_RATIO: &str = "job_progress_ratio";
/// Time spent waiting for a TMDB that is down (counter, seconds).
pub const JOB_WAITS_TOTAL: &str = "job_waits_total";

/// How long one question to TMDB may take, with all tries.
const PATIENCE: Duration = Duration::from_secs(30);
/// Questions about films on their way at once, of all jobs of a process; the client has its own,
/// tighter bound. More would make those wait who ask for one film.
const AT_ONCE: usize = 16;
/// Items that are looked up at once.
const WINDOW: i64 = 400;
/// Films that are stored at once.
const BATCH: usize = 50;
/// A film that was fetched waits no longer for others to be stored with.
const BATCH_AGE: Duration = Duration::from_millis(500);
/// While TMDB is left alone, it is asked whether it may be asked again this often.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Does the work of jobs; cheap to clone.
#[derive(Clone)]
pub struct Fetching(Arc<Inner>);

struct Inner {
    pool: PgPool,
    tmdb: Tmdb,
    outbox: Outbox,
    cache: MovieCache,
    patience: Duration,
    include_adult: bool,
    slots: Semaphore,
}

/// One worker's work on one job.
struct Work<'a> {
    inner: &'a Inner,
    job: &'a LeasedJob,
    kind: JobKind,
    parameters: Parameters,
    /// Since when TMDB has been down, as far as this job has seen.
    down_since: Mutex<Option<Instant>>,
}

impl Fetching {
    /// Fetches from `tmdb` into `pool` and tells `outbox` and `cache`; waits at most `patience` for a
    /// TMDB that is down.
    #[must_use]
    pub fn new(
        pool: PgPool,
        tmdb: Tmdb,
        outbox: Outbox,
        cache: MovieCache,
        patience: Duration,
        include_adult: bool,
    ) -> Self {
        Self(Arc::new(Inner {
            pool,
            tmdb,
            outbox,
            cache,
            patience,
            include_adult,
            slots: Semaphore::new(AT_ONCE),
        }))
    }

    /// Does the remaining work of a leased job.
    pub(super) async fn fetch(&self, job: &LeasedJob) -> Result<(), Stop> {
        let (kind, parameters) = job_items::load(&self.0.pool, job.id).await?;
        let work = Work {
            inner: &self.0,
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
            let items = job_items::list_todo(&self.inner.pool, self.job.id, WINDOW).await?;
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
        let (succeeded, failed_pages) = job_items::tally(&self.inner.pool, self.job.id).await?;
        if succeeded == 0 && failed_pages > 0 {
            return Err(Stop::GaveUp("TMDB gave none of the pages".to_owned()));
        }
        Ok(())
    }

    /// Films without the names of their genres are of little use.
    async fn refresh_genres(&self) -> Result<(), Stop> {
        let pool = &self.inner.pool;
        // A few films need not bring the genres along again.
        if matches!(self.kind, JobKind::Import | JobKind::Refresh)
            && movies::has_genres(pool).await?
        {
            return Ok(());
        }
        match self.ask(|| self.inner.tmdb.genres(PATIENCE)).await? {
            Ok(genres) => {
                let changed = movies::upsert_genres(pool, &genres).await?;
                self.tell(&changed).await;
                Ok(())
            }
            Err(error) => Err(Stop::GaveUp(error.to_string())),
        }
    }

    /// Asks TMDB. While it is left alone since it is down, waits, unless somebody waits for the answer.
    async fn ask<T, F>(&self, question: impl Fn() -> F) -> Result<Result<T, TmdbError>, Stop>
    where
        F: Future<Output = Result<T, TmdbError>>,
    {
        loop {
            let error = match question().await {
                Ok(answer) => {
                    *self.down() = None;
                    return Ok(Ok(answer));
                }
                Err(error) => error,
            };
            match error {
                TmdbError::LeftAlone(time) if !self.parameters.impatient => {
                    let since = *self.down().get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.inner.patience {
                        return Err(Stop::GaveUp(
                            "TMDB has been down for too long; try the rest again later".to_owned(),
                        ));
                    }
                    metrics::counter!(JOB_WAITS_TOTAL, "kind" => self.kind.name()).increment(1);
                    tokio::time::sleep(time.clamp(Duration::from_millis(50), LONGEST_WAIT)).await;
                }
                // Every other question would be answered the same.
                TmdbError::Unauthorized => return Err(Stop::GaveUp(error.to_string())),
                error => return Ok(Err(error)),
            }
        }
    }

    fn down(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.down_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_page(&self, position: i64, list: MovieList, page: u32) -> Result<(), Stop> {
        let answer = self
            .ask(|| self.inner.tmdb.list(list, page, PATIENCE))
            .await?;
        let mut transaction = self.inner.pool.begin().await?;
        self.job.checkpoint(&mut transaction).await?;
        match answer {
            Ok(listed) => {
                let is_last = i64::from(page) >= listed.total_pages;
                let ids: Vec<i64> = listed
                    .results
                    .into_iter()
                    .filter(|film| self.inner.include_adult || !film.adult)
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
        let mut fetched = std::pin::pin!(fetched.buffer_unordered(AT_ONCE));
        let mut batch = Vec::with_capacity(BATCH);
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
                store_at = Instant::now() + BATCH_AGE;
            }
            batch.push(film?);
            if batch.len() >= BATCH {
                self.store(&mut batch).await?;
            }
        }
    }

    async fn fetch_film(&self, position: i64, id: MovieId) -> Result<Fetched, Stop> {
        let reference = MovieRef::Tmdb(id);
        let question = || async {
            let _slot = self.inner.slots.acquire().await;
            self.inner.tmdb.movie(&reference, PATIENCE).await
        };
        let result = match self.ask(question).await? {
            Ok(film) if film.adult && !self.inner.include_adult => Err(Missing {
                reason: "it is pornography, which INCLUDE_ADULT does not admit".to_owned(),
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

    /// Stores a batch; should Postgres refuse a film of it, the others all the same.
    async fn store(&self, batch: &mut Vec<Fetched>) -> Result<(), Stop> {
        let batch = std::mem::take(batch);
        match self.store_together(&batch).await {
            Err(Stop::Database(error)) if is_refusal(&error) => {}
            other => return other,
        }
        for mut fetched in batch {
            match self.store_together(std::slice::from_ref(&fetched)).await {
                Err(Stop::Database(error)) if is_refusal(&error) => {
                    tracing::warn!(id = %fetched.id, %error, "a film cannot be stored");
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
        let mut transaction = self.inner.pool.begin().await?;
        self.job.checkpoint(&mut transaction).await?;
        let mut changed = movies::upsert_within(&mut transaction, &films).await?;
        changed.extend(movies::remove_within(&mut transaction, &gone).await?);
        let progress = job_items::record(&mut transaction, self.job.id, &done).await?;
        transaction.commit().await?;
        self.tell(&changed).await;
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

    async fn tell(&self, changed: &[MovieVersion]) {
        if !changed.is_empty() {
            self.inner.outbox.notify_readers();
            self.inner.cache.learn(changed).await;
        }
    }

    /// A refresh that finds a film gone has done what it should.
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

/// A film that was asked for.
struct Fetched {
    position: i64,
    id: MovieId,
    result: Result<NewMovie, Missing>,
}

/// Why there is no film.
struct Missing {
    reason: String,
    /// TMDB has none that we may have, so the catalogue should have none either.
    is_gone: bool,
}

/// Whether Postgres refuses what it was given, rather than being away or in somebody's way.
fn is_refusal(error: &sqlx::Error) -> bool {
    // 22: data exception, 23: a constraint, 54: too long for an index.
    error
        .as_database_error()
        .and_then(|database| database.code())
        .is_some_and(|code| {
            ["22", "23", "54"]
                .iter()
                .any(|class| code.starts_with(class))
        })
}
