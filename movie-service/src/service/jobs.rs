//! The jobs that fetch movies: [`Fetching`] as the work of the job engine, the requests that start jobs, and their
//! control by clients. Called by the handlers of administration and jobs, and by [`super::schedule`] for recurring
//! jobs; must not fetch anything itself.

use std::{collections::HashSet, time::Duration};

use chassis::{
    jobs::{
        self as engine, Changes, End, JobMetrics, JobSettings, JobStatus, LeasedJob, Prefer, Stop,
        Work,
    },
    problem::FieldError,
    shutdown::Shutdown,
};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::fetching::Fetching;
use crate::{
    config::Config,
    models::{Item, Job, JobKind, MovieId, MovieList, Parameters},
    repository::{
        job_items,
        jobs::{self, Created, NewJob},
    },
};

/// The jobs among which the latest sync is looked for.
const LATEST: i64 = 100;

/// Ended jobs by kind and status (counter).
pub const JOBS_TOTAL: &str = "jobs_total";
/// Jobs that this process works on, by kind (gauge).
pub const JOBS_RUNNING: &str = "jobs_running";
/// Jobs that were paused because Postgres was unavailable, by kind (counter).
pub const JOBS_RELEASED_TOTAL: &str = "jobs_released_total";

impl Work for Fetching {
    const METRICS: JobMetrics = JobMetrics {
        ended_total: JOBS_TOTAL,
        running: JOBS_RUNNING,
        released_total: JOBS_RELEASED_TOTAL,
        by_kind: true,
    };

    async fn run(&self, job: &LeasedJob) -> Result<(), Stop> {
        self.fetch(job).await
    }

    async fn end(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
        kind: &str,
        end: &End,
    ) -> sqlx::Result<()> {
        jobs::end(connection, id, kind, end).await
    }

    async fn retry(&self, connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
        jobs::reset(connection, id).await
    }
}

/// A failed request for a job.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
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
    /// The first `pages` pages of `list`, by a job of `kind`.
    pub fn pages(kind: JobKind, list: MovieList, pages: u32) -> Self {
        let items = (1..=pages).map(|page| Item::Page(list, page)).collect();
        Self { kind, items }
    }

    /// The movies `ids`, each once.
    ///
    /// # Errors
    /// A [`FieldError`] if there are no ids or more than `max` distinct ones.
    pub fn import(ids: impl Iterator<Item = MovieId>, max: usize) -> Result<Self, FieldError> {
        let mut seen = HashSet::new();
        let ids = ids.filter(|id| seen.insert(*id));
        let items: Vec<Item> = ids.map(Item::Movie).collect();
        if items.is_empty() || items.len() > max {
            let message = format!("must be 1 to {max} different ids, but are {}", items.len());
            return Err(FieldError::new("tmdb_ids", message));
        }
        let kind = JobKind::Import;
        Ok(Self { kind, items })
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
        format!("{:x}", hash.finalize())
    }
}

/// The jobs of the service; cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    pool: PgPool,
    engine: engine::Jobs<Fetching>,
    /// The largest import, in movies, whose end a client waits for.
    max_waited_import: usize,
}

impl Jobs {
    /// Works on the jobs in `pool` until the shutdown begins.
    pub fn start(pool: PgPool, fetching: Fetching, config: &Config, shutdown: &Shutdown) -> Self {
        let settings = JobSettings {
            lease: Duration::from_secs(config.job_lease_seconds.max(1)),
            poll_interval: Duration::from_secs(config.job_poll_seconds.max(1)),
            pause_limit: None,
            retention_days: config.job_retention_days,
        };
        Self {
            engine: engine::Jobs::start(pool.clone(), fetching, settings, shutdown),
            pool,
            max_waited_import: config.import_at_once_most,
        }
    }

    /// Creates a job. With `now`, this process starts it immediately, otherwise the next free worker does.
    pub(super) async fn create(&self, job: &NewJob, now: bool) -> sqlx::Result<Created> {
        let worker = now.then(|| self.engine.worker());
        let created = jobs::create(&self.pool, job, worker).await?;
        if let Created::New(id) = created {
            match worker {
                Some(worker) => self.engine.run_now(id, job.kind.name(), worker),
                None => self.engine.wake(),
            }
        }
        Ok(created)
    }

    /// The time at which a job of `kind` was last created, and the time at which one last succeeded.
    pub(super) async fn last_of(
        &self,
        kind: JobKind,
    ) -> sqlx::Result<(Option<DateTime<Utc>>, Option<DateTime<Utc>>)> {
        engine::last_of(&self.pool, kind.name()).await
    }

    /// Starts a job for `request` and waits for its end, at most for `timeout` and as `prefer` allows.
    /// Returns the job, which may not have ended.
    ///
    /// # Errors
    /// [`JobError::Running`] if a job of the kind is active; `KeyTaken` if the idempotency key belongs
    /// to another request; `Stopping` if the process shuts down before the end of a job that the client
    /// waits for; `Database` if a statement fails.
    #[tracing::instrument(name = "service.jobs.fetch", level = "debug", skip_all, fields(kind = request.kind.name()))]
    pub async fn fetch(
        &self,
        request: FetchRequest,
        prefer: Prefer,
        idempotency_key: Option<String>,
        timeout: Duration,
    ) -> Result<Job, JobError> {
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
        let id = match self.create(&job, waits).await? {
            Created::New(id) => id,
            Created::Active(job) => return Err(JobError::Running(Box::new(job))),
            Created::KeyTaken => return Err(JobError::KeyTaken),
            Created::Repeated(job) if waits && !job.status.is_ended() => {
                return Err(JobError::Running(Box::new(job)));
            }
            Created::Repeated(job) => job.job_id,
        };
        let default = if waits { timeout } else { Duration::ZERO };
        let timeout = prefer.wait.unwrap_or(default).min(timeout);
        let job = self.engine.wait(timeout, || self.get(id)).await?;
        if waits && !job.status.is_ended() && self.changes().is_shutting_down() {
            return Err(JobError::Stopping);
        }
        Ok(job)
    }

    /// The number of pages that `job`, which has ended, could not fetch.
    ///
    /// # Errors
    /// [`JobError::Tmdb`] if no movie was fetched; `OtherStatus` if the job was cancelled; `Database`
    /// if the statement fails.
    pub async fn count_failed_pages(&self, job: &Job) -> Result<u32, JobError> {
        match job.status {
            JobStatus::Failed if job.succeeded == 0 => {
                // The last failure is more specific than the first, which is that of the job.
                let reason = job.failures.last().map(|failure| failure.reason.clone());
                Err(JobError::Tmdb(reason.unwrap_or_default()))
            }
            JobStatus::Cancelled => Err(JobError::OtherStatus(Box::new(job.clone()))),
            _ => {
                let (_, failed) = job_items::tally(&self.pool, job.job_id).await?;
                Ok(u32::try_from(failed).unwrap_or(u32::MAX))
            }
        }
    }

    /// The job `id`.
    pub async fn get(&self, id: Uuid) -> Result<Job, JobError> {
        let job = jobs::find(&self.pool, id).await?;
        job.ok_or(JobError::NotFound)
    }

    /// At most `limit` jobs, the newest first.
    pub async fn list(&self, limit: i64) -> Result<Vec<Job>, JobError> {
        Ok(jobs::list(&self.pool, limit).await?)
    }

    /// The latest job that has ended and fetched movies without a client that named them.
    pub async fn last_sync(&self) -> Result<Option<Job>, JobError> {
        let jobs = self.list(LATEST).await?;
        let is_sync = |job: &Job| job.status.is_ended() && job.kind != JobKind::Import;
        Ok(jobs.into_iter().find(is_sync))
    }

    /// Cancels job `id`; has no effect on a cancelled one.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if there is no such job; `OtherStatus` if it has succeeded or failed;
    /// `Database` if a statement fails.
    pub async fn cancel(&self, id: Uuid) -> Result<Job, JobError> {
        let is_cancelled = self.engine.cancel(id).await?;
        let job = self.get(id).await?;
        if is_cancelled || job.status == JobStatus::Cancelled {
            return Ok(job);
        }
        Err(JobError::OtherStatus(Box::new(job)))
    }

    /// Starts job `id` again with its remaining and failed items.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if there is no such job; `OtherStatus` if it has not ended; `Running` if
    /// another job of its kind is active; `Database` if a statement fails.
    pub async fn retry(&self, id: Uuid) -> Result<Job, JobError> {
        let is_started = self.engine.retry(id).await?;
        let job = self.get(id).await?;
        if is_started {
            return Ok(job);
        }
        Err(match jobs::find_active(&self.pool, job.kind).await? {
            Some(other) if other.job_id != id => JobError::Running(Box::new(other)),
            _ => JobError::OtherStatus(Box::new(job)),
        })
    }

    /// A watch on the progress of jobs.
    pub fn changes(&self) -> Changes {
        self.engine.changes()
    }
}
