//! Keeps what was served, beside the requests: a bounded queue, written in batches. A list never waits
//! for it; what does not fit, or cannot be written in time, is forgotten and counted.

use std::time::Duration;

use chassis::shutdown::Shutdown;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::experiments::{Served, repository::impressions};

/// Lists that were served and could not be kept (counter).
pub const LISTS_FORGOTTEN_TOTAL: &str = "recommendation_lists_forgotten_total";

/// How many lists wait to be written at most.
const QUEUE: usize = 4096;
/// How many lists are written at once at most.
const BATCH: usize = 100;
/// How long lists are gathered for.
const GATHER: Duration = Duration::from_millis(200);
/// How long a batch that could not be written waits for the next try; twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How often a batch is tried.
const TRIES: u32 = 6;
/// How long the last lists of a process that stops may take.
const FAREWELL: Duration = Duration::from_secs(3);

/// Takes lists; cheap to clone.
#[derive(Clone)]
pub struct Recorder(mpsc::Sender<Served>);

impl Recorder {
    /// Writes to `pool` until the shutdown, and then what is left.
    #[must_use]
    pub fn start(pool: PgPool, shutdown: &Shutdown) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        shutdown.spawn(write(pool, receiver, shutdown.clone()));
        Self(sender)
    }

    /// Takes a list that somebody should know of; another is let go.
    pub fn record(&self, served: Served) {
        let is_wanted = !served.participations.is_empty() || served.film_window_hours.is_some();
        if is_wanted && !served.films.is_empty() && self.0.try_send(served).is_err() {
            forget(1);
        }
    }
}

fn forget(lists: usize) {
    metrics::counter!(LISTS_FORGOTTEN_TOTAL).increment(lists as u64);
}

async fn write(pool: PgPool, mut lists: mpsc::Receiver<Served>, shutdown: Shutdown) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let came = tokio::select! {
            came = lists.recv_many(&mut batch, BATCH) => came,
            () = shutdown.started() => 0,
        };
        if came == 0 {
            break;
        }
        if batch.len() < BATCH && !shutdown.sleep(GATHER).await {
            while batch.len() < BATCH
                && let Ok(more) = lists.try_recv()
            {
                batch.push(more);
            }
        }
        store(&pool, &batch, &shutdown).await;
        batch.clear();
    }
    lists.close();
    let rest = async {
        while lists.recv_many(&mut batch, BATCH).await > 0 {
            store(&pool, &batch, &shutdown).await;
            batch.clear();
        }
    };
    if tokio::time::timeout(FAREWELL, rest).await.is_err() {
        forget(batch.len() + lists.len());
    }
}

async fn store(pool: &PgPool, batch: &[Served], shutdown: &Shutdown) {
    let mut pause = FIRST_PAUSE;
    for attempt in 1..=TRIES {
        let Err(error) = impressions::insert(pool, batch).await else {
            return;
        };
        tracing::debug!(%error, attempt, "cannot keep what was served");
        // A process that stops has no time to wait.
        if attempt < TRIES && shutdown.sleep(pause).await {
            break;
        }
        pause *= 2;
    }
    tracing::warn!(lists = batch.len(), "forgot lists that were served");
    forget(batch.len());
}
