//! Who works on which import, and until when. Every replica looks for imports that nobody holds; whoever
//! takes one renews its lease while it works, and loses it when it dies: another goes on from there.

use std::{sync::Arc, time::Duration};

use rand::Rng;
use tokio::{sync::Semaphore, time::Instant};

use super::{Imports, Inner};
use crate::{
    models::ImportFailure,
    repository::{
        import_work::{self, Held},
        imports,
    },
};

/// Imports that ended, by how (counter).
pub const IMPORTS_TOTAL: &str = "imports_total";
/// Imports that this process works on (gauge).
pub const IMPORTS_RUNNING: &str = "imports_running";
/// Rows of imports, by what became of them (counter).
pub const IMPORT_ROWS_TOTAL: &str = "import_rows_total";

/// Imports that a process works on at once.
const AT_ONCE: usize = 4;
/// How often each process looks for work of its own accord.
const POLL: Duration = Duration::from_secs(2);
/// An import that cannot go on now is left alone for so many seconds.
const PAUSE_SECONDS: f64 = 2.0;
/// Old imports are looked for this often.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);

/// Why the work on an import stopped before its end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is not this worker's any more, or its user is gone.
    Lost,
    /// The process stops.
    Stopping,
    /// Something that it needs is away.
    Away(String),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Away(format!("Postgres: {error}"))
    }
}

impl Imports {
    pub(super) fn spawn_workers(&self) {
        self.0.shutdown.spawn(self.clone().look_for_work());
        self.0.shutdown.spawn(self.clone().expire());
    }

    async fn look_for_work(self) {
        let Inner {
            pool,
            worker,
            options,
            wake,
            shutdown,
            ..
        } = self.0.as_ref();
        let slots = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            while !shutdown.is_started() {
                let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
                    break;
                };
                match import_work::claim(pool, *worker, options.lease.as_secs_f64()).await {
                    Ok(Some(held)) => {
                        let imports = self.clone();
                        shutdown.spawn(async move {
                            imports.work(held).await;
                            drop(slot);
                            // The next may wait already.
                            imports.0.wake.notify_one();
                        });
                    }
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "cannot look for imports");
                        break;
                    }
                }
            }
            // Replicas that look at the same instant would only get in each other's way.
            let pause = POLL.mul_f64(rand::rng().random_range(0.75..1.25));
            tokio::select! {
                () = shutdown.started() => return,
                () = wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Works on an import until it has ended, is somebody else's, or this process stops.
    async fn work(&self, mut held: Held) {
        let Inner {
            pool,
            worker,
            options,
            shutdown,
            moved,
            ..
        } = self.0.as_ref();
        let id = held.id;
        metrics::gauge!(IMPORTS_RUNNING).increment(1.0);
        let lease = held.clone();
        let result = tokio::select! {
            () = shutdown.started() => Err(Stop::Stopping),
            () = self.keep_lease(&lease) => Err(Stop::Lost),
            result = self.go_through(&mut held) => result,
        };
        let given_up = chrono::Utc::now() - held.updated_at
            > chrono::TimeDelta::from_std(options.patience).unwrap_or(chrono::TimeDelta::MAX);
        let ended = match result {
            Ok(()) => self.finish(&held, None).await,
            Err(Stop::Lost) => {
                tracing::info!(import = %id, "an import was called off or taken over");
                Ok(())
            }
            Err(Stop::Stopping) => import_work::release(pool, &held, *worker, 0.0).await,
            Err(Stop::Away(reason)) if given_up => {
                tracing::warn!(import = %id, reason, "an import is given up");
                let reason = "what it needs was away for too long; import the files again";
                self.finish(&held, Some(reason.to_owned())).await
            }
            Err(Stop::Away(reason)) => {
                tracing::warn!(import = %id, reason, "an import cannot go on now");
                import_work::release(pool, &held, *worker, PAUSE_SECONDS).await
            }
        };
        if let Err(error) = ended {
            // Its lease runs out, then somebody goes on with it.
            tracing::warn!(import = %id, %error, "cannot record how an import stands");
        }
        metrics::gauge!(IMPORTS_RUNNING).decrement(1.0);
        moved.send_replace(());
    }

    async fn finish(&self, held: &Held, reason: Option<String>) -> sqlx::Result<()> {
        let Inner { pool, worker, .. } = self.0.as_ref();
        let failure = reason.map(|reason| ImportFailure {
            file: None,
            line: None,
            reason,
        });
        let ended = import_work::finish(pool, held, *worker, failure.as_ref()).await?;
        if let Some(status) = ended {
            let status = status.as_str();
            metrics::counter!(IMPORTS_TOTAL, "status" => status).increment(1);
            tracing::info!(import = %held.id, status, "an import has ended");
        }
        Ok(())
    }

    /// Returns when the import is no longer this process's, or may not be.
    async fn keep_lease(&self, held: &Held) {
        let Inner {
            pool,
            worker,
            options,
            ..
        } = self.0.as_ref();
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(options.lease / 4).await;
            let asked = Instant::now();
            match import_work::renew(pool, held, *worker, options.lease.as_secs_f64()).await {
                Ok(true) => renewed = asked,
                Ok(false) => return,
                Err(error) => {
                    tracing::debug!(%error, "cannot renew a lease");
                    if renewed.elapsed() >= options.lease {
                        return;
                    }
                }
            }
        }
    }

    async fn expire(self) {
        let Inner {
            pool,
            options,
            shutdown,
            ..
        } = self.0.as_ref();
        loop {
            match imports::expire(pool, options.retention_days).await {
                Ok(0) => {}
                Ok(imports) => tracing::info!(imports, "old imports expired"),
                Err(error) => tracing::debug!(%error, "cannot expire imports"),
            }
            if shutdown.sleep(EXPIRE_EVERY).await {
                return;
            }
        }
    }
}
