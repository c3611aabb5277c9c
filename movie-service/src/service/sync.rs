//! Feeding the catalogue from TMDB's most popular films, page by page. One sync runs at a time, over
//! all replicas; it goes on when whoever asked for it goes away.

use std::{sync::Arc, time::Duration};

use chassis::{feed::outbox::Outbox, shutdown::Shutdown};
use futures_util::{StreamExt, stream};
use sqlx::PgPool;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::{
    client::{
        tmdb::{Tmdb, TmdbError},
        wire::ListPage,
    },
    models::{Job, JobFailure, JobStatus, MovieId, MovieRef, NewMovie},
    repository::{jobs, movies},
};

/// The kind under which a sync stands among the jobs.
const KIND: &str = "sync";
/// A sync that gives no sign of life for so long is taken to be dead.
const LEASE_SECONDS: f64 = 60.0;
/// How long one question to TMDB may take, with all tries.
const PATIENCE: Duration = Duration::from_secs(30);
/// Questions about films on their way at once; the client has its own, tighter bound.
const AT_ONCE: usize = 16;

/// What a sync did.
#[derive(Debug, Clone, Default)]
pub struct SyncReport {
    /// Films that were fetched and are now in the catalogue.
    pub movies_synced: i32,
    /// Pages that were asked for.
    pub pages: u32,
    /// Pages that could not be had.
    pub pages_failed: u32,
    /// What could not be had, and why.
    pub failures: Vec<JobFailure>,
}

/// Why a sync did not happen.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// One runs already.
    #[error("a sync is already running")]
    Running(Box<Job>),
    /// TMDB gave nothing at all.
    #[error("TMDB gave nothing")]
    Tmdb(#[source] TmdbError),
    /// The process is stopping.
    #[error("the service is stopping")]
    Stopping,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Feeds the catalogue; cheap to clone.
#[derive(Clone)]
pub struct Sync(Arc<Inner>);

struct Inner {
    pool: PgPool,
    tmdb: Tmdb,
    outbox: Outbox,
    shutdown: Shutdown,
}

impl Sync {
    /// Feeds the catalogue in `pool` from `tmdb` and tells `outbox`.
    #[must_use]
    pub fn new(pool: PgPool, tmdb: Tmdb, outbox: Outbox, shutdown: Shutdown) -> Self {
        Self(Arc::new(Inner {
            pool,
            tmdb,
            outbox,
            shutdown,
        }))
    }

    /// Fetches the first `pages` pages of TMDB's most popular films, each film with all its details.
    ///
    /// # Errors
    /// One runs already, TMDB gave nothing at all, or Postgres failed.
    pub async fn run(&self, pages: u32) -> Result<SyncReport, SyncError> {
        let total = i32::try_from(pages.saturating_mul(20)).unwrap_or(i32::MAX);
        let job = jobs::start(&self.0.pool, KIND, total, LEASE_SECONDS)
            .await?
            .map_err(|running| SyncError::Running(Box::new(running)))?;
        let (done, outcome) = oneshot::channel();
        let sync = self.clone();
        self.0.shutdown.spawn(async move {
            let result = tokio::select! {
                () = sync.0.shutdown.started() => Err(SyncError::Stopping),
                result = sync.fetch_pages(job, pages) => result,
            };
            if let Err(error) = sync.finish(job, &result).await {
                tracing::warn!(%error, "cannot record the end of a sync");
            }
            // Nobody may be waiting any more.
            let _ = done.send(result);
        });
        outcome.await.unwrap_or(Err(SyncError::Stopping))
    }

    async fn finish(&self, job: Uuid, result: &Result<SyncReport, SyncError>) -> sqlx::Result<()> {
        let (status, report) = match result {
            Ok(report) => (JobStatus::Succeeded, report.clone()),
            Err(error) => {
                let mut report = SyncReport::default();
                report.failures.push(JobFailure {
                    item: KIND.to_owned(),
                    reason: error.to_string(),
                });
                (JobStatus::Failed, report)
            }
        };
        jobs::progress(
            &self.0.pool,
            job,
            status,
            report.movies_synced,
            &report.failures,
            LEASE_SECONDS,
        )
        .await
    }

    async fn fetch_pages(&self, job: Uuid, pages: u32) -> Result<SyncReport, SyncError> {
        let Inner {
            pool, tmdb, outbox, ..
        } = self.0.as_ref();
        let genres = tmdb.genres(PATIENCE).await.map_err(SyncError::Tmdb)?;
        movies::upsert_genres(pool, &genres).await?;
        let mut report = SyncReport {
            pages,
            ..SyncReport::default()
        };
        let mut last_error = None;
        for page in 1..=pages {
            match tmdb.discover(page, PATIENCE).await {
                Ok(listed) => {
                    let is_last = i64::from(page) >= listed.total_pages;
                    let films = self.fetch_movies(listed, &mut report).await;
                    movies::upsert(pool, &films).await?;
                    outbox.wake();
                    report.movies_synced += i32::try_from(films.len()).unwrap_or(i32::MAX);
                    if is_last {
                        break;
                    }
                }
                Err(error) => {
                    report.pages_failed += 1;
                    report.failures.push(JobFailure {
                        item: format!("page {page}"),
                        reason: error.to_string(),
                    });
                    last_error = Some(error);
                }
            }
            jobs::progress(
                pool,
                job,
                JobStatus::Running,
                report.movies_synced,
                &report.failures,
                LEASE_SECONDS,
            )
            .await?;
        }
        match last_error {
            Some(error) if report.movies_synced == 0 => Err(SyncError::Tmdb(error)),
            _ => Ok(report),
        }
    }

    async fn fetch_movies(&self, listed: ListPage, report: &mut SyncReport) -> Vec<NewMovie> {
        let ids = listed
            .results
            .into_iter()
            .filter(|listed| !listed.adult)
            .filter_map(|listed| MovieId::new(listed.id));
        let fetched: Vec<(MovieId, Result<NewMovie, TmdbError>)> = stream::iter(ids)
            .map(|id| async move { (id, self.0.tmdb.movie(&MovieRef::Tmdb(id), PATIENCE).await) })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut films: Vec<NewMovie> = Vec::with_capacity(fetched.len());
        for (id, result) in fetched {
            match result {
                Ok(film) if films.iter().any(|known| known.id == film.id) => {}
                Ok(film) => films.push(film),
                Err(error) => report.failures.push(JobFailure {
                    item: format!("movie {id}"),
                    reason: error.to_string(),
                }),
            }
        }
        films
    }
}
