//! How films come into the catalogue when somebody asks for it: a wish becomes a job, and the job's
//! result an answer, at once where it is short.

use std::time::Duration;

use chassis::problem::FieldError;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::jobs::{Jobs, Moved};
use crate::{
    models::{Item, Job, JobKind, JobStatus, MovieId, MovieList, Parameters},
    repository::jobs::{self, Created, NewJob},
};

/// Why a wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// One of its kind runs already, or the same request does.
    #[error("a {} is already running", .0.kind.name())]
    Running(Box<Job>),
    /// There is no such job.
    #[error("job not found")]
    NotFound,
    /// The job has ended, or has not, so that this cannot be done with it.
    #[error("the job is {}", .0.status.name())]
    OtherStatus(Box<Job>),
    /// The request's name stands for another request.
    #[error("this Idempotency-Key was used for another request")]
    KeyTaken,
    /// TMDB gave nothing at all.
    #[error("TMDB gave nothing: {0}")]
    Tmdb(String),
    /// The process is stopping.
    #[error("the service is stopping")]
    Stopping,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// How a client wants to be answered.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// It does not want to wait for the end.
    pub respond_async: bool,
    /// How long it wants to wait, where it says so.
    pub wait: Option<Duration>,
    /// Its name of the request, so that asking again begins nothing anew.
    pub idempotency_key: Option<String>,
}

/// Something that was asked for.
#[derive(Debug, Clone)]
pub struct Request {
    kind: JobKind,
    items: Vec<Item>,
}

impl Request {
    /// The first `pages` pages of all films, the most popular first.
    #[must_use]
    pub fn sync(pages: u32) -> Self {
        Self::list(JobKind::Sync, MovieList::Discover, pages)
    }

    /// The first `pages` pages of the films that are popular now.
    #[must_use]
    pub fn popular(pages: u32) -> Self {
        Self::list(JobKind::Popular, MovieList::Popular, pages)
    }

    /// The first `pages` pages of the films that are trending, as `list` says.
    #[must_use]
    pub fn trending(list: MovieList, pages: u32) -> Self {
        Self::list(JobKind::Trending, list, pages)
    }

    /// The films `ids`, each once.
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

    /// What tells two requests of the same name apart.
    fn hash(&self) -> String {
        use std::fmt::Write;
        let mut hash = Sha256::new();
        hash.update(self.kind.name());
        for item in &self.items {
            hash.update(item.to_string());
            hash.update(",");
            if let Item::Page(list, _) = item {
                hash.update(list.name());
            }
        }
        hash.finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Done(Job),
    /// It is being done.
    UnderWay(Job),
}

/// What a job that read pages brought.
#[derive(Debug)]
pub struct Pages {
    /// The job.
    pub job: Job,
    /// Pages that could not be had.
    pub failed: u32,
}

/// Feeds the catalogue on request; cheap to clone.
#[derive(Clone)]
pub struct Intake {
    pool: PgPool,
    jobs: Jobs,
    /// Imports of more films than this answer before they are done.
    most_at_once: usize,
}

impl Intake {
    /// Has `jobs` do what is asked for.
    #[must_use]
    pub fn new(pool: PgPool, jobs: Jobs, most_at_once: usize) -> Self {
        Self {
            pool,
            jobs,
            most_at_once,
        }
    }

    /// Begins what `request` asks for, and waits for its end at most `patience`, or as `wish` says.
    ///
    /// # Errors
    /// As [`IntakeError`] says.
    pub async fn begin(
        &self,
        request: Request,
        wish: &Wish,
        patience: Duration,
    ) -> Result<Answer, IntakeError> {
        let is_import = request.kind == JobKind::Import;
        let is_short = !is_import || request.items.len() <= self.most_at_once;
        let waits = is_short && !wish.respond_async;
        let hash = request.hash();
        let job = NewJob {
            kind: request.kind,
            parameters: Parameters {
                most_films: None,
                impatient: waits && !is_import,
            },
            items: request.items,
            idempotency: wish.idempotency_key.clone().map(|key| (key, hash)),
        };
        let patience = match (waits, wish.wait) {
            (true, wait) => wait.unwrap_or(patience).min(patience),
            (false, wait) => wait.unwrap_or_default().min(patience),
        };
        let id = match self.jobs.create(&job, waits).await? {
            Created::New(job) => job.job_id,
            Created::Active(job) => return Err(IntakeError::Running(Box::new(job))),
            Created::KeyTaken => return Err(IntakeError::KeyTaken),
            Created::Repeated(job) if waits && !job.status.is_ended() => {
                return Err(IntakeError::Running(Box::new(job)));
            }
            Created::Repeated(job) => job.job_id,
        };
        let job = self.jobs.wait(id, patience).await?;
        let job = job.ok_or(IntakeError::NotFound)?;
        Ok(match job.status.is_ended() {
            true => Answer::Done(job),
            false if waits && self.jobs.moved().is_stopping() => return Err(IntakeError::Stopping),
            false => Answer::UnderWay(job),
        })
    }

    /// What a job that read pages, and has ended, brought.
    ///
    /// # Errors
    /// TMDB gave nothing at all, or the job was called off.
    pub async fn pages(&self, job: Job) -> Result<Pages, IntakeError> {
        match job.status {
            JobStatus::Failed if job.succeeded == 0 => {
                // The last failure says more than that there were some.
                let reason = job.failures.last().map(|failure| failure.reason.clone());
                Err(IntakeError::Tmdb(reason.unwrap_or_default()))
            }
            JobStatus::Cancelled => Err(IntakeError::OtherStatus(Box::new(job))),
            _ => {
                let failed = jobs::count_failed_pages(&self.pool, job.job_id).await?;
                let failed = u32::try_from(failed).unwrap_or(u32::MAX);
                Ok(Pages { job, failed })
            }
        }
    }

    /// The job `id`.
    ///
    /// # Errors
    /// There is none, or Postgres's.
    pub async fn job(&self, id: Uuid) -> Result<Job, IntakeError> {
        jobs::find(&self.pool, id)
            .await?
            .ok_or(IntakeError::NotFound)
    }

    /// At most `limit` jobs, the newest first.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn jobs(&self, limit: i64) -> Result<Vec<Job>, IntakeError> {
        Ok(jobs::list(&self.pool, limit).await?)
    }

    /// Calls job `id` off; one that is called off already stays so.
    ///
    /// # Errors
    /// There is none, it has ended otherwise, or Postgres's.
    pub async fn cancel(&self, id: Uuid) -> Result<Job, IntakeError> {
        let cancelled = jobs::cancel(&self.pool, id).await?;
        let job = self.job(id).await?;
        if cancelled || job.status == JobStatus::Cancelled {
            return Ok(job);
        }
        Err(IntakeError::OtherStatus(Box::new(job)))
    }

    /// Sets job `id` going again: what was not done, and what failed.
    ///
    /// # Errors
    /// There is none, it has not ended, another of its kind runs, or Postgres's.
    pub async fn retry(&self, id: Uuid) -> Result<Job, IntakeError> {
        let again = jobs::retry(&self.pool, id).await?;
        let job = self.job(id).await?;
        if !again {
            return Err(match jobs::find_active(&self.pool, job.kind).await? {
                Some(other) if other.job_id != id => IntakeError::Running(Box::new(other)),
                _ => IntakeError::OtherStatus(Box::new(job)),
            });
        }
        self.jobs.wake();
        Ok(job)
    }

    /// Tells when a job may have moved.
    #[must_use]
    pub fn moved(&self) -> Moved {
        self.jobs.moved()
    }
}

/// Ids of films as a client wrote them: each once, in its order.
///
/// # Errors
/// None at all, or more than `most` different ones.
pub fn distinct_ids(
    ids: impl Iterator<Item = MovieId>,
    most: usize,
) -> Result<Vec<MovieId>, FieldError> {
    let mut seen = std::collections::HashSet::new();
    let ids: Vec<MovieId> = ids.filter(|id| seen.insert(*id)).collect();
    if ids.is_empty() || ids.len() > most {
        let message = format!("must be 1 to {most} different ids, but are {}", ids.len());
        return Err(FieldError::new("tmdb_ids", message));
    }
    Ok(ids)
}
