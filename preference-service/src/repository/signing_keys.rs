//! SQL of signing keys; called by [`crate::service::signing`], which encrypts and decrypts them.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// The stored part of a signing key.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// The key id in the header of tokens and in the JWK set.
    pub kid: String,
    /// The public key, 32 bytes.
    pub public_key: Vec<u8>,
    /// The seed, 32 bytes; if encrypted: nonce, ciphertext and tag.
    pub private_key: Vec<u8>,
    /// True if `private_key` is encrypted.
    pub encrypted: bool,
}

/// Lists the keys whose tokens can be valid, newest first, each with the time from which it signs.
#[tracing::instrument(name = "repository.signing_keys.list", level = "debug", skip_all)]
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<(StoredKey, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        "select kid, public_key, private_key, encrypted, signs_from
         from signing_key
         where verifies_until is null or verifies_until > now()
         order by signs_from desc, kid"
    )
    .fetch_all(pool)
    .await?;
    let keys = rows.into_iter().map(|row| {
        let key = StoredKey {
            kid: row.kid,
            public_key: row.public_key,
            private_key: row.private_key,
            encrypted: row.encrypted,
        };
        (key, row.signs_from)
    });
    Ok(keys.collect())
}

/// Stores the very first key, unless another process was faster.
#[tracing::instrument(
    name = "repository.signing_keys.create_first",
    level = "debug",
    skip_all
)]
pub async fn create_first(pool: &PgPool, key: &StoredKey) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    sqlx::query!(
        "insert into signing_key (kid, public_key, private_key, encrypted, signs_from)
         select $1, $2, $3, $4, now()
         where not exists (select from signing_key where verifies_until is null)",
        key.kid,
        key.public_key,
        key.private_key,
        key.encrypted
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// Stores `key`, which signs after `delay_seconds`; returns that time. Earlier keys verify until their
/// last token, valid for `ttl_seconds`, has expired. Keys past that time are deleted.
#[tracing::instrument(name = "repository.signing_keys.rotate", level = "debug", skip_all)]
pub async fn rotate(
    pool: &PgPool,
    key: &StoredKey,
    delay_seconds: u32,
    ttl_seconds: u32,
) -> sqlx::Result<DateTime<Utc>> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    sqlx::query!("delete from signing_key where verifies_until <= now()")
        .execute(&mut *transaction)
        .await?;
    let signs_from = sqlx::query_scalar!(
        "insert into signing_key (kid, public_key, private_key, encrypted, signs_from)
         values ($1, $2, $3, $4, now() + make_interval(secs => $5))
         returning signs_from",
        key.kid,
        key.public_key,
        key.private_key,
        key.encrypted,
        f64::from(delay_seconds)
    )
    .fetch_one(&mut *transaction)
    .await?;
    sqlx::query!(
        "update signing_key
         set verifies_until = greatest($2, signs_from) + make_interval(secs => $3)
         where kid <> $1 and verifies_until is null",
        key.kid,
        signs_from,
        f64::from(ttl_seconds)
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(signs_from)
}

/// Serializes the transactions that change the keys.
async fn lock(transaction: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("lock table signing_key in share row exclusive mode")
        .execute(transaction)
        .await
        .map(|_| ())
}
