//! Scheduled tasks of the service itself. Each run is a job, so that one replica works on it and the job table records
//! the last run.

use std::time::Duration;

use chassis::{clock::Clock, shutdown::Shutdown};
use chrono::{DateTime, Utc};
use rand::Rng;

use super::jobs::Jobs;
use crate::{
    models::{Item, JobKind, Parameters},
    repository::jobs::{Created, NewJob},
};

/// A replica checks for a due run at least this often.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// A scheduled task.
pub trait Task: Send + Sync + 'static {
    /// The kind of its jobs.
    const KIND: JobKind;
    /// The time of the last success on any replica (gauge, seconds since 1970).
    const LAST_SUCCESS: &'static str;
    /// Runs that this replica started (counter).
    const RUNS_TOTAL: &'static str;

    /// Updates the task's metrics; called at every check.
    fn observe(&self) -> impl Future<Output = sqlx::Result<()>> + Send {
        async { Ok(()) }
    }

    /// Returns the items of a run; without any there is no run.
    fn plan(&self) -> impl Future<Output = sqlx::Result<Vec<Item>>> + Send;

    /// The maximum number of movies per run.
    fn max_movies(&self) -> u32;
}

/// Runs a task every so often, until the shutdown begins; `None` is a task that the settings disable.
pub fn start<T: Task>(
    task: Option<(T, Duration)>,
    jobs: &Jobs,
    clock: &Clock,
    shutdown: &Shutdown,
) {
    if let Some((task, interval)) = task {
        let schedule = Schedule {
            task,
            interval,
            jobs: jobs.clone(),
            clock: clock.clone(),
            shutdown: shutdown.clone(),
        };
        shutdown.spawn(schedule.run());
    }
}

struct Schedule<T> {
    task: T,
    interval: Duration,
    jobs: Jobs,
    clock: Clock,
    shutdown: Shutdown,
}

impl<T: Task> Schedule<T> {
    async fn run(self) {
        // Spreads the checks of replicas that start together.
        let mut pause = self.interval.min(Duration::from_secs(5)) / 4;
        loop {
            let jittered = pause.mul_f64(rand::rng().random_range(0.5..1.5));
            if self.shutdown.sleep(jittered).await {
                return;
            }
            pause = match self.run_if_due().await {
                Ok(pause) => pause,
                Err(error) => {
                    let kind = T::KIND.name();
                    tracing::debug!(kind, %error, "cannot check for a due run");
                    CHECK_INTERVAL
                }
            };
        }
    }

    /// Starts a run if one is due; returns the time until the next check.
    async fn run_if_due(&self) -> sqlx::Result<Duration> {
        self.task.observe().await?;
        let (requested, succeeded) = self.jobs.last_of(T::KIND).await?;
        if let Some(succeeded) = succeeded {
            #[expect(
                clippy::cast_precision_loss,
                reason = "seconds since 1970 fit f64's 53 bits"
            )]
            metrics::gauge!(T::LAST_SUCCESS).set(succeeded.timestamp() as f64);
        }
        let left = self.remaining(requested);
        if !left.is_zero() {
            return Ok(left.min(CHECK_INTERVAL));
        }
        let items = self.task.plan().await?;
        if !items.is_empty() {
            let created = self.jobs.create(&self.job(items, requested), false).await?;
            if let Created::New(job) = created {
                metrics::counter!(T::RUNS_TOTAL).increment(1);
                tracing::info!(%job, kind = T::KIND.name(), "run started");
            }
        }
        Ok(self.interval.min(CHECK_INTERVAL))
    }

    /// The time until the next run is due, after the one requested at `requested`.
    fn remaining(&self, requested: Option<DateTime<Utc>>) -> Duration {
        let Some(requested) = requested else {
            return Duration::ZERO;
        };
        // Up to a tenth of the interval, the same on every replica.
        let jitter = f64::from(requested.timestamp_subsec_micros() % 1000) / 10_000.0;
        let since = (self.clock.now() - requested).to_std().unwrap_or_default();
        self.interval.mul_f64(1.0 + jitter).saturating_sub(since)
    }

    fn job(&self, items: Vec<Item>, after: Option<DateTime<Utc>>) -> NewJob {
        // Deduplicates runs of replicas that checked at the same time. Clients' keys contain no space.
        let key = format!("{} after {after:?}", T::KIND.name());
        NewJob {
            kind: T::KIND,
            parameters: Parameters {
                most_films: i32::try_from(self.task.max_movies()).ok(),
                impatient: false,
            },
            items,
            idempotency: Some((key, String::new())),
        }
    }
}
