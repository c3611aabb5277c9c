//! SQL of the registry: versions with their bytes, and the live one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use recommender::model_file::{MAX_BYTES, Manifest};
use sqlx::{PgExecutor, PgPool, Postgres, Transaction, types::Json};

/// The bytes in a row.
const CHUNK_BYTES: usize = 4 << 20;
/// The metadata of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRow {
    /// The version's number, from 1.
    pub version: i64,
    /// The time at which it was stored.
    pub created_at: DateTime<Utc>,
    /// The data it was fitted to, and its metrics.
    pub manifest: Json<Manifest>,
    /// The size of its file in bytes.
    pub bytes: i64,
    /// The file's SHA-256.
    pub sha256: Vec<u8>,
}

/// The stored versions, newest first.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable.
#[tracing::instrument(name = "repository.models.list", level = "debug", skip_all)]
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<ModelRow>> {
    sqlx::query_as!(
        ModelRow,
        r#"select version, created_at, manifest as "manifest: Json<Manifest>", bytes, sha256
           from model_version order by version desc limit 1000"#,
    )
    .fetch_all(pool)
    .await
}

/// The metadata of `version`, if it is stored.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable.
#[tracing::instrument(name = "repository.models.find", level = "debug", skip(pool))]
pub async fn find(pool: &PgPool, version: i64) -> sqlx::Result<Option<ModelRow>> {
    sqlx::query_as!(
        ModelRow,
        r#"select version, created_at, manifest as "manifest: Json<Manifest>", bytes, sha256
           from model_version where version = $1"#,
        version,
    )
    .fetch_optional(pool)
    .await
}

/// The live version, if any.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable.
pub async fn live(pool: &PgPool) -> sqlx::Result<Option<i64>> {
    let version = sqlx::query_scalar!("select version from model_live where id")
        .fetch_optional(pool)
        .await?;
    Ok(version.flatten())
}

/// Begins a transaction whose statements may take two minutes each.
async fn begin_long(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("set local statement_timeout = '2min'")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// The bytes of `version`: fewer than it had if chunks are missing, and at most [`MAX_BYTES`].
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable.
#[tracing::instrument(name = "repository.models.load", level = "debug", skip(pool))]
pub async fn load(pool: &PgPool, version: i64) -> sqlx::Result<Vec<u8>> {
    let mut transaction = begin_long(pool).await?;
    let length = sqlx::query_scalar!(
        "select bytes from model_version where version = $1",
        version
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let length = usize::try_from(length.unwrap_or(0)).unwrap_or(0);
    let mut all = Vec::with_capacity(length.min(MAX_BYTES));
    let mut chunks = sqlx::query_scalar!(
        "select bytes from model_chunk where version = $1 order by place",
        version
    )
    .fetch(&mut *transaction);
    while let Some(chunk) = chunks.try_next().await? {
        if all.len() + chunk.len() > MAX_BYTES {
            break;
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Stores a version, activates it if `live`, and deletes the oldest beyond `keep` that are not live.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable.
#[tracing::instrument(name = "repository.models.insert", level = "debug", skip_all)]
pub async fn insert(
    pool: &PgPool,
    manifest: &Manifest,
    bytes: &[u8],
    sha256: &[u8],
    live: bool,
    keep: i64,
) -> sqlx::Result<i64> {
    let mut transaction = begin_long(pool).await?;
    let version = sqlx::query_scalar!(
        "insert into model_version (manifest, bytes, sha256) values ($1, $2, $3) returning version",
        Json(manifest) as _,
        i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        sha256,
    )
    .fetch_one(&mut *transaction)
    .await?;
    for (place, chunk) in (0_i32..).zip(bytes.chunks(CHUNK_BYTES)) {
        sqlx::query!(
            "insert into model_chunk (version, place, bytes) values ($1, $2, $3)",
            version,
            place,
            chunk,
        )
        .execute(&mut *transaction)
        .await?;
    }
    if live {
        activate(&mut *transaction, Some(version)).await?;
    }
    sqlx::query!(
        "delete from model_version
         where version not in (select version from model_version order by version desc limit $1)
           and version not in (select version from model_live where version is not null)",
        keep.max(1),
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(version)
}

/// Activates `version`, or none; false if it is not stored.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable.
#[tracing::instrument(name = "repository.models.activate", level = "debug", skip(executor))]
pub async fn activate(executor: impl PgExecutor<'_>, version: Option<i64>) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update model_live set version = $1, changed_at = now()
         where id and ($1::bigint is null or exists (select from model_version where version = $1))",
        version,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes the lease to train for `time_limit`, if nobody has it and training began last longer ago than
/// `interval`.
///
/// # Errors
/// Postgres's.
pub async fn take_lease(
    pool: &PgPool,
    interval: Duration,
    time_limit: Duration,
) -> sqlx::Result<bool> {
    let taken = sqlx::query(
        "update training_lease
         set held_until = now() + make_interval(secs => $2), started_at = now()
         where id and held_until < now() and started_at < now() - make_interval(secs => $1)",
    )
    .bind(interval.as_secs_f64())
    .bind(time_limit.as_secs_f64())
    .execute(pool)
    .await?;
    Ok(taken.rows_affected() > 0)
}

/// Gives the lease back.
///
/// # Errors
/// Postgres's.
pub async fn return_lease(pool: &PgPool) -> sqlx::Result<()> {
    sqlx::query("update training_lease set held_until = now() where id")
        .execute(pool)
        .await
        .map(|_| ())
}
