//! From batches of films to Postgres, on two connections at once: one core of Postgres is slower than
//! one of ours. Which films each has does not matter, since a file tells of each film once.

use std::time::Duration;

use rand::Rng;
use sqlx::PgPool;
use tokio::sync::mpsc;

use crate::{
    models::{DumpMovie, Genre},
    repository::{
        dumps::{self, Row, Stored},
        movies,
    },
};

/// Films in one transaction.
const MOST_FILMS: usize = 5_000;
/// And bytes of them, so that long rows take no more memory than many.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Connections that write.
const WRITERS: usize = 2;
/// A batch that stood in somebody's way is tried again so often.
const TRIES: u32 = 5;

/// Films for one transaction.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<Row>,
    bytes: usize,
    genres: Vec<Genre>,
}

impl Batch {
    pub(super) fn push(&mut self, film: &DumpMovie, genres: Vec<Genre>) {
        let row = Row::new(film);
        self.bytes += row.bytes();
        self.rows.push(row);
        self.genres.extend(genres);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= MOST_FILMS || self.bytes >= MOST_BYTES
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Stores batches until there are no more.
///
/// # Errors
/// Postgres's; what was stored before stays.
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
            stored.add(write(pool, layout, batch).await?);
        }
    });
    let all = futures_util::future::try_join_all(writers).await?;
    Ok(all.into_iter().fold(Stored::default(), |mut sum, part| {
        sum.add(part);
        sum
    }))
}

async fn write(pool: &PgPool, layout: &str, batch: Batch) -> sqlx::Result<Stored> {
    let mut tries = 1;
    loop {
        match write_once(pool, layout, &batch).await {
            Err(error) if tries < TRIES && is_in_the_way(&error) => {
                tries += 1;
                let pause = rand::rng().random_range(0.1..1.0);
                tokio::time::sleep(Duration::from_secs_f64(pause)).await;
            }
            result => return result,
        }
    }
}

async fn write_once(pool: &PgPool, layout: &str, batch: &Batch) -> sqlx::Result<Stored> {
    if !batch.genres.is_empty() {
        movies::add_genres(pool, &batch.genres).await?;
    }
    dumps::store(pool, layout, &batch.rows).await
}

/// Whether Postgres ended the transaction because of another one.
fn is_in_the_way(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(|database| database.code())
        .is_some_and(|code| code == "40P01" || code == "40001")
}
