//! API keys.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::{broken, users};
use crate::models::{
    ApiKey, ApiKeyOwner, ApiKeySecret, NewApiKey, Role, Scope, SecretHash, UserId,
};

/// Keys of one user at most.
pub const MOST_KEYS: i64 = 50;

#[derive(sqlx::FromRow)]
struct ApiKeyRow {
    id: i64,
    name: String,
    prefix: String,
    scopes: Vec<String>,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
}

impl TryFrom<ApiKeyRow> for ApiKey {
    type Error = sqlx::Error;

    fn try_from(row: ApiKeyRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.id,
            name: row.name,
            prefix: row.prefix,
            scopes: scopes(&row.scopes)?,
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

fn scopes(names: &[String]) -> sqlx::Result<Vec<Scope>> {
    names
        .iter()
        .map(|name| Scope::named(name).ok_or_else(|| broken("a scope that is none")))
        .collect()
}

/// Why a key was not stored.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is no such user.
    #[error("there is no such user")]
    UserNotFound,
    /// Only administrators can have a key with this scope.
    #[error("the user is no administrator")]
    NotAdmin,
    /// The user has as many keys as anybody may have.
    #[error("the user has {MOST_KEYS} keys")]
    TooMany,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Stores a key of `user_id`.
///
/// # Errors
/// The user may not have it; or Postgres's.
pub async fn create(
    pool: &PgPool,
    user_id: UserId,
    key: &NewApiKey,
    secret: &ApiKeySecret,
) -> Result<ApiKey, CreateError> {
    let mut transaction = pool.begin().await?;
    let role: Option<String> =
        sqlx::query_scalar("select role from user_account where id = $1 for no key update")
            .bind(user_id.get())
            .fetch_optional(&mut *transaction)
            .await?;
    let role = users::role(&role.ok_or(CreateError::UserNotFound)?)?;
    if key.scopes().contains(&Scope::Admin) && role != Role::Admin {
        return Err(CreateError::NotAdmin);
    }
    let count: i64 = sqlx::query_scalar("select count(*) from api_key where user_id = $1")
        .bind(user_id.get())
        .fetch_one(&mut *transaction)
        .await?;
    if count >= MOST_KEYS {
        return Err(CreateError::TooMany);
    }
    let scopes: Vec<&str> = key.scopes().iter().map(|scope| scope.as_str()).collect();
    let row: ApiKeyRow = sqlx::query_as(
        "insert into api_key (user_id, name, key_hash, prefix, scopes, expires_at)
         values ($1, $2, $3, $4, $5, $6)
         returning id, name, prefix, scopes, created_at, expires_at",
    )
    .bind(user_id.get())
    .bind(key.name())
    .bind(secret.hash().as_bytes())
    .bind(secret.prefix())
    .bind(scopes)
    .bind(key.expires_at())
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(row.try_into()?)
}

/// The user's keys, the newest first.
///
/// # Errors
/// Postgres's.
pub async fn list(pool: &PgPool, user_id: UserId) -> sqlx::Result<Vec<ApiKey>> {
    sqlx::query_as::<_, ApiKeyRow>(
        "select id, name, prefix, scopes, created_at, expires_at
         from api_key
         where user_id = $1
         order by id desc",
    )
    .bind(user_id.get())
    .fetch_all(pool)
    .await?
    .into_iter()
    .map(ApiKey::try_from)
    .collect()
}

/// Takes a key of the user's away; false where they have none of this id.
///
/// # Errors
/// Postgres's.
pub async fn delete(pool: &PgPool, user_id: UserId, id: i64) -> sqlx::Result<bool> {
    sqlx::query("delete from api_key where user_id = $1 and id = $2")
        .bind(user_id.get())
        .bind(id)
        .execute(pool)
        .await
        .map(|done| done.rows_affected() > 0)
}

/// Whom the key with this hash stands for, if it is valid now.
///
/// # Errors
/// Postgres's.
pub async fn resolve(pool: &PgPool, hash: &SecretHash) -> sqlx::Result<Option<ApiKeyOwner>> {
    #[derive(sqlx::FromRow)]
    struct OwnerRow {
        user_id: i64,
        role: String,
        scopes: Vec<String>,
        expires_at: Option<DateTime<Utc>>,
    }
    let row: Option<OwnerRow> = sqlx::query_as(
        "select k.user_id, u.role, k.scopes, k.expires_at
         from api_key k
         join user_account u on u.id = k.user_id
         where k.key_hash = $1 and (k.expires_at is null or k.expires_at > now())",
    )
    .bind(hash.as_bytes())
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        Ok(ApiKeyOwner {
            user_id: UserId::new(row.user_id)
                .ok_or_else(|| broken("a user's id is not positive"))?,
            role: users::role(&row.role)?,
            scopes: scopes(&row.scopes)?,
            expires_at: row.expires_at,
        })
    })
    .transpose()
}
