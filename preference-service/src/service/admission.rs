//! Admission of requests that are long or large: event streams of charts and uploads of imports. Used by the
//! handlers of charts and imports. A request over a limit is refused immediately, never queued.

use std::sync::Arc;

use chassis::shutdown::Shutdown;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Concurrent event streams of charts.
const MAX_CHART_STREAMS: usize = 1000;
/// Concurrent uploads of imports, each of which is held in memory while it is read.
const MAX_IMPORT_UPLOADS: usize = 8;

/// Admits event streams of charts and wakes them; cheap to clone.
#[derive(Clone)]
pub struct ChartStreams {
    streams: Arc<Semaphore>,
    /// Changes with every change record of this process.
    pub changes: watch::Receiver<()>,
    /// Ends the streams.
    pub shutdown: Shutdown,
}

impl ChartStreams {
    /// Streams that check their chart when `changes` does, and end with `shutdown`.
    pub fn new(changes: watch::Receiver<()>, shutdown: &Shutdown) -> Self {
        Self {
            streams: Arc::new(Semaphore::new(MAX_CHART_STREAMS)),
            changes,
            shutdown: shutdown.clone(),
        }
    }

    /// The permit of one more stream; `None` if [`MAX_CHART_STREAMS`] are open.
    pub fn admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }
}

/// Admits uploads of imports; cheap to clone.
#[derive(Clone)]
pub struct ImportAdmission {
    uploads: Arc<Semaphore>,
    /// The largest body of an upload, in bytes.
    pub max_bytes: usize,
}

impl ImportAdmission {
    /// Admission of uploads of at most `max_bytes` each.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            uploads: Arc::new(Semaphore::new(MAX_IMPORT_UPLOADS)),
            max_bytes,
        }
    }

    /// The permit of one more upload; `None` if [`MAX_IMPORT_UPLOADS`] are being read.
    pub fn admit_upload(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.uploads).try_acquire_owned().ok()
    }
}
