//! SQL of API keys; called by [`crate::service::api_keys`].

use sqlx::PgPool;

use super::users;
use crate::{
    error::{Error, MAX_API_KEYS},
    models::{ApiKey, ApiKeyOwner, ApiKeySecret, NewApiKey, Role, Scope, SecretHash, UserId},
};

/// Stores a key of `user_id`.
///
/// # Errors
/// `UserNotFound`; `NotAdmin` if the scope `admin` is requested for another user than an administrator; `TooManyApiKeys`.
#[tracing::instrument(name = "repository.api_keys.create", level = "debug", skip_all, fields(%user_id))]
pub async fn create(
    pool: &PgPool,
    user_id: UserId,
    key: &NewApiKey,
    secret: &ApiKeySecret,
) -> Result<ApiKey, Error> {
    let mut transaction = pool.begin().await?;
    let role = users::lock_role(&mut transaction, user_id).await?;
    if key.scopes.contains(&Scope::Admin) && role != Role::Admin {
        return Err(Error::NotAdmin);
    }
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from api_key where user_id = $1"#,
        user_id.get()
    )
    .fetch_one(&mut *transaction)
    .await?;
    if count >= MAX_API_KEYS {
        return Err(Error::TooManyApiKeys);
    }
    let hash = secret.hash();
    let key = sqlx::query_as!(
        ApiKey,
        r#"insert into api_key (user_id, name, key_hash, prefix, scopes, expires_at)
           values ($1, $2, $3, $4, $5, $6)
           returning id, name, prefix, scopes as "scopes: Vec<Scope>", created_at, expires_at"#,
        user_id.get(),
        key.name,
        hash.as_bytes(),
        secret.prefix(),
        &key.scopes as &[Scope],
        key.expires_at
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(key)
}

/// Lists the user's keys, newest first.
#[tracing::instrument(name = "repository.api_keys.list", level = "debug", skip_all, fields(%user_id))]
pub async fn list(pool: &PgPool, user_id: UserId) -> sqlx::Result<Vec<ApiKey>> {
    sqlx::query_as!(
        ApiKey,
        r#"select id, name, prefix, scopes as "scopes: Vec<Scope>", created_at, expires_at
           from api_key
           where user_id = $1
           order by id desc"#,
        user_id.get()
    )
    .fetch_all(pool)
    .await
}

/// Deletes a key of the user; false if they have no key of this id.
#[tracing::instrument(name = "repository.api_keys.delete", level = "debug", skip_all, fields(%user_id, id))]
pub async fn delete(pool: &PgPool, user_id: UserId, id: i64) -> sqlx::Result<bool> {
    sqlx::query!(
        "delete from api_key where user_id = $1 and id = $2",
        user_id.get(),
        id
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Finds the owner of the unexpired key with this hash.
#[tracing::instrument(name = "repository.api_keys.find_owner", level = "debug", skip_all)]
pub async fn find_owner(pool: &PgPool, hash: &SecretHash) -> sqlx::Result<Option<ApiKeyOwner>> {
    sqlx::query_as!(
        ApiKeyOwner,
        r#"select k.user_id as "user_id: UserId", u.role as "role: Role",
                  k.scopes as "scopes: Vec<Scope>", k.expires_at
           from api_key k
           join user_account u on u.id = k.user_id
           where k.key_hash = $1 and (k.expires_at is null or k.expires_at > now())
             and (u.suspended_until is null or u.suspended_until <= now())"#,
        hash.as_bytes()
    )
    .fetch_optional(pool)
    .await
}
