//! Rows of movies in batches, for the indexes that are filled from the whole catalogue ([`super::listing`],
//! [`super::search`]): each selects its own columns and decodes them.

use futures_util::{StreamExt, TryStreamExt, stream::TryChunksError};
use sqlx::{PgPool, postgres::PgRow};
use tokio::sync::mpsc;

/// Rows per batch.
const BATCH_ROWS: usize = 500;

/// Sends all rows of `select` to `batches`, in heap order, until there is no receiver.
pub(super) async fn send_all(
    pool: &PgPool,
    select: &'static str,
    batches: mpsc::Sender<Vec<PgRow>>,
) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("set local statement_timeout = '10min'")
        .execute(&mut *transaction)
        .await?;
    {
        let rows = sqlx::query(select).fetch(&mut *transaction);
        let mut rows = rows.try_chunks(BATCH_ROWS);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|TryChunksError(_, error)| error)?;
            if batches.send(batch).await.is_err() {
                break;
            }
        }
    }
    transaction.commit().await
}

/// Returns the rows of `select`, which ends in a condition on `movie`, of those movies in `ids` that exist.
pub(super) async fn of_ids(
    pool: &PgPool,
    select: &'static str,
    ids: &[i64],
) -> sqlx::Result<Vec<PgRow>> {
    sqlx::query(sqlx::AssertSqlSafe(format!("{select} and id = any ($1)")))
        .bind(ids)
        .fetch_all(pool)
        .await
}
