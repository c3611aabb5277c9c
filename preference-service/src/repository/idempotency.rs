//! SQL of idempotency keys; called by [`crate::service::idempotency`].

use std::time::Duration;

use sqlx::{PgPool, types::Json};

use crate::models::{KeyState, KeyedRequest, StoredResponse, UserId};

/// Leases the key of `request` for `lease`, unless it is in use. A key whose request was not completed
/// within its lease is free again.
#[tracing::instrument(name = "repository.idempotency.acquire", level = "debug", skip_all)]
pub async fn acquire(
    pool: &PgPool,
    request: &KeyedRequest,
    lease: Duration,
) -> sqlx::Result<KeyState> {
    let acquired = sqlx::query!(
        "insert into idempotency_key (principal, key, request_hash, locked_until, user_id)
         values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5)
         on conflict (principal, key) do update
         set request_hash = excluded.request_hash, locked_until = excluded.locked_until,
             user_id = excluded.user_id
         where idempotency_key.status is null and idempotency_key.locked_until < clock_timestamp()",
        request.principal,
        request.key,
        &request.hash[..],
        lease.as_secs_f64(),
        request.user_id.map(UserId::get)
    )
    .execute(pool)
    .await?
    .rows_affected();
    if acquired == 1 {
        return Ok(KeyState::Acquired);
    }
    let stored = sqlx::query!(
        r#"select request_hash, status, headers as "headers: Json<Vec<(String, String)>>", body
           from idempotency_key
           where principal = $1 and key = $2"#,
        request.principal,
        request.key
    )
    .fetch_optional(pool)
    .await?;
    // A key released between the two statements counts as in progress: the client tries again.
    let Some(stored) = stored else {
        return Ok(KeyState::InProgress);
    };
    if stored.request_hash != request.hash {
        return Ok(KeyState::Mismatch);
    }
    Ok(match (stored.status, stored.headers, stored.body) {
        (Some(status), Some(Json(headers)), Some(body)) => KeyState::Completed(StoredResponse {
            status: u16::try_from(status).unwrap_or_default(),
            headers,
            body,
        }),
        _ => KeyState::InProgress,
    })
}

/// Stores the response to `request`. It is about `created`, if the request created this user, and goes with their data.
#[tracing::instrument(name = "repository.idempotency.complete", level = "debug", skip_all)]
pub async fn complete(
    pool: &PgPool,
    request: &KeyedRequest,
    response: &StoredResponse,
    created: Option<UserId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update idempotency_key
         set status = $4, headers = $5, body = $6, user_id = coalesce($7, user_id)
         where principal = $1 and key = $2 and request_hash = $3",
        request.principal,
        request.key,
        &request.hash[..],
        i16::try_from(response.status).unwrap_or_default(),
        Json(&response.headers) as _,
        response.body,
        created.map(UserId::get)
    )
    .execute(pool)
    .await
    .map(|_| ())
}

/// Releases the key of `request`, which changed nothing.
#[tracing::instrument(name = "repository.idempotency.release", level = "debug", skip_all)]
pub async fn release(pool: &PgPool, request: &KeyedRequest) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from idempotency_key
         where principal = $1 and key = $2 and request_hash = $3 and status is null",
        request.principal,
        request.key,
        &request.hash[..]
    )
    .execute(pool)
    .await
    .map(|_| ())
}

/// Deletes keys older than `retention`; returns their number.
#[tracing::instrument(
    name = "repository.idempotency.delete_expired",
    level = "debug",
    skip_all
)]
pub async fn delete_expired(pool: &PgPool, retention: Duration) -> sqlx::Result<u64> {
    sqlx::query!(
        "delete from idempotency_key
         where created_at < clock_timestamp() - make_interval(secs => $1)",
        retention.as_secs_f64()
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected())
}
