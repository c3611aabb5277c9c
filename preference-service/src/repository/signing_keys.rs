//! Signing keys as they are stored; what they are for is the service's.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

/// A row of `signing_key`.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SigningKeyRow {
    /// Its name in tokens and in the JWKS.
    pub kid: String,
    /// 32 bytes.
    pub public_key: Vec<u8>,
    /// The seed, encrypted or not.
    pub private_key: Vec<u8>,
    /// Whether it is.
    pub encrypted: bool,
    /// From when on it signs.
    pub signs_from: DateTime<Utc>,
    /// Until when its tokens can be valid; none: it is the newest.
    pub verifies_until: Option<DateTime<Utc>>,
}

/// A new key, ready to be stored.
#[derive(Debug)]
pub struct NewSigningKey {
    /// Its name in tokens and in the JWKS.
    pub kid: String,
    /// 32 bytes.
    pub public_key: Vec<u8>,
    /// The seed, encrypted or not.
    pub private_key: Vec<u8>,
    /// Whether it is.
    pub encrypted: bool,
}

/// The keys whose tokens can be valid, the newest first.
///
/// # Errors
/// Postgres's.
pub async fn list(pool: &PgPool) -> sqlx::Result<Vec<SigningKeyRow>> {
    sqlx::query_as(
        "select kid, public_key, private_key, encrypted, signs_from, verifies_until
         from signing_key
         where verifies_until is null or verifies_until > now()
         order by signs_from desc, kid",
    )
    .fetch_all(pool)
    .await
}

/// Stores the very first key, unless somebody else was faster.
///
/// # Errors
/// Postgres's.
pub async fn create_first(pool: &PgPool, key: &NewSigningKey) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    sqlx::query(
        "insert into signing_key (kid, public_key, private_key, encrypted, signs_from)
         select $1, $2, $3, $4, now()
         where not exists (select from signing_key where verifies_until is null)",
    )
    .bind(&key.kid)
    .bind(&key.public_key)
    .bind(&key.private_key)
    .bind(key.encrypted)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

/// Stores `key`, which signs from `delay_seconds` on; those before it are told when their last token,
/// valid for `ttl_seconds`, has expired, and those whose time is over go.
///
/// # Errors
/// Postgres's.
pub async fn rotate(
    pool: &PgPool,
    key: &NewSigningKey,
    delay_seconds: u32,
    ttl_seconds: u32,
) -> sqlx::Result<DateTime<Utc>> {
    let mut transaction = pool.begin().await?;
    lock(&mut transaction).await?;
    sqlx::query("delete from signing_key where verifies_until <= now()")
        .execute(&mut *transaction)
        .await?;
    let signs_from: DateTime<Utc> = sqlx::query_scalar(
        "insert into signing_key (kid, public_key, private_key, encrypted, signs_from)
         values ($1, $2, $3, $4, now() + make_interval(secs => $5))
         returning signs_from",
    )
    .bind(&key.kid)
    .bind(&key.public_key)
    .bind(&key.private_key)
    .bind(key.encrypted)
    .bind(f64::from(delay_seconds))
    .fetch_one(&mut *transaction)
    .await?;
    sqlx::query(
        "update signing_key
         set verifies_until = greatest($2, signs_from) + make_interval(secs => $3)
         where kid <> $1 and verifies_until is null",
    )
    .bind(&key.kid)
    .bind(signs_from)
    .bind(f64::from(ttl_seconds))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(signs_from)
}

/// Makes those who change the keys do so one after another.
async fn lock(transaction: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("lock table signing_key in share row exclusive mode")
        .execute(transaction)
        .await
        .map(|_| ())
}
