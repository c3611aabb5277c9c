//! Requests that came with an `Idempotency-Key`, and their answers.

use std::time::Duration;

use sqlx::{PgPool, types::Json};

use crate::models::{Begun, KeyedRequest, StoredAnswer};

/// Takes `request` for ours for as long as `lease`, unless it is known. A key whose request was never
/// answered within its lease is free again.
///
/// # Errors
/// Postgres's.
pub async fn begin(pool: &PgPool, request: &KeyedRequest, lease: Duration) -> sqlx::Result<Begun> {
    let taken = sqlx::query(
        "insert into idempotency_key (principal, key, request_hash, locked_until)
         values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4))
         on conflict (principal, key) do update
         set request_hash = excluded.request_hash, locked_until = excluded.locked_until
         where idempotency_key.status is null and idempotency_key.locked_until < clock_timestamp()",
    )
    .bind(&request.principal)
    .bind(&request.key)
    .bind(&request.hash[..])
    .bind(lease.as_secs_f64())
    .execute(pool)
    .await?
    .rows_affected();
    if taken == 1 {
        return Ok(Begun::First);
    }
    type Known = (
        Vec<u8>,
        Option<i16>,
        Option<Json<Vec<(String, String)>>>,
        Option<Vec<u8>>,
    );
    let known: Option<Known> = sqlx::query_as(
        "select request_hash, status, headers, body from idempotency_key
         where principal = $1 and key = $2",
    )
    .bind(&request.principal)
    .bind(&request.key)
    .fetch_optional(pool)
    .await?;
    Ok(match known {
        Some((hash, ..)) if hash != request.hash => Begun::Other,
        Some((_, Some(status), Some(Json(headers)), Some(body))) => Begun::Answered(StoredAnswer {
            status: u16::try_from(status).unwrap_or_default(),
            headers,
            body,
        }),
        // Also where it was let go of between the two statements: the client comes again.
        _ => Begun::Running,
    })
}

/// Keeps the answer to `request`.
///
/// # Errors
/// Postgres's.
pub async fn finish(
    pool: &PgPool,
    request: &KeyedRequest,
    answer: &StoredAnswer,
) -> sqlx::Result<()> {
    sqlx::query(
        "update idempotency_key set status = $4, headers = $5, body = $6
         where principal = $1 and key = $2 and request_hash = $3",
    )
    .bind(&request.principal)
    .bind(&request.key)
    .bind(&request.hash[..])
    .bind(i16::try_from(answer.status).unwrap_or_default())
    .bind(Json(&answer.headers))
    .bind(&answer.body)
    .execute(pool)
    .await
    .map(|_| ())
}

/// Frees the key of `request`, which changed nothing.
///
/// # Errors
/// Postgres's.
pub async fn release(pool: &PgPool, request: &KeyedRequest) -> sqlx::Result<()> {
    sqlx::query(
        "delete from idempotency_key
         where principal = $1 and key = $2 and request_hash = $3 and status is null",
    )
    .bind(&request.principal)
    .bind(&request.key)
    .bind(&request.hash[..])
    .execute(pool)
    .await
    .map(|_| ())
}

/// Forgets what is older than `retention`; how many.
///
/// # Errors
/// Postgres's.
pub async fn expire(pool: &PgPool, retention: Duration) -> sqlx::Result<u64> {
    sqlx::query(
        "delete from idempotency_key
         where created_at < clock_timestamp() - make_interval(secs => $1)",
    )
    .bind(retention.as_secs_f64())
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}
