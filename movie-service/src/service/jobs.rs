//! The jobs that fetch movies: [`Fetching`] as the work of the job engine, and their creation. Called by
//! [`super::intake`] for clients and by [`super::schedule`] for recurring jobs.

use std::time::Duration;

use chassis::{
    jobs::{self as engine, End, JobMetrics, JobSettings, LeasedJob, Stop, Work},
    shutdown::Shutdown,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::fetching::Fetching;
use crate::{
    config::Config,
    models::JobKind,
    repository::jobs::{self, Created, NewJob},
};

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

/// The jobs of the service; cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    pool: PgPool,
    pub(super) engine: engine::Jobs<Fetching>,
}

impl Jobs {
    /// Works on the jobs in `pool` until the shutdown begins.
    #[must_use]
    pub fn start(pool: PgPool, fetching: Fetching, config: &Config, shutdown: &Shutdown) -> Self {
        let settings = JobSettings {
            lease: Duration::from_secs(config.job_lease_seconds.max(1)),
            poll_interval: Duration::from_secs(config.job_poll_seconds.max(1)),
            pause_limit: None,
            retention_days: config.job_retention_days,
        };
        let engine = engine::Jobs::start(pool.clone(), fetching, settings, shutdown);
        Self { pool, engine }
    }

    /// Creates a job. With `now`, this process works on it at once, else the next free worker does.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if a statement fails.
    pub async fn create(&self, job: &NewJob, now: bool) -> sqlx::Result<Created> {
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
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if the statement fails.
    pub async fn last_of(
        &self,
        kind: JobKind,
    ) -> sqlx::Result<(Option<DateTime<Utc>>, Option<DateTime<Utc>>)> {
        engine::last_of(&self.pool, kind.name()).await
    }
}
