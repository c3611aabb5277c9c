//! Stores batches of movies over two connections, since Postgres takes longer for a batch than the reader. A file's
//! movies are distinct, so the order of batches does not matter.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rand::Rng;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::{
    models::Genre,
    repository::{
        dumps::{self, Rows, Stored},
        movies,
    },
};

/// Movies per transaction.
const MAX_MOVIES: usize = 5_000;
/// Bytes per transaction, which bounds the memory of long rows.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Connections that write.
const WRITERS: usize = 2;
/// Attempts to store a batch that Postgres aborts because of another transaction.
const MAX_ATTEMPTS: u32 = 5;

/// The movies of a transaction, with the genres that they introduce.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) rows: Rows,
    pub(super) genres: Vec<Genre>,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.rows.count >= MAX_MOVIES || self.rows.bytes() >= MAX_BYTES
    }
}

/// Stores batches until the queue is closed or one fails; earlier ones stay.
pub(super) async fn write_all(
    pool: &PgPool,
    layout: &'static str,
    queue: mpsc::Receiver<Batch>,
) -> sqlx::Result<Stored> {
    let batches = stream::unfold(queue, |mut queue| async move {
        let batch = queue.recv().await?;
        Some((batch, queue))
    });
    batches
        .map(|batch| write(pool, layout, batch))
        .buffer_unordered(WRITERS)
        .try_fold(Stored::default(), |sum, part| async move { Ok(sum + part) })
        .await
}

async fn write(pool: &PgPool, layout: &str, batch: Batch) -> sqlx::Result<Stored> {
    let mut attempts = 1;
    loop {
        let stored = async {
            if !batch.genres.is_empty() {
                movies::upsert_genres(pool, &batch.genres, false).await?;
            }
            dumps::store(pool, layout, &batch.rows).await
        };
        match stored.await {
            Err(error) if attempts < MAX_ATTEMPTS && is_conflict(&error) => {
                attempts += 1;
                let pause = rand::rng().random_range(0.1..1.0);
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            }
            result => return result,
        }
    }
}

/// True for a deadlock or a serialization failure.
fn is_conflict(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|database| database.code())
        .is_some_and(|code| code == "40P01" || code == "40001")
}
