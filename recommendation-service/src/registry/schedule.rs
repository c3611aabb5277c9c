//! Scheduled training of models: a job that runs `recommendation-service train` in a process of its own, on
//! one replica at a time. Started by [`crate::app`]; must not train in the service's own process.

use std::{process::Stdio, time::Duration};

use chassis::{
    jobs::{JobMetrics, JobSettings, Jobs, LeasedJob, Stop, Work},
    shutdown::Shutdown,
};
use sqlx::PgPool;
use tokio::process::Command;

use super::repository;
use crate::config::Config;

/// The interval between two checks of whether training is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);
/// The time after which another replica restarts the training of a process that died.
const LEASE: Duration = Duration::from_secs(30);
/// The time that training may take, with all restarts.
const TRAINING_TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// Days for which an ended training job is kept, beyond the interval.
const RETENTION_DAYS: u32 = 30;

struct Training {
    pool: PgPool,
}

impl Work for Training {
    const METRICS: JobMetrics = JobMetrics {
        ended_total: "training_jobs_total",
        running: "training_jobs_running",
        released_total: "training_jobs_released_total",
        by_kind: false,
    };

    async fn run(&self, job: &LeasedJob) -> Result<(), Stop> {
        let age = repository::training_age(&self.pool, job.id).await?;
        let program = std::env::current_exe().map_err(start_failed)?;
        let mut child = Command::new(program)
            .arg("train")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            // The future is dropped when the process shuts down or loses the lease.
            .kill_on_drop(true)
            .spawn()
            .map_err(start_failed)?;
        let remaining = TRAINING_TIMEOUT.saturating_sub(age);
        match tokio::time::timeout(remaining, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Stop::GaveUp(format!("training failed: {status}"))),
            Ok(Err(error)) => Err(Stop::GaveUp(format!("training failed: {error}"))),
            Err(_) => Err(Stop::GaveUp("training took too long".to_owned())),
        }
    }
}

fn start_failed(error: std::io::Error) -> Stop {
    Stop::GaveUp(format!("training cannot be started: {error}"))
}

/// Has models trained every `training_interval_hours` until the shutdown begins; never if it is 0.
pub async fn keep_training(pool: PgPool, config: Config, shutdown: Shutdown) {
    let hours = config.training_interval_hours;
    if hours == 0 {
        return;
    }
    let settings = JobSettings {
        lease: LEASE,
        poll_interval: CHECK_INTERVAL,
        pause_limit: None,
        // The last job must not be deleted before the next one is due.
        retention_days: i32::try_from(hours / 24 + RETENTION_DAYS).unwrap_or(i32::MAX),
    };
    let work = Training { pool: pool.clone() };
    let jobs = Jobs::start(pool.clone(), work, settings, &shutdown);
    let interval = Duration::from_secs(u64::from(hours) * 3600);
    loop {
        match repository::create_training_if_due(&pool, interval).await {
            Ok(true) => jobs.wake(),
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "creating a training job failed"),
        }
        if shutdown.sleep(CHECK_INTERVAL).await {
            return;
        }
    }
}
