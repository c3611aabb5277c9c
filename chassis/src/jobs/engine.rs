//! The loops of a process: claim, work, renew, conclude, expire. Created by a service; every task runs within
//! the [`Shutdown`] tracker.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use sqlx::PgPool;
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::Instant,
};
use tracing::Instrument;
use uuid::Uuid;

use super::{Changes, End, JobSettings, JobView, LeasedJob, Stop, Work, Worker, store};
use crate::shutdown::Shutdown;

/// Jobs that a process claims and works on concurrently.
const MAX_CONCURRENT_JOBS: usize = 4;
/// Event streams that a process serves concurrently.
const MAX_CONCURRENT_STREAMS: usize = 500;
/// The pause of a job whose work cannot continue now.
const PAUSE: Duration = Duration::from_secs(2);
/// The interval between deletions of expired jobs.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(3600);

/// The job engine of a process; cheap to clone.
pub struct Jobs<W>(Arc<Inner<W>>);

impl<W> Clone for Jobs<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<W> {
    pool: PgPool,
    work: W,
    settings: JobSettings,
    wake: Notify,
    progress: watch::Sender<()>,
    streams: Arc<Semaphore>,
    shutdown: Shutdown,
}

impl<W: Work> Jobs<W> {
    /// Starts to claim the jobs in `pool` and to expire old ones, until `shutdown` begins.
    pub fn start(pool: PgPool, work: W, settings: JobSettings, shutdown: &Shutdown) -> Self {
        let jobs = Self(Arc::new(Inner {
            pool,
            work,
            settings,
            wake: Notify::new(),
            progress: watch::Sender::new(()),
            streams: Arc::new(Semaphore::new(MAX_CONCURRENT_STREAMS)),
            shutdown: shutdown.clone(),
        }));
        shutdown.spawn(jobs.clone().claim_jobs());
        shutdown.spawn(jobs.clone().expire_jobs());
        jobs
    }

    /// A new holder of leases in this process.
    pub fn worker(&self) -> Worker {
        Worker::new(self.0.settings.lease)
    }

    /// Works on a job that was created and leased to `worker` in one transaction, beyond the jobs that
    /// the process claims by itself.
    pub fn run_now(&self, id: Uuid, kind: &str, worker: Worker) {
        let (jobs, job) = (self.clone(), self.leased(id, kind.to_owned(), worker));
        let work = async move { jobs.work_on(job).await };
        self.0.shutdown.spawn(work);
    }

    /// Looks for claimable jobs now instead of at the next poll.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Cancels job `id` and returns true, or returns false if there is no such job or it has ended.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if a statement fails.
    #[tracing::instrument(name = "chassis.jobs.cancel", level = "debug", skip_all, fields(job = %id))]
    pub async fn cancel(&self, id: Uuid) -> sqlx::Result<bool> {
        let mut transaction = self.0.pool.begin().await?;
        let Some(kind) = store::cancel(&mut transaction, id).await? else {
            return Ok(false);
        };
        let end = End::Cancelled;
        self.0.work.end(&mut transaction, id, &kind, &end).await?;
        transaction.commit().await?;
        self.0.progress.send_replace(());
        Ok(true)
    }

    /// Sets job `id`, which has ended, to pending again and returns true. Returns false if there is no
    /// such job, it has not ended, or a unique index of the table allows no other active job.
    ///
    /// # Errors
    /// Returns [`sqlx::Error`] if a statement fails.
    #[tracing::instrument(name = "chassis.jobs.retry", level = "debug", skip_all, fields(job = %id))]
    pub async fn retry(&self, id: Uuid) -> sqlx::Result<bool> {
        let mut transaction = self.0.pool.begin().await?;
        match store::retry(&mut transaction, id).await {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => return Ok(false),
            Err(error) => return Err(error),
        }
        self.0.work.retry(&mut transaction, id).await?;
        transaction.commit().await?;
        self.wake();
        Ok(true)
    }

    /// Loads a job until it has ended, at most for `timeout`, and returns it as it is then.
    ///
    /// # Errors
    /// Returns the error of `load`.
    pub async fn wait<J: JobView, E, F: Future<Output = Result<J, E>>>(
        &self,
        timeout: Duration,
        load: impl Fn() -> F,
    ) -> Result<J, E> {
        let deadline = Instant::now() + timeout;
        let mut changes = self.changes();
        loop {
            let job = load().await?;
            if job.status().is_ended() || Instant::now() >= deadline || changes.is_shutting_down() {
                return Ok(job);
            }
            tokio::time::timeout_at(deadline, changes.next()).await.ok();
        }
    }

    /// A watch on the progress of all jobs.
    pub fn changes(&self) -> Changes {
        Changes {
            progress: self.0.progress.subscribe(),
            streams: Arc::clone(&self.0.streams),
            shutdown: self.0.shutdown.clone(),
        }
    }

    fn leased(&self, id: Uuid, kind: String, worker: Worker) -> LeasedJob {
        LeasedJob {
            id,
            kind,
            worker,
            progress: self.0.progress.clone(),
        }
    }

    async fn claim_jobs(self) {
        let slots = Arc::new(Semaphore::new(MAX_CONCURRENT_JOBS));
        loop {
            while !self.0.shutdown.is_started() {
                let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                    break;
                };
                // A worker of its own for each claim, so that a lost lease stays lost.
                let worker = self.worker();
                match store::claim(&self.0.pool, worker).await {
                    Ok(Some((id, kind))) => {
                        let jobs = self.clone();
                        let job = self.leased(id, kind, worker);
                        self.0.shutdown.spawn(async move {
                            jobs.work_on(job).await;
                            drop(slot);
                            // The next job may be waiting for the slot.
                            jobs.wake();
                        });
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "claiming a job failed");
                        break;
                    }
                }
            }
            // Jitter, so that replicas do not poll at the same instant.
            let jitter = rand::rng().random_range(0.75..1.25);
            tokio::select! {
                () = self.0.shutdown.started() => return,
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(self.0.settings.poll_interval.mul_f64(jitter)) => {}
            }
        }
    }

    /// Works on a leased job until it ends, its lease is lost or the process shuts down.
    async fn work_on(&self, job: LeasedJob) {
        let span = tracing::info_span!("chassis.jobs.run", job = %job.id, kind = job.kind);
        async {
            tracing::info!("job started");
            let running = metrics::gauge!(W::METRICS.running, W::METRICS.labels(&job.kind));
            running.increment(1.0);
            let result = tokio::select! {
                // In this order: a claim that was under way when the shutdown began must not start work.
                biased;
                () = self.0.shutdown.started() => Err(Stop::ShuttingDown),
                () = self.keep_lease(&job) => Err(Stop::LeaseLost),
                result = self.0.work.run(&job) => result,
            };
            if let Err(error) = self.conclude(&job, result).await {
                // The lease expires and another worker continues.
                tracing::warn!(%error, "storing the outcome of a job failed");
            }
            running.decrement(1.0);
            self.0.progress.send_replace(());
        }
        .instrument(span)
        .await;
    }

    async fn conclude(&self, job: &LeasedJob, result: Result<(), Stop>) -> sqlx::Result<()> {
        let pool = &self.0.pool;
        match result {
            Ok(()) => self.finish(job, End::Succeeded).await,
            Err(Stop::GaveUp(reason)) => self.finish(job, End::Failed(reason)).await,
            Err(Stop::LeaseLost) => {
                tracing::info!("job was cancelled or taken over");
                Ok(())
            }
            Err(Stop::ShuttingDown) => {
                store::release(pool, job.id, job.worker, Duration::ZERO, None).await?;
                Ok(())
            }
            Err(reason @ (Stop::Unavailable(_) | Stop::Database(_))) => {
                tracing::warn!(%reason, "job is paused");
                metrics::counter!(W::METRICS.released_total, W::METRICS.labels(&job.kind))
                    .increment(1);
                let limit = self.0.settings.pause_limit;
                if store::release(pool, job.id, job.worker, PAUSE, limit).await? {
                    return Ok(());
                }
                let reason =
                    "a service that the job needs was unavailable for too long; try again later";
                self.finish(job, End::Failed(reason.to_owned())).await
            }
        }
    }

    async fn finish(&self, job: &LeasedJob, end: End) -> sqlx::Result<()> {
        let status = end.status();
        let mut transaction = self.0.pool.begin().await?;
        if !store::finish(&mut transaction, job.id, job.worker, status).await? {
            return Ok(());
        }
        self.0
            .work
            .end(&mut transaction, job.id, &job.kind, &end)
            .await?;
        transaction.commit().await?;
        let mut labels = W::METRICS.labels(&job.kind);
        labels.push(metrics::Label::new("status", status.name()));
        metrics::counter!(W::METRICS.ended_total, labels).increment(1);
        match end {
            End::Failed(reason) => tracing::warn!(reason, "job failed"),
            End::Succeeded | End::Cancelled => tracing::info!(status = status.name(), "job ended"),
        }
        Ok(())
    }

    /// Renews the lease of a job; returns when it is lost or may have expired.
    async fn keep_lease(&self, job: &LeasedJob) {
        let lease = self.0.settings.lease;
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(lease / 4).await;
            let started = Instant::now();
            // Without a time limit: it waits for a transaction of the work that has locked the row by a checkpoint, and
            // extends the lease from its end.
            match store::renew(&self.0.pool, job.id, job.worker, false).await {
                Ok(true) => renewed = started,
                Ok(false) => return,
                Err(error) => {
                    tracing::debug!(%error, "renewing a lease failed");
                    if renewed.elapsed() >= lease {
                        return;
                    }
                }
            }
        }
    }

    async fn expire_jobs(self) {
        loop {
            match store::expire(&self.0.pool, self.0.settings.retention_days).await {
                Ok(0) => {}
                Ok(jobs) => tracing::info!(jobs, "deleted expired jobs"),
                Err(error) => tracing::debug!(%error, "deleting expired jobs failed"),
            }
            if self.0.shutdown.sleep(EXPIRY_INTERVAL).await {
                return;
            }
        }
    }
}
