//! The repetition of work whose movies the catalogue lacked: at once when movies arrive, and from time to time. Started by
//! [`super::imports`] and [`super::webhooks`], which know what is due.

use std::time::Duration;

use chassis::shutdown::Shutdown;
use tokio::sync::watch;

use crate::error::Error;

/// The size of a batch.
pub(super) const BATCH: i64 = 100;
/// The maximum time between two looks at what is due.
const POLL_INTERVAL: Duration = Duration::from_secs(60);
/// Batches in a row, after which the others wait for the next look.
const MAX_BATCHES: usize = 20;

/// Repeats `take_batch`, which returns the size of the batch, while there is more, when `arrived` changes and after every
/// interval, until the shutdown begins. `work` is for the log.
pub(super) async fn run(
    work: &'static str,
    mut arrived: watch::Receiver<()>,
    shutdown: Shutdown,
    take_batch: impl AsyncFn() -> Result<usize, Error>,
) {
    loop {
        // Replicas shall not look at the same time.
        let pause = POLL_INTERVAL.mul_f64(rand::random_range(0.5..1.0));
        tokio::select! {
            stopping = shutdown.sleep(pause) => if stopping { return },
            Ok(()) = arrived.changed() => {}
        }
        for _ in 0..MAX_BATCHES {
            match take_batch().await {
                Ok(taken) if i64::try_from(taken) == Ok(BATCH) => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(%error, work, "what waits for movies cannot be repeated now");
                    break;
                }
            }
        }
    }
}
