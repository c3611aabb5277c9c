//! Who does which job, and until when. Every replica looks for jobs that nobody holds; whoever takes
//! one renews its lease while it works, and loses it when it dies: another goes on from there. What a
//! job's work is, [`super::intake`] knows.

use std::{sync::Arc, time::Duration};

use chassis::shutdown::Shutdown;
use rand::Rng;
use sqlx::PgPool;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::Instant,
};
use uuid::Uuid;

use super::fetching::{Fetching, Stop};
use crate::{
    config::Config,
    models::{Job, JobFailure, JobKind},
    repository::{
        job_items::{self, Held},
        jobs::{self, Created, NewJob},
    },
};

/// Jobs that ended, by kind and how (counter).
pub const JOBS_TOTAL: &str = "jobs_total";
/// Jobs that this process works on, by kind (gauge).
pub const JOBS_RUNNING: &str = "jobs_running";
/// Jobs that were begun by a worker that died, by kind (counter).
pub const JOBS_RELEASED_TOTAL: &str = "jobs_released_total";

/// Jobs that a process takes of its own accord at once; those that somebody waits for come on top.
const AT_ONCE: usize = 4;
/// Who waits for a job looks this often, should nobody say that it moved.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// And not more often than this, should it move all the time.
const LOOK_AT_MOST: Duration = Duration::from_millis(25);
/// A job that Postgres would not let go on is left alone for so many seconds.
const PAUSE_SECONDS: f64 = 2.0;
/// Old jobs are looked for this often.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);

/// Works on jobs; cheap to clone.
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    pool: PgPool,
    fetching: Fetching,
    /// This process, as leases name it.
    worker: Uuid,
    lease: Duration,
    poll: Duration,
    retention_days: i32,
    wake: Notify,
    moved: watch::Sender<()>,
    shutdown: Shutdown,
}

impl Jobs {
    /// Works on the jobs in `pool` until the shutdown begins.
    #[must_use]
    pub fn start(pool: PgPool, fetching: Fetching, config: &Config, shutdown: &Shutdown) -> Self {
        let jobs = Self(Arc::new(Inner {
            pool,
            fetching,
            worker: Uuid::new_v4(),
            lease: Duration::from_secs(config.job_lease_seconds.max(1)),
            poll: Duration::from_secs(config.job_poll_seconds.max(1)),
            retention_days: config.job_retention_days,
            wake: Notify::new(),
            moved: watch::Sender::new(()),
            shutdown: shutdown.clone(),
        }));
        shutdown.spawn(jobs.clone().look_for_work());
        shutdown.spawn(jobs.clone().expire());
        jobs
    }

    /// Makes a job; with `at_once`, this process begins to work on it now, else whoever is free does.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn create(&self, job: &NewJob, at_once: bool) -> sqlx::Result<Created> {
        let worker = at_once.then_some(self.0.worker);
        let created = jobs::create(&self.0.pool, job, worker, self.0.lease.as_secs_f64()).await?;
        if let Created::New(made) = &created {
            if at_once {
                let held = Held {
                    id: made.job_id,
                    kind: made.kind,
                    parameters: job.parameters,
                };
                self.0.shutdown.spawn(self.clone().work(held));
            } else {
                self.0.wake.notify_one();
            }
        }
        Ok(created)
    }

    /// Has this process look for work now.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// The job `id` when it has ended, or as it is after `patience`.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn wait(&self, id: Uuid, patience: Duration) -> sqlx::Result<Option<Job>> {
        let deadline = Instant::now() + patience;
        let mut moved = self.moved();
        loop {
            let job = jobs::find(&self.0.pool, id).await?;
            let is_over = job.as_ref().is_none_or(|job| job.status.is_ended());
            if is_over || Instant::now() >= deadline || self.0.shutdown.is_started() {
                return Ok(job);
            }
            tokio::time::timeout_at(deadline, moved.next()).await.ok();
        }
    }

    /// Tells when a job may have moved.
    #[must_use]
    pub fn moved(&self) -> Moved {
        Moved {
            told: self.0.moved.subscribe(),
            shutdown: self.0.shutdown.clone(),
        }
    }

    async fn look_for_work(self) {
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        // A client that asks for work has not waited for the first look.
        loop {
            while !self.0.shutdown.is_started() {
                let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                    break;
                };
                let lease = self.0.lease.as_secs_f64();
                match job_items::claim(&self.0.pool, self.0.worker, lease).await {
                    Ok(Some(held)) => {
                        let jobs = self.clone();
                        self.0.shutdown.spawn(async move {
                            jobs.clone().work(held).await;
                            drop(slot);
                            // The next may wait already.
                            jobs.wake();
                        });
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "cannot look for jobs");
                        break;
                    }
                }
            }
            // Replicas that look at the same instant would only get in each other's way.
            let pause = self.0.poll.mul_f64(rand::rng().random_range(0.75..1.25));
            tokio::select! {
                () = self.0.shutdown.started() => return,
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Works on a job until it has ended, is somebody else's, or this process stops.
    async fn work(self, held: Held) {
        let Inner { pool, worker, .. } = self.0.as_ref();
        let kind = held.kind.name();
        tracing::info!(job = %held.id, kind, "working on a job");
        metrics::gauge!(JOBS_RUNNING, "kind" => kind).increment(1.0);
        let moved = || {
            self.0.moved.send_replace(());
        };
        let result = tokio::select! {
            () = self.0.shutdown.started() => Err(Stop::Stopping),
            () = self.keep_lease(held.id) => Err(Stop::Lost),
            result = self.0.fetching.run(&held, *worker, self.0.lease, moved) => result,
        };
        let ended = match result {
            Ok(()) => self.finish(&held, None).await,
            Err(Stop::GaveUp(reason)) => self.finish(&held, Some(reason)).await,
            Err(Stop::Lost) => {
                tracing::info!(job = %held.id, kind, "a job was called off or taken over");
                Ok(())
            }
            Err(Stop::Stopping) => job_items::release(pool, held.id, *worker, 0.0).await,
            Err(Stop::Database(error)) => {
                tracing::warn!(job = %held.id, kind, %error, "a job cannot go on now");
                metrics::counter!(JOBS_RELEASED_TOTAL, "kind" => kind).increment(1);
                job_items::release(pool, held.id, *worker, PAUSE_SECONDS).await
            }
        };
        if let Err(error) = ended {
            // Its lease runs out, then somebody goes on with it.
            tracing::warn!(job = %held.id, kind, %error, "cannot record how a job stands");
        }
        metrics::gauge!(JOBS_RUNNING, "kind" => kind).decrement(1.0);
        self.0.moved.send_replace(());
    }

    async fn finish(&self, held: &Held, reason: Option<String>) -> sqlx::Result<()> {
        let kind = held.kind.name();
        let failure = reason.map(|reason| JobFailure {
            item: kind.to_owned(),
            reason,
        });
        let Inner { pool, worker, .. } = self.0.as_ref();
        let status = job_items::finish(pool, held.id, *worker, failure.as_ref()).await?;
        if let Some(status) = status {
            let status = status.name();
            metrics::counter!(JOBS_TOTAL, "kind" => kind, "status" => status).increment(1);
            let reason = failure.map(|failure| failure.reason);
            tracing::info!(job = %held.id, kind, status, reason, "a job has ended");
        }
        Ok(())
    }

    /// Returns when the job is no longer this process's, or may not be.
    async fn keep_lease(&self, id: Uuid) {
        let Inner {
            pool,
            worker,
            lease,
            ..
        } = self.0.as_ref();
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(*lease / 4).await;
            let asked = Instant::now();
            match job_items::renew(pool, id, *worker, lease.as_secs_f64()).await {
                Ok(true) => renewed = asked,
                Ok(false) => return,
                Err(error) => {
                    tracing::debug!(%error, "cannot renew a lease");
                    if renewed.elapsed() >= *lease {
                        return;
                    }
                }
            }
        }
    }

    async fn expire(self) {
        loop {
            match jobs::expire(&self.0.pool, self.0.retention_days).await {
                Ok(0) => {}
                Ok(jobs) => tracing::info!(jobs, "old jobs expired"),
                Err(error) => tracing::debug!(%error, "cannot expire jobs"),
            }
            if self.0.shutdown.sleep(EXPIRE_EVERY).await {
                return;
            }
        }
    }

    /// When a job of `kind` was last asked for, and when one last succeeded.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn last_of(
        &self,
        kind: JobKind,
    ) -> sqlx::Result<(
        Option<chrono::DateTime<chrono::Utc>>,
        Option<chrono::DateTime<chrono::Utc>>,
    )> {
        jobs::last_of(&self.0.pool, kind).await
    }
}

/// Waits for jobs to move.
pub struct Moved {
    told: watch::Receiver<()>,
    shutdown: Shutdown,
}

impl Moved {
    /// Returns when a job may have moved, here or elsewhere, or the process stops.
    pub async fn next(&mut self) {
        tokio::time::sleep(LOOK_AT_MOST).await;
        tokio::select! {
            () = self.shutdown.started() => {}
            _ = self.told.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

    /// Whether the process stops.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shutdown.is_started()
    }
}
