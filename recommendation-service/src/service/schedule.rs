//! Training from time to time, in a process of its own, one replica at a time.

use std::{process::Stdio, time::Duration};

use chassis::shutdown::Shutdown;
use sqlx::PgPool;

use crate::{config::Config, registry::repository};

/// How often it is looked whether training is due.
const LOOK: Duration = Duration::from_secs(30);
/// How long training may take.
const TIME_LIMIT: Duration = Duration::from_secs(4 * 3600);

/// Has models trained every `training_interval_hours`, until the process ends. A process that ends while
/// it trains ends the training.
pub async fn keep_training(pool: PgPool, config: Config, shutdown: Shutdown) {
    let interval = Duration::from_secs(u64::from(config.training_interval_hours) * 3600);
    if interval.is_zero() {
        return;
    }
    loop {
        match repository::take_lease(&pool, interval, TIME_LIMIT).await {
            Ok(true) => {
                train(&shutdown).await;
                if let Err(error) = repository::return_lease(&pool).await {
                    tracing::warn!(%error, "cannot give the lease to train back; it ends by itself");
                }
            }
            Ok(false) => {}
            Err(error) => tracing::debug!(%error, "cannot look whether training is due"),
        }
        if shutdown.sleep(LOOK).await {
            return;
        }
    }
}

async fn train(shutdown: &Shutdown) {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            tracing::error!(%error, "training cannot be started");
            return;
        }
    };
    let child = tokio::process::Command::new(program)
        .arg("train")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(%error, "training cannot be started");
            return;
        }
    };
    tracing::info!("training has begun");
    // Dropping the child ends it.
    tokio::select! {
        () = shutdown.started() => tracing::info!("training is called off"),
        ended = tokio::time::timeout(TIME_LIMIT, child.wait()) => match ended {
            Ok(Ok(status)) if status.success() => tracing::info!("training has ended"),
            Ok(Ok(status)) => tracing::error!(%status, "training has failed"),
            Ok(Err(error)) => tracing::error!(%error, "training has failed"),
            Err(_) => tracing::error!("training took too long and was ended"),
        },
    }
}
