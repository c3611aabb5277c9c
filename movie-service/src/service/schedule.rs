//! What is done again and again, of the service's own accord: each run is a job among the others, so
//! that one replica does it, and the jobs themselves tell when it was last done.

use std::time::Duration;

use chassis::shutdown::Shutdown;
use chrono::{DateTime, Utc};
use rand::Rng;

use super::jobs::Jobs;
use crate::{
    models::{Item, JobKind, Parameters},
    repository::jobs::{Created, NewJob},
};

/// A replica looks whether a run is due at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Something that is done again and again.
pub trait Task: Send + Sync + 'static {
    /// What its jobs are.
    const KIND: JobKind;
    /// When one last succeeded, on whichever replica (gauge, seconds since 1970).
    const LAST_SUCCESS: &'static str;
    /// Runs that this replica began (counter). What they fetched is under the jobs' metrics.
    const RUNS_TOTAL: &'static str;

    /// Called whenever a replica looks whether a run is due.
    fn look(&self) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// What a run would have to do; nothing, where there is nothing to do.
    fn plan(&self) -> impl Future<Output = sqlx::Result<Vec<Item>>> + Send;

    /// How many films a run fetches at most.
    fn most_films(&self) -> u32;
}

/// Does `task` every `interval`, until the shutdown begins.
pub fn start<T: Task>(task: T, interval: Duration, jobs: Jobs, shutdown: &Shutdown) {
    let schedule = Schedule {
        task,
        interval,
        jobs,
        shutdown: shutdown.clone(),
    };
    shutdown.spawn(schedule.run());
}

struct Schedule<T> {
    task: T,
    interval: Duration,
    jobs: Jobs,
    shutdown: Shutdown,
}

impl<T: Task> Schedule<T> {
    async fn run(self) {
        // Replicas that start together do not look together.
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
                    tracing::debug!(kind, %error, "cannot look whether a run is due");
                    LOOK_AGAIN
                }
            };
        }
    }

    /// Begins a run if one is due; when to look again.
    async fn run_if_due(&self) -> sqlx::Result<Duration> {
        self.task.look().await?;
        let (asked, succeeded) = self.jobs.last_of(T::KIND).await?;
        if let Some(succeeded) = succeeded {
            #[expect(
                clippy::cast_precision_loss,
                reason = "seconds since 1970 fit f64's 53 bits"
            )]
            metrics::gauge!(T::LAST_SUCCESS).set(succeeded.timestamp() as f64);
        }
        let left = self.left(asked);
        if !left.is_zero() {
            return Ok(left.min(LOOK_AGAIN));
        }
        let items = self.task.plan().await?;
        if !items.is_empty() {
            let created = self.jobs.create(&self.job(items, asked), false).await?;
            if let Created::New(job) = created {
                metrics::counter!(T::RUNS_TOTAL).increment(1);
                tracing::info!(%job, kind = T::KIND.name(), "a run begins");
            }
        }
        Ok(self.interval.min(LOOK_AGAIN))
    }

    /// How long until the next run is due, the last one having been asked for at `asked`.
    fn left(&self, asked: Option<DateTime<Utc>>) -> Duration {
        let Some(asked) = asked else {
            return Duration::ZERO;
        };
        // The same on every replica, another each time: a tenth of the interval at most.
        let jitter = f64::from(asked.timestamp_subsec_micros() % 1000) / 10_000.0;
        let since = (Utc::now() - asked).to_std().unwrap_or_default();
        self.interval.mul_f64(1.0 + jitter).saturating_sub(since)
    }

    fn job(&self, items: Vec<Item>, after: Option<DateTime<Utc>>) -> NewJob {
        // A replica that looked before another's run began, and begins after it ended, begins nothing. No
        // client's key has a space.
        let key = format!("{} after {after:?}", T::KIND.name());
        NewJob {
            kind: T::KIND,
            parameters: Parameters {
                most_films: i32::try_from(self.task.most_films()).ok(),
                impatient: false,
            },
            items,
            idempotency: Some((key, String::new())),
        }
    }
}
