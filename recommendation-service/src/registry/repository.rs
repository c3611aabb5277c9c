//! SQL of the registry: versions with their bytes, the live one, and the jobs of scheduled training.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use recommender::model_file::{MAX_BYTES, Manifest};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, PgPool, Postgres, Transaction, types::Json};
use utoipa::ToSchema;
use uuid::Uuid;

/// The bytes in a row.
const CHUNK_BYTES: usize = 4 << 20;

/// The population that learned models were fitted to.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    sqlx::Type,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum ModelKind {
    /// The users of this platform.
    #[default]
    Own,
    /// The users of a published set: a base model, which serves as prior.
    Base,
}

impl ModelKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Own, Self::Base];

    /// The name in APIs, commands and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Base => "base",
        }
    }
}

/// A version that is stored.
pub struct NewModel<'a> {
    /// Its kind.
    pub kind: ModelKind,
    /// The data it was fitted to, and its metrics.
    pub manifest: &'a Manifest,
    /// Its file.
    pub bytes: &'a [u8],
    /// The file's SHA-256.
    pub sha256: &'a [u8],
}

/// A version of the learned models.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = ModelVersionResponse)]
pub struct ModelRow {
    /// The number of the version.
    #[schema(example = 3)]
    pub version: i64,
    /// The users that it was fitted to.
    pub kind: ModelKind,
    /// The time at which it was stored.
    pub created_at: DateTime<Utc>,
    /// True if it is live.
    pub is_live: bool,
    /// The size of its file in bytes.
    pub bytes: i64,
    /// The file's SHA-256, hexadecimal.
    pub sha256: String,
    /// The data it was fitted to, and its metrics.
    #[schema(value_type = Manifest)]
    pub manifest: Json<Manifest>,
}

/// A query for versions: the rest of the statement.
macro_rules! versions {
    ($after:tt $(, $argument:expr)*) => {
        sqlx::query_as!(
            ModelRow,
            r#"select version, kind as "kind: ModelKind", created_at, bytes, encode(sha256, 'hex') as "sha256!",
                exists (select from model_live
                        where model_version.version in (model_live.version, base_version))
                    as "is_live!",
                manifest as "manifest: Json<Manifest>"
               from model_version "# + $after
            $(, $argument)*
        )
    };
}

/// The stored versions, newest first.
#[tracing::instrument(name = "repository.models.list", level = "debug", skip_all)]
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<ModelRow>> {
    versions!("order by version desc limit 1000")
        .fetch_all(pool)
        .await
}

/// The metadata of `version`, if it is stored.
#[tracing::instrument(name = "repository.models.find", level = "debug", skip(pool))]
pub async fn find(pool: &PgPool, version: i64) -> sqlx::Result<Option<ModelRow>> {
    versions!("where version = $1", version)
        .fetch_optional(pool)
        .await
}

/// The live version of `kind`, if any.
pub async fn live(pool: &PgPool, kind: ModelKind) -> sqlx::Result<Option<i64>> {
    let version = sqlx::query_scalar!(
        "select case when $1 then base_version else version end from model_live where id",
        kind == ModelKind::Base,
    )
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

/// Stores a version, activates it if `live`, and deletes the oldest of its kind beyond `keep` that are not live.
#[tracing::instrument(name = "repository.models.insert", level = "debug", skip_all)]
pub async fn insert(pool: &PgPool, new: &NewModel<'_>, live: bool, keep: i64) -> sqlx::Result<i64> {
    let mut transaction = begin_long(pool).await?;
    let version = sqlx::query_scalar!(
        "insert into model_version (kind, manifest, bytes, sha256) values ($1, $2, $3, $4)
         returning version",
        new.kind as _,
        Json(new.manifest) as _,
        i64::try_from(new.bytes.len()).unwrap_or(i64::MAX),
        new.sha256,
    )
    .fetch_one(&mut *transaction)
    .await?;
    for (place, chunk) in (0_i32..).zip(new.bytes.chunks(CHUNK_BYTES)) {
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
        activate(&mut *transaction, new.kind, Some(version)).await?;
    }
    sqlx::query!(
        "delete from model_version
         where kind = $2
           and version not in (select version from model_version where kind = $2
                               order by version desc limit $1)
           and not exists (select from model_live
                           where model_version.version in (model_live.version, base_version))",
        keep.max(1),
        new.kind as _,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(version)
}

/// Activates `version` as the one of `kind`, or none; false if it is not stored, or of another kind.
#[tracing::instrument(name = "repository.models.activate", level = "debug", skip(executor))]
pub async fn activate(
    executor: impl PgExecutor<'_>,
    kind: ModelKind,
    version: Option<i64>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update model_live
         set version = case when $2 = 'own' then $1 else version end,
             base_version = case when $2 = 'base' then $1 else base_version end,
             changed_at = now()
         where id
           and ($1::bigint is null
                or exists (select from model_version where version = $1 and kind = $2))",
        version,
        kind as _,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Deletes `version`; false if it is not stored, or live.
#[tracing::instrument(name = "repository.models.delete", level = "debug", skip(pool))]
pub async fn delete(pool: &PgPool, version: i64) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "delete from model_version
         where version = $1
           and not exists (select from model_live
                           where model_version.version in (model_live.version, base_version))",
        version,
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Creates a training job and returns true, unless another one has not ended or was created less than
/// `interval` ago.
#[tracing::instrument(
    name = "repository.registry.create_training_if_due",
    level = "debug",
    skip_all
)]
pub async fn create_training_if_due(pool: &PgPool, interval: Duration) -> sqlx::Result<bool> {
    let result = sqlx::query!(
        "insert into job (id, kind)
         select $1, 'training'
         where not exists (select from job where kind = 'training'
                             and created_at > now() - make_interval(secs => $2))
         on conflict do nothing",
        Uuid::now_v7(),
        interval.as_secs_f64(),
    )
    .execute(pool)
    .await?;
    Ok(result.rows_affected() == 1)
}

/// The time since job `id` was created.
///
/// # Errors
/// Returns [`sqlx::Error`] if the statement fails or there is no such job.
pub async fn training_age(pool: &PgPool, id: Uuid) -> sqlx::Result<Duration> {
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from now() - created_at)::float8 as "seconds!" from job where id = $1"#,
        id,
    )
    .fetch_one(pool)
    .await?;
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
