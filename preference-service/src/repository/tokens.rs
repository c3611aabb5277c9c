//! SQL of logins: families of refresh tokens; called by [`crate::service::auth`].

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::models::{RefreshToken, Role, SecretHash, User, UserId};

/// Logins per user; one more replaces the least recently used.
const MAX_LOGINS: i64 = 50;

/// The proof of a login, which must still hold when it is stored.
#[derive(Debug, Clone, Copy)]
pub enum LoginProof<'a> {
    /// The password with this hash.
    Password(&'a str),
    /// The external identity of this id.
    Identity(i64),
    /// An approval that the user has just given.
    Approval,
}

/// Stores a login that ends after `ttl_seconds` without use; false if `proof` holds no longer, or the user is suspended or gone.
#[tracing::instrument(name = "repository.tokens.create", level = "debug", skip_all, fields(%user_id))]
pub async fn create(
    pool: &PgPool,
    user_id: UserId,
    proof: LoginProof<'_>,
    token: &RefreshToken,
    ttl_seconds: u32,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let (password_hash, identity) = match proof {
        LoginProof::Password(hash) => (Some(hash), None),
        LoginProof::Identity(id) => (None, Some(id)),
        LoginProof::Approval => (None, None),
    };
    // The lock serializes this with a change of the password, which ends all logins.
    let is_unchanged = sqlx::query!(
        "select from user_account
         where id = $1
           and ($2::text is null or password_hash = $2)
           and ($3::bigint is null or exists (select from external_identity where id = $3 and user_id = $1))
           and (suspended_until is null or suspended_until <= now())
         for no key update",
        user_id.get(),
        password_hash,
        identity
    )
    .fetch_optional(&mut *transaction)
    .await?
    .is_some();
    if !is_unchanged {
        return Ok(false);
    }
    sqlx::query!(
        "delete from refresh_family f
         where f.user_id = $1
           and (f.expires_at <= now() or f.id in (
               select id from refresh_family
               where user_id = $1
               order by rotated_at desc, id
               offset $2))",
        user_id.get(),
        MAX_LOGINS - 1
    )
    .execute(&mut *transaction)
    .await?;
    let hash = token.hash();
    sqlx::query!(
        "insert into refresh_family (user_id, id, token_hash, expires_at)
         values ($1, $2, $3, now() + make_interval(secs => $4))",
        user_id.get(),
        token.family,
        hash.as_bytes(),
        f64::from(ttl_seconds)
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

/// The result of presenting a refresh token.
#[derive(Debug)]
pub enum Rotation {
    /// The token was the newest of its family and is replaced; its owner and the time of the login.
    Rotated(User, DateTime<Utc>),
    /// The token was used before and its family is deleted; its owner.
    Reused(UserId),
    /// The family does not exist or has expired.
    Unknown,
}

/// Replaces `presented` by `next` if it is the newest token of its family. Of concurrent calls one
/// succeeds, and the others delete the family.
#[tracing::instrument(name = "repository.tokens.rotate", level = "debug", skip_all)]
pub async fn rotate(
    pool: &PgPool,
    presented: &RefreshToken,
    next: &SecretHash,
    ttl_seconds: u32,
) -> sqlx::Result<Rotation> {
    let hash = presented.hash();
    let owner = sqlx::query!(
        r#"with rotated as (
               update refresh_family
               set token_hash = $3,
                   rotated_at = now(),
                   expires_at = now() + make_interval(secs => $4)
               where id = $1 and token_hash = $2 and expires_at > now()
               returning user_id, created_at as logged_in_at)
           select u.id as "id: UserId", u.username, u.email, u.role as "role: Role", u.created_at,
                  r.logged_in_at
           from rotated r
           join user_account u on u.id = r.user_id"#,
        presented.family,
        hash.as_bytes(),
        next.as_bytes(),
        f64::from(ttl_seconds)
    )
    .fetch_optional(pool)
    .await?;
    if let Some(owner) = owner {
        let user = User {
            id: owner.id,
            username: owner.username,
            email: owner.email,
            role: owner.role,
            created_at: owner.created_at,
        };
        return Ok(Rotation::Rotated(user, owner.logged_in_at));
    }
    let deleted = sqlx::query_scalar!(
        r#"delete from refresh_family
           where id = $1 and token_hash <> $2 and expires_at > now()
           returning user_id as "user_id: UserId""#,
        presented.family,
        hash.as_bytes()
    )
    .fetch_optional(pool)
    .await?;
    Ok(deleted.map_or(Rotation::Unknown, Rotation::Reused))
}

/// Deletes the login that `presented` belongs to, used before or not.
#[tracing::instrument(name = "repository.tokens.delete", level = "debug", skip_all)]
pub async fn delete(pool: &PgPool, presented: &RefreshToken) -> sqlx::Result<()> {
    sqlx::query!("delete from refresh_family where id = $1", presented.family)
        .execute(pool)
        .await
        .map(|_| ())
}
