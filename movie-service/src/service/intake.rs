//! Requests to fetch movies from TMDB: each becomes a job, whose end the client waits for if the job is
//! short. Called by the handlers of administration and jobs; must not fetch anything itself.

use std::{collections::HashSet, fmt::Write, time::Duration};

use chassis::{
    jobs::{Changes, JobStatus, Prefer},
    problem::FieldError,
};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::jobs::Jobs;
use crate::{
    models::{Item, Job, JobKind, MovieId, MovieList, Parameters},
    repository::{
        job_items,
        jobs::{self, Created, NewJob},
    },
};

/// The reason for which a request was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// A job of the kind, or the job of the same request, has not ended.
    #[error("a {} is already running", .0.kind.name())]
    Running(Box<Job>),
    /// There is no such job.
    #[error("job not found")]
    NotFound,
    /// The status of the job does not allow the operation.
    #[error("the job is {}", .0.status.name())]
    OtherStatus(Box<Job>),
    /// The idempotency key belongs to another request.
    #[error("this Idempotency-Key was used for another request")]
    KeyTaken,
    /// No page could be fetched from TMDB.
    #[error("TMDB request failed: {0}")]
    Tmdb(String),
    /// The process is shutting down.
    #[error("the service is shutting down")]
    Stopping,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A request to fetch movies.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    kind: JobKind,
    items: Vec<Item>,
}

impl FetchRequest {
    /// The first `pages` pages of all movies, the most popular first.
    #[must_use]
    pub fn sync(pages: u32) -> Self {
        Self::list(JobKind::Sync, MovieList::Discover, pages)
    }

    /// The first `pages` pages of the currently popular movies.
    #[must_use]
    pub fn popular(pages: u32) -> Self {
        Self::list(JobKind::Popular, MovieList::Popular, pages)
    }

    /// The first `pages` pages of the trending movies of `list`.
    #[must_use]
    pub fn trending(list: MovieList, pages: u32) -> Self {
        Self::list(JobKind::Trending, list, pages)
    }

    /// The movies `ids`, each once.
    #[must_use]
    pub fn import(ids: impl IntoIterator<Item = MovieId>) -> Self {
        Self {
            kind: JobKind::Import,
            items: ids.into_iter().map(Item::Movie).collect(),
        }
    }

    fn list(kind: JobKind, list: MovieList, pages: u32) -> Self {
        Self {
            kind,
            items: (1..=pages).map(|page| Item::Page(list, page)).collect(),
        }
    }

    /// A hash that differs between requests with the same idempotency key.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.kind.name());
        for item in &self.items {
            hash.update(item.to_string());
            hash.update(",");
            if let Item::Page(list, _) = item {
                hash.update(list.name());
            }
        }
        let bytes = hash.finalize();
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// The result of a job that read pages.
#[derive(Debug)]
pub struct FetchedPages {
    /// The job.
    pub job: Job,
    /// The number of pages that failed.
    pub failed: u32,
}

/// Accepts requests to fetch movies; cheap to clone.
#[derive(Clone)]
pub struct Intake {
    pool: PgPool,
    jobs: Jobs,
    /// The largest import, in movies, whose end a client waits for.
    max_waited_import: usize,
}

impl Intake {
    /// An intake that creates `jobs`.
    #[must_use]
    pub fn new(pool: PgPool, jobs: Jobs, max_waited_import: usize) -> Self {
        Self {
            pool,
            jobs,
            max_waited_import,
        }
    }

    /// Starts a job for `request` and waits for its end, at most for `timeout` and as `prefer` allows.
    /// Returns the job, which may not have ended.
    ///
    /// # Errors
    /// [`IntakeError::Running`] if a job of the kind is active; `KeyTaken` if the idempotency key belongs
    /// to another request; `Stopping` if the process shuts down before the end of a job that the client
    /// waits for; `Database` if a statement fails.
    #[tracing::instrument(name = "service.intake.start", level = "debug", skip_all, fields(kind = request.kind.name()))]
    pub async fn start(
        &self,
        request: FetchRequest,
        prefer: Prefer,
        idempotency_key: Option<String>,
        timeout: Duration,
    ) -> Result<Job, IntakeError> {
        let is_import = request.kind == JobKind::Import;
        let is_short = !is_import || request.items.len() <= self.max_waited_import;
        let waits = is_short && !prefer.respond_async;
        let hash = request.hash();
        let job = NewJob {
            kind: request.kind,
            parameters: Parameters {
                most_films: None,
                impatient: waits && !is_import,
            },
            items: request.items,
            idempotency: idempotency_key.map(|key| (key, hash)),
        };
        let id = match self.jobs.create(&job, waits).await? {
            Created::New(id) => id,
            Created::Active(job) => return Err(IntakeError::Running(Box::new(job))),
            Created::KeyTaken => return Err(IntakeError::KeyTaken),
            Created::Repeated(job) if waits && !job.status.is_ended() => {
                return Err(IntakeError::Running(Box::new(job)));
            }
            Created::Repeated(job) => job.job_id,
        };
        let default = if waits { timeout } else { Duration::ZERO };
        let timeout = prefer.wait.unwrap_or(default).min(timeout);
        let engine = &self.jobs.engine;
        let job = engine.wait(timeout, || self.get(id)).await?;
        if waits && !job.status.is_ended() && engine.changes().is_shutting_down() {
            return Err(IntakeError::Stopping);
        }
        Ok(job)
    }

    /// The result of a job that read pages and has ended.
    ///
    /// # Errors
    /// [`IntakeError::Tmdb`] if no movie was fetched; `OtherStatus` if the job was cancelled; `Database`
    /// if the statement fails.
    pub async fn pages(&self, job: Job) -> Result<FetchedPages, IntakeError> {
        match job.status {
            JobStatus::Failed if job.succeeded == 0 => {
                // The last failure is more specific than the first, which is that of the job.
                let reason = job.failures.last().map(|failure| failure.reason.clone());
                Err(IntakeError::Tmdb(reason.unwrap_or_default()))
            }
            JobStatus::Cancelled => Err(IntakeError::OtherStatus(Box::new(job))),
            _ => {
                let (_, failed) = job_items::tally(&self.pool, job.job_id).await?;
                let failed = u32::try_from(failed).unwrap_or(u32::MAX);
                Ok(FetchedPages { job, failed })
            }
        }
    }

    /// The job `id`.
    ///
    /// # Errors
    /// [`IntakeError::NotFound`] if there is no such job; `Database` if the statement fails.
    pub async fn get(&self, id: Uuid) -> Result<Job, IntakeError> {
        let job = jobs::find(&self.pool, id).await?;
        job.ok_or(IntakeError::NotFound)
    }

    /// At most `limit` jobs, the newest first.
    ///
    /// # Errors
    /// [`IntakeError::Database`] if the statement fails.
    pub async fn list(&self, limit: i64) -> Result<Vec<Job>, IntakeError> {
        Ok(jobs::list(&self.pool, limit).await?)
    }

    /// Cancels job `id`; has no effect on a cancelled one.
    ///
    /// # Errors
    /// [`IntakeError::NotFound`] if there is no such job; `OtherStatus` if it has succeeded or failed;
    /// `Database` if a statement fails.
    pub async fn cancel(&self, id: Uuid) -> Result<Job, IntakeError> {
        let is_cancelled = self.jobs.engine.cancel(id).await?;
        let job = self.get(id).await?;
        if is_cancelled || job.status == JobStatus::Cancelled {
            return Ok(job);
        }
        Err(IntakeError::OtherStatus(Box::new(job)))
    }

    /// Starts job `id` again with its remaining and failed items.
    ///
    /// # Errors
    /// [`IntakeError::NotFound`] if there is no such job; `OtherStatus` if it has not ended; `Running` if
    /// another job of its kind is active; `Database` if a statement fails.
    pub async fn retry(&self, id: Uuid) -> Result<Job, IntakeError> {
        let is_started = self.jobs.engine.retry(id).await?;
        let job = self.get(id).await?;
        if is_started {
            return Ok(job);
        }
        Err(match jobs::find_active(&self.pool, job.kind).await? {
            Some(other) if other.job_id != id => IntakeError::Running(Box::new(other)),
            _ => IntakeError::OtherStatus(Box::new(job)),
        })
    }

    /// A watch on the progress of jobs.
    #[must_use]
    pub fn changes(&self) -> Changes {
        self.jobs.engine.changes()
    }
}

/// The distinct ids among `ids`, in their order.
///
/// # Errors
/// A [`FieldError`] if there are no ids or more than `max` distinct ones.
pub fn distinct_ids(
    ids: impl Iterator<Item = MovieId>,
    max: usize,
) -> Result<Vec<MovieId>, FieldError> {
    let mut seen = HashSet::new();
    let ids: Vec<MovieId> = ids.filter(|id| seen.insert(*id)).collect();
    if ids.is_empty() || ids.len() > max {
        let message = format!("must be 1 to {max} different ids, but are {}", ids.len());
        return Err(FieldError::new("tmdb_ids", message));
    }
    Ok(ids)
}
