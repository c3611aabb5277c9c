//! Stores batches of movies over two connections, since Postgres takes longer for a batch than the reader. A file's
//! movies are distinct, so the order of batches does not matter.

use std::time::Duration;

use rand::Rng;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::{
    models::{Genre, NewMovie},
    repository::{
        dumps::{self, Row, Stored},
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

/// The movies of a transaction.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<Row>,
    bytes: usize,
    genres: Vec<Genre>,
}

impl Batch {
    pub(super) fn push(&mut self, film: &NewMovie, genres: Vec<Genre>) {
        let row = Row::new(film);
        self.bytes += row.bytes();
        self.rows.push(row);
        self.genres.extend(genres);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MAX_MOVIES || self.bytes >= MAX_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Stores batches until the queue is closed.
///
/// # Errors
/// Returns [`sqlx::Error`] if a batch cannot be stored; earlier ones stay.
pub(super) async fn write_all(
    pool: &PgPool,
    layout: &'static str,
    queue: mpsc::Receiver<Batch>,
) -> sqlx::Result<Stored> {
    let queue = tokio::sync::Mutex::new(queue);
    let writers = (0..WRITERS).map(|_| async {
        let mut stored = Stored::default();
        loop {
            let batch = queue.lock().await.recv().await;
            let Some(batch) = batch else {
                return Ok::<_, sqlx::Error>(stored);
            };
            stored += write(pool, layout, batch).await?;
        }
    });
    let all = futures_util::future::try_join_all(writers).await?;
    Ok(all.into_iter().fold(Stored::default(), |mut sum, part| {
        sum += part;
        sum
    }))
}

async fn write(pool: &PgPool, layout: &str, batch: Batch) -> sqlx::Result<Stored> {
    let mut attempts = 1;
    loop {
        match write_once(pool, layout, &batch).await {
            Err(error) if attempts < MAX_ATTEMPTS && is_conflict(&error) => {
                attempts += 1;
                let pause = rand::rng().random_range(0.1..1.0);
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            }
            result => return result,
        }
    }
}

async fn write_once(pool: &PgPool, layout: &str, batch: &Batch) -> sqlx::Result<Stored> {
    if !batch.genres.is_empty() {
        movies::upsert_genres(pool, &batch.genres, false).await?;
    }
    dumps::store(pool, layout, &batch.rows).await
}

/// True for a deadlock or a serialization failure.
fn is_conflict(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|database| database.code())
        .is_some_and(|code| code == "40P01" || code == "40001")
}
