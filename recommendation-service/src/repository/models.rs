//! The registry of models: versions with their bytes, which one is live, and who trains.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use recommender::model_file::{MAX_BYTES, Manifest};
use sqlx::{PgConnection, PgPool, types::Json};

/// Bytes in a row.
const CHUNK: usize = 4 << 20;
/// How long reading or writing a version may take in Postgres.
const PATIENCE: &str = "set local statement_timeout = '2min'";

/// A version as the registry knows it.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct ModelRow {
    /// Its number.
    pub version: i64,
    /// When it was written.
    pub created_at: DateTime<Utc>,
    /// What it was made from, and how good it is.
    pub manifest: Json<Manifest>,
    /// How long its file is.
    pub bytes: i64,
    /// The file's SHA-256.
    pub sha256: Vec<u8>,
}

/// The versions that are kept, newest first.
///
/// # Errors
/// Postgres's.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<ModelRow>> {
    sqlx::query_as(
        "select version, created_at, manifest, bytes, sha256 from model_version
         order by version desc limit 1000",
    )
    .fetch_all(pool)
    .await
}

/// Version `version`, if it is kept.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, version: i64) -> sqlx::Result<Option<ModelRow>> {
    sqlx::query_as(
        "select version, created_at, manifest, bytes, sha256 from model_version where version = $1",
    )
    .bind(version)
    .fetch_optional(pool)
    .await
}

/// The version that is live.
///
/// # Errors
/// Postgres's.
pub async fn live(pool: &PgPool) -> sqlx::Result<Option<i64>> {
    let version = sqlx::query_scalar("select version from model_live where id")
        .fetch_optional(pool)
        .await?;
    Ok(version.flatten())
}

/// The bytes of `version`; fewer than it had where pieces are missing, and never more than a file may
/// have.
///
/// # Errors
/// Postgres's.
pub async fn load(pool: &PgPool, version: i64) -> sqlx::Result<Vec<u8>> {
    let mut transaction = pool.begin().await?;
    sqlx::query(PATIENCE).execute(&mut *transaction).await?;
    let length: Option<i64> =
        sqlx::query_scalar("select bytes from model_version where version = $1")
            .bind(version)
            .fetch_optional(&mut *transaction)
            .await?;
    let length = usize::try_from(length.unwrap_or(0)).unwrap_or(0);
    let mut all = Vec::with_capacity(length.min(MAX_BYTES));
    let mut chunks = sqlx::query_scalar::<_, Vec<u8>>(
        "select bytes from model_chunk where version = $1 order by place",
    )
    .bind(version)
    .fetch(&mut *transaction);
    while let Some(chunk) = chunks.try_next().await? {
        if all.len() + chunk.len() > MAX_BYTES {
            break;
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Writes a version, makes it live if `live` says so, and drops the oldest beyond `keep` that are not
/// live.
///
/// # Errors
/// Postgres's.
pub async fn insert(
    pool: &PgPool,
    manifest: &Manifest,
    bytes: &[u8],
    sha256: &[u8],
    live: bool,
    keep: i64,
) -> sqlx::Result<i64> {
    let mut transaction = pool.begin().await?;
    sqlx::query(PATIENCE).execute(&mut *transaction).await?;
    let version: i64 = sqlx::query_scalar(
        "insert into model_version (manifest, bytes, sha256) values ($1, $2, $3) returning version",
    )
    .bind(Json(manifest))
    .bind(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
    .bind(sha256)
    .fetch_one(&mut *transaction)
    .await?;
    for (place, chunk) in (0_i32..).zip(bytes.chunks(CHUNK)) {
        sqlx::query("insert into model_chunk (version, place, bytes) values ($1, $2, $3)")
            .bind(version)
            .bind(place)
            .bind(chunk)
            .execute(&mut *transaction)
            .await?;
    }
    if live {
        set_live(&mut transaction, Some(version)).await?;
    }
    sqlx::query(
        "delete from model_version
         where version not in (select version from model_version order by version desc limit $1)
           and version not in (select version from model_live where version is not null)",
    )
    .bind(keep.max(1))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(version)
}

async fn set_live(connection: &mut PgConnection, version: Option<i64>) -> sqlx::Result<()> {
    sqlx::query("update model_live set version = $1, changed_at = now() where id")
        .bind(version)
        .execute(connection)
        .await
        .map(|_| ())
}

/// Makes `version` live, or none; false where it is not kept.
///
/// # Errors
/// Postgres's.
pub async fn promote(pool: &PgPool, version: Option<i64>) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "update model_live set version = $1, changed_at = now()
         where id and ($1::bigint is null or exists (select from model_version where version = $1))",
    )
    .bind(version)
    .execute(pool)
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
