//! The warm pool: what many will ask for is fetched before they do. On a schedule of its own, as a job
//! among the others, so that one replica does it, and the jobs themselves tell when it was last done.

use std::time::Duration;

use chassis::shutdown::Shutdown;
use chrono::{DateTime, Utc};
use rand::Rng;

use super::jobs::Jobs;
use crate::{
    config::Config,
    models::{Item, JobKind, MovieList, Parameters},
    repository::jobs::{Created, NewJob},
};

/// When the warm pool was last filled, by whichever replica (gauge, seconds since 1970).
pub const WARM_POOL_LAST_SUCCESS: &str = "warm_pool_last_success_timestamp_seconds";
/// Runs that this replica began (counter). What they fetched is under the jobs' metrics, kind `warm_pool`.
pub const WARM_POOL_RUNS_TOTAL: &str = "warm_pool_runs_total";

/// Films on a page of TMDB's.
const FILMS_A_PAGE: u32 = 20;
/// TMDB shows no page beyond.
const LAST_PAGE: u32 = 500;
/// A replica looks whether a run is due at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Fills the warm pool.
pub struct WarmPool {
    jobs: Jobs,
    interval: Duration,
    size: u32,
    shutdown: Shutdown,
}

impl WarmPool {
    /// Fills the warm pool on its schedule until the shutdown begins; not at all, if the settings say so.
    pub fn start(jobs: Jobs, config: &Config, shutdown: &Shutdown) {
        let pool = Self {
            jobs,
            interval: Duration::from_secs(config.warm_pool_interval_seconds),
            size: config.warm_pool_size,
            shutdown: shutdown.clone(),
        };
        if !pool.interval.is_zero() && pool.size > 0 {
            shutdown.spawn(pool.run());
        }
    }

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
                    tracing::debug!(%error, "cannot look whether the warm pool is due");
                    LOOK_AGAIN
                }
            };
        }
    }

    /// Begins a run if one is due; when to look again.
    async fn run_if_due(&self) -> sqlx::Result<Duration> {
        let (asked, succeeded) = self.jobs.last_of(JobKind::WarmPool).await?;
        if let Some(succeeded) = succeeded {
            #[expect(
                clippy::cast_precision_loss,
                reason = "seconds since 1970 fit f64's 53 bits"
            )]
            metrics::gauge!(WARM_POOL_LAST_SUCCESS).set(succeeded.timestamp() as f64);
        }
        let left = self.left(asked);
        if left.is_zero() {
            let created = self.jobs.create(&job(self.size, asked), false).await?;
            if let Created::New(job) = created {
                metrics::counter!(WARM_POOL_RUNS_TOTAL).increment(1);
                tracing::info!(job = %job.job_id, "the warm pool is filled");
            }
        }
        let left = if left.is_zero() { self.interval } else { left };
        Ok(left.min(LOOK_AGAIN))
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
}

/// Half of the films from the trending of the day, the rest, and what both lists have, from the popular.
fn job(size: u32, after: Option<DateTime<Utc>>) -> NewJob {
    // A replica that looked before another's run began, and begins after it ended, begins nothing. No
    // client's key has a space.
    let key = format!("warm pool after {after:?}");
    let pages = |films: u32| 1..=films.div_ceil(FILMS_A_PAGE).min(LAST_PAGE);
    let trending = pages(size.div_ceil(2)).map(|page| Item::Page(MovieList::TrendingDay, page));
    let popular = pages(size).map(|page| Item::Page(MovieList::Popular, page));
    NewJob {
        kind: JobKind::WarmPool,
        parameters: Parameters {
            most_films: i32::try_from(size).ok(),
            impatient: false,
        },
        items: trending.chain(popular).collect(),
        idempotency: Some((key, String::new())),
    }
}
