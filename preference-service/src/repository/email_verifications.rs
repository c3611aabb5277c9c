//! SQL of addresses that wait for their verification; called by [`crate::service::email_verification`].

use sqlx::PgPool;

use crate::{
    error::Error,
    models::{SecretHash, UniqueText, UserId},
};

/// The time in which a link is valid and an account may be unverified, in seconds.
const TTL_SECONDS: f64 = 86_400.0;

/// Stores an address that waits, instead of the one that waited before.
///
/// # Errors
/// `EmailTaken` if another user has the address.
#[tracing::instrument(name = "repository.email_verifications.store", level = "debug", skip_all, fields(%user_id))]
pub async fn store(
    pool: &PgPool,
    user_id: UserId,
    email: &UniqueText,
    token: &SecretHash,
) -> Result<(), Error> {
    let stored = sqlx::query!(
        "insert into email_verification (user_id, token_hash, email, email_key, expires_at)
         select $1, $2, $3, $4, now() + make_interval(secs => $5)
         where not exists (select from user_account where email_key = $4 and id <> $1)
         on conflict (user_id) do update
         set token_hash = excluded.token_hash, email = excluded.email,
             email_key = excluded.email_key, created_at = now(), expires_at = excluded.expires_at",
        user_id.get(),
        token.as_bytes(),
        email.text,
        email.key,
        TTL_SECONDS
    )
    .execute(pool)
    .await?
    .rows_affected();
    (stored > 0).then_some(()).ok_or(Error::EmailTaken)
}

/// Finds the address of the user that waits for its verification; the outer `None` if no user has this id.
#[tracing::instrument(name = "repository.email_verifications.find", level = "debug", skip_all, fields(%user_id))]
pub async fn find(pool: &PgPool, user_id: UserId) -> sqlx::Result<Option<Option<UniqueText>>> {
    let row = sqlx::query!(
        r#"select coalesce(v.email, u.email) as "email!", coalesce(v.email_key, u.email_key) as "key!",
                  v.email is not null or u.unverified_since is not null as "is_waiting!"
           from user_account u
           left join email_verification v on v.user_id = u.id
           where u.id = $1"#,
        user_id.get()
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| {
        row.is_waiting.then_some(UniqueText {
            text: row.email,
            key: row.key,
        })
    }))
}

/// Makes the address that waits with this token the user's; false if none does.
///
/// # Errors
/// `EmailTaken` if another user has the address by now.
#[tracing::instrument(
    name = "repository.email_verifications.verify",
    level = "debug",
    skip_all
)]
pub async fn verify(pool: &PgPool, token: &SecretHash) -> Result<bool, Error> {
    let verified = sqlx::query!(
        "with opened as (
             delete from email_verification where token_hash = $1 and expires_at > now()
             returning user_id, email, email_key)
         update user_account u
         set email = opened.email, email_key = opened.email_key, unverified_since = null,
             email_verified_at = now()
         from opened where u.id = opened.user_id",
        token.as_bytes()
    )
    .execute(pool)
    .await?
    .rows_affected();
    Ok(verified > 0)
}

/// Lists accounts that have been unverified for a day.
#[tracing::instrument(
    name = "repository.email_verifications.list_expired",
    level = "debug",
    skip_all
)]
pub async fn list_expired(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<UserId>> {
    sqlx::query_scalar!(
        r#"select id as "id: UserId" from user_account
           where unverified_since < now() - make_interval(secs => $1)
           order by unverified_since
           limit $2"#,
        TTL_SECONDS,
        limit
    )
    .fetch_all(pool)
    .await
}
