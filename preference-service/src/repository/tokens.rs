//! Logins: families of refresh tokens.

use sqlx::PgPool;

use super::{broken, users::UserRow};
use crate::models::{RefreshToken, SecretHash, User, UserId};

/// Logins of one user at most; the one that was not used for longest goes.
const MOST_LOGINS: i64 = 50;

/// Stores a login that ends after `ttl_seconds` without use; false where the user's password is no
/// longer `password_hash`, or the user is gone.
///
/// # Errors
/// Postgres's.
pub async fn create(
    pool: &PgPool,
    user_id: UserId,
    password_hash: &str,
    token: &RefreshToken,
    ttl_seconds: u32,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    // Whoever changes the password ends all logins, and waits for this one or is waited for.
    let unchanged = sqlx::query(
        "select from user_account where id = $1 and password_hash = $2 for no key update",
    )
    .bind(user_id.get())
    .bind(password_hash)
    .fetch_optional(&mut *transaction)
    .await?
    .is_some();
    if !unchanged {
        return Ok(false);
    }
    sqlx::query(
        "delete from refresh_family f
         where f.user_id = $1
           and (f.expires_at <= now() or f.id in (
               select id from refresh_family
               where user_id = $1
               order by rotated_at desc, id
               offset $2))",
    )
    .bind(user_id.get())
    .bind(MOST_LOGINS - 1)
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "insert into refresh_family (user_id, id, token_hash, expires_at)
         values ($1, $2, $3, now() + make_interval(secs => $4))",
    )
    .bind(user_id.get())
    .bind(token.family())
    .bind(token.hash().as_bytes())
    .bind(f64::from(ttl_seconds))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

/// What came of a refresh token that was shown.
#[derive(Debug)]
pub enum Rotation {
    /// It was the newest of its family, and is replaced; its owner as they are now.
    Rotated(User),
    /// It was used before: the family is gone. Its owner.
    Reused(UserId),
    /// There is no such family, or it has expired.
    Unknown,
}

/// Replaces `shown` by `next`, if it is the newest token of its family; of several who try at once
/// one succeeds, and the others end the family.
///
/// # Errors
/// Postgres's.
pub async fn rotate(
    pool: &PgPool,
    shown: &RefreshToken,
    next: &SecretHash,
    ttl_seconds: u32,
) -> sqlx::Result<Rotation> {
    let owner = sqlx::query_as::<_, UserRow>(
        "with rotated as (
             update refresh_family
             set token_hash = $3,
                 rotated_at = now(),
                 expires_at = now() + make_interval(secs => $4)
             where id = $1 and token_hash = $2 and expires_at > now()
             returning user_id)
         select u.id, u.username, u.email, u.role, u.created_at
         from rotated r
         join user_account u on u.id = r.user_id",
    )
    .bind(shown.family())
    .bind(shown.hash().as_bytes())
    .bind(next.as_bytes())
    .bind(f64::from(ttl_seconds))
    .fetch_optional(pool)
    .await?;
    if let Some(owner) = owner {
        return Ok(Rotation::Rotated(owner.try_into()?));
    }
    let ended: Option<i64> = sqlx::query_scalar(
        "delete from refresh_family
         where id = $1 and token_hash <> $2 and expires_at > now()
         returning user_id",
    )
    .bind(shown.family())
    .bind(shown.hash().as_bytes())
    .fetch_optional(pool)
    .await?;
    match ended {
        Some(id) => UserId::new(id)
            .map(Rotation::Reused)
            .ok_or_else(|| broken("a user's id is not positive")),
        None => Ok(Rotation::Unknown),
    }
}

/// Ends the login that `shown` belongs to, used before or not.
///
/// # Errors
/// Postgres's.
pub async fn end(pool: &PgPool, shown: &RefreshToken) -> sqlx::Result<()> {
    sqlx::query("delete from refresh_family where id = $1")
        .bind(shown.family())
        .execute(pool)
        .await
        .map(|_| ())
}
