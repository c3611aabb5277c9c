//! The recorder of impressions: a bounded queue that is stored in batches, so that a list never waits for it. Under
//! overload, or if Postgres is away for long, records are dropped and counted.

use std::time::Duration;

use chassis::shutdown::Shutdown;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::experiments::{Served, repository::impressions};

/// Served lists whose impressions were dropped (counter).
pub const LISTS_FORGOTTEN_TOTAL: &str = "recommendation_lists_forgotten_total";

/// The capacity of the queue, in lists.
const MAX_QUEUED: usize = 4096;
/// The lists per batch.
const MAX_BATCH: usize = 100;
/// The time within which a batch fills.
const BATCH_WINDOW: Duration = Duration::from_millis(200);
/// The pause before the first retry; it doubles with each.
const FIRST_RETRY_PAUSE: Duration = Duration::from_millis(500);
/// The attempts to store a batch.
const MAX_ATTEMPTS: u32 = 6;
/// The time limit for what is queued at the shutdown.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The recorder; cheap to clone.
#[derive(Clone)]
pub struct Recorder(mpsc::Sender<Served>);

impl Recorder {
    /// Starts a recorder that writes to `pool` until the shutdown, and then what is queued.
    pub fn start(pool: PgPool, shutdown: &Shutdown) -> Self {
        let (sender, receiver) = mpsc::channel(MAX_QUEUED);
        shutdown.spawn(write(pool, receiver, shutdown.clone()));
        Self(sender)
    }

    /// Records a list if an experiment or exploration counts it.
    pub fn record(&self, served: Served) {
        let is_counted = !served.participations.is_empty() || served.film_window_hours.is_some();
        if is_counted && !served.films.is_empty() && self.0.try_send(served).is_err() {
            count_dropped(1);
        }
    }
}

fn count_dropped(lists: usize) {
    metrics::counter!(LISTS_FORGOTTEN_TOTAL).increment(lists as u64);
}

async fn write(pool: PgPool, mut lists: mpsc::Receiver<Served>, shutdown: Shutdown) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        let came = tokio::select! {
            came = lists.recv_many(&mut batch, MAX_BATCH) => came,
            () = shutdown.started() => 0,
        };
        if came == 0 {
            break;
        }
        if batch.len() < MAX_BATCH && !shutdown.sleep(BATCH_WINDOW).await {
            while batch.len() < MAX_BATCH
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
        while lists.recv_many(&mut batch, MAX_BATCH).await > 0 {
            store(&pool, &batch, &shutdown).await;
            batch.clear();
        }
    };
    if tokio::time::timeout(DRAIN_TIMEOUT, rest).await.is_err() {
        count_dropped(batch.len() + lists.len());
    }
}

async fn store(pool: &PgPool, batch: &[Served], shutdown: &Shutdown) {
    let mut pause = FIRST_RETRY_PAUSE;
    for attempt in 1..=MAX_ATTEMPTS {
        let Err(error) = impressions::insert(pool, batch).await else {
            return;
        };
        tracing::debug!(%error, attempt, "cannot store impressions, trying again");
        // A process that stops has no time to wait.
        if attempt < MAX_ATTEMPTS && shutdown.sleep(pause).await {
            break;
        }
        pause *= 2;
    }
    tracing::warn!(
        lists = batch.len(),
        "dropped the impressions of served lists"
    );
    count_dropped(batch.len());
}
