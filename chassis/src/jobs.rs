//! The job engine: work that outlives the request that started it, done by one worker at a time over
//! all replicas of a service.
//!
//! A service keeps its jobs in a table `job` with at least the columns of `migrations/job.sql`, and
//! implements [`Work`]. Each process claims jobs whose lease is free or has expired, renews the leases
//! while it works, and releases them when it shuts down; another process continues a job whose lease
//! expired. The engine never touches a column that is not in `migrations/job.sql`.

mod engine;
mod prefer;
mod progress;
mod store;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::sync::watch;
use utoipa::ToSchema;
use uuid::Uuid;

pub use engine::Jobs;
pub use prefer::Prefer;
pub use progress::{Changes, JobView, LimitQuery, ProgressRequest, accepted};
pub use store::{Worker, last_of};

/// The status of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum JobStatus {
    /// No worker has claimed it, or it is paused.
    Pending,
    /// A worker holds its lease.
    Running,
    /// All its work is done.
    Succeeded,
    /// It was given up.
    Failed,
    /// A client cancelled it.
    Cancelled,
}

impl JobStatus {
    /// True if no worker will work on the job, unless it is retried.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// The name in JSON, in metrics and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The reason for which the work on a job stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// Trying again would not help now. The job fails with this text, which clients see.
    #[error("{0}")]
    GaveUp(String),
    /// The job was cancelled, or another worker holds its lease.
    #[error("the lease is lost")]
    LeaseLost,
    /// The process is shutting down; another worker can continue immediately.
    #[error("the process is shutting down")]
    ShuttingDown,
    /// A dependency is unavailable; the job pauses.
    #[error("{0}")]
    Unavailable(String),
    /// Postgres failed; the job pauses.
    #[error("Postgres: {0}")]
    Database(#[from] sqlx::Error),
}

/// The end of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The work was done.
    Succeeded,
    /// The work was given up for this reason, which clients see.
    Failed(String),
    /// A client cancelled it.
    Cancelled,
}

impl End {
    /// The status that a job has afterwards.
    pub const fn status(&self) -> JobStatus {
        match self {
            Self::Succeeded => JobStatus::Succeeded,
            Self::Failed(_) => JobStatus::Failed,
            Self::Cancelled => JobStatus::Cancelled,
        }
    }
}

/// The names of the metrics of a service's jobs.
#[derive(Debug, Clone, Copy)]
pub struct JobMetrics {
    /// Ended jobs by status (counter).
    pub ended_total: &'static str,
    /// Jobs that this process works on (gauge).
    pub running: &'static str,
    /// Jobs that were paused because Postgres or another dependency was unavailable (counter).
    pub released_total: &'static str,
    /// True if each metric has a label `kind`.
    pub by_kind: bool,
}

impl JobMetrics {
    fn labels(&self, kind: &str) -> Vec<metrics::Label> {
        let kind = self
            .by_kind
            .then(|| metrics::Label::new("kind", kind.to_owned()));
        kind.into_iter().collect()
    }
}

/// The work of a service's jobs.
pub trait Work: Send + Sync + 'static {
    /// The metrics of the jobs.
    const METRICS: JobMetrics;

    /// Does the remaining work of a job. The future is dropped when the lease is lost or the process
    /// shuts down, so every transaction that stores work begins with [`LeasedJob::checkpoint`].
    fn run(&self, job: &LeasedJob) -> impl Future<Output = Result<(), Stop>> + Send;

    /// Stores what the service keeps about the end of job `id`, in the transaction that ends it.
    fn end(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
        kind: &str,
        end: &End,
    ) -> impl Future<Output = sqlx::Result<()>> + Send {
        let _ = (connection, id, kind, end);
        async { Ok(()) }
    }

    /// Resets what the service keeps about job `id`, in the transaction that sets it to pending again.
    fn retry(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
    ) -> impl Future<Output = sqlx::Result<()>> + Send {
        let _ = (connection, id);
        async { Ok(()) }
    }
}

/// The settings of the engine.
#[derive(Debug, Clone, Copy)]
pub struct JobSettings {
    /// The time after which a job without a sign of life can be claimed by another worker.
    pub lease: Duration,
    /// The mean polling interval for claimable jobs.
    pub poll_interval: Duration,
    /// The time without progress after which a paused job fails; `None`: never.
    pub pause_limit: Option<Duration>,
    /// Days for which an ended job is kept.
    pub retention_days: i32,
}

/// A job that this process holds the lease of.
#[derive(Debug, Clone)]
pub struct LeasedJob {
    /// The id of the job.
    pub id: Uuid,
    /// The kind of the job, as the service names it.
    pub kind: String,
    worker: Worker,
    progress: watch::Sender<()>,
}

impl LeasedJob {
    /// Locks the job until the end of `connection`'s transaction, records progress and renews the lease. At the end of a
    /// transaction that was longer than the lease another worker may claim the job.
    ///
    /// # Errors
    /// [`Stop::LeaseLost`] if another worker holds the job or it was cancelled; [`Stop::Database`] if
    /// the statement fails.
    pub async fn checkpoint(&self, connection: &mut PgConnection) -> Result<(), Stop> {
        match store::renew(connection, self.id, self.worker, true).await? {
            true => Ok(()),
            false => Err(Stop::LeaseLost),
        }
    }

    /// Wakes the requests that wait for progress; to be called after a checkpoint is committed.
    pub fn notify(&self) {
        self.progress.send_replace(());
    }
}
