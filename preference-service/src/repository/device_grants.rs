//! SQL of device authorization; called by [`crate::service::device_grants`].

use sqlx::PgPool;

use crate::models::{
    DeviceCodes, DevicePoll, GRANT_TTL_SECONDS, POLL_INTERVAL_SECONDS, SecretHash, UserCode,
    UserId, WaitingDevice,
};

/// The longest interval of polls, in seconds.
const MAX_POLL_INTERVAL_SECONDS: i32 = 60;
/// The time for which an expired code is reported as such.
const EXPIRED_TTL_SECONDS: f64 = 3600.0;

/// Stores a request, and deletes those that expired long ago; false if its user code exists already.
#[tracing::instrument(name = "repository.device_grants.create", level = "debug", skip_all)]
pub async fn create(pool: &PgPool, codes: &DeviceCodes, client_id: &str) -> sqlx::Result<bool> {
    let device = SecretHash::of(codes.device_code.as_bytes());
    let user_code = codes.user_code.hash();
    let created = sqlx::query!(
        "with old as (delete from device_grant where expires_at < now() - make_interval(secs => $5))
         insert into device_grant (device_hash, user_code_hash, client_id, expires_at, poll_interval)
         values ($1, $2, $3, now() + make_interval(secs => $4), $6)
         on conflict do nothing",
        device.as_bytes(),
        user_code.as_bytes(),
        client_id,
        f64::from(GRANT_TTL_SECONDS),
        EXPIRED_TTL_SECONDS,
        i32::try_from(POLL_INTERVAL_SECONDS).unwrap_or(i32::MAX)
    )
    .execute(pool)
    .await?
    .rows_affected();
    Ok(created > 0)
}

/// Finds the request of a user code that waits for a decision.
#[tracing::instrument(
    name = "repository.device_grants.find_waiting",
    level = "debug",
    skip_all
)]
pub async fn find_waiting(pool: &PgPool, code: &UserCode) -> sqlx::Result<Option<WaitingDevice>> {
    let code = code.hash();
    sqlx::query_as!(
        WaitingDevice,
        "select client_id, expires_at from device_grant
         where user_code_hash = $1 and approved is null and expires_at > now()",
        code.as_bytes()
    )
    .fetch_optional(pool)
    .await
}

/// Stores a user's decision; `None` if the request does not wait for one.
#[tracing::instrument(name = "repository.device_grants.decide", level = "debug", skip_all, fields(%user_id))]
pub async fn decide(
    pool: &PgPool,
    code: &UserCode,
    user_id: UserId,
    is_approved: bool,
) -> sqlx::Result<Option<WaitingDevice>> {
    let code = code.hash();
    sqlx::query_as!(
        WaitingDevice,
        "update device_grant set user_id = $2, approved = $3
         where user_code_hash = $1 and approved is null and expires_at > now()
         returning client_id, expires_at",
        code.as_bytes(),
        user_id.get(),
        is_approved
    )
    .fetch_optional(pool)
    .await
}

/// Polls: a decided request is used up, and its row deleted.
#[tracing::instrument(name = "repository.device_grants.poll", level = "debug", skip_all)]
pub async fn poll(pool: &PgPool, device_code: &str, client_id: &str) -> sqlx::Result<DevicePoll> {
    let hash = SecretHash::of(device_code.as_bytes());
    let mut transaction = pool.begin().await?;
    let grant = sqlx::query!(
        r#"select user_id as "user_id: UserId", approved, expires_at <= now() as "is_expired!",
                  coalesce(polled_at > now() - make_interval(secs => poll_interval), false) as "is_early!"
           from device_grant where device_hash = $1 and client_id = $2 for update"#,
        hash.as_bytes(),
        client_id
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let result = match grant {
        None => return Ok(DevicePoll::Unknown),
        Some(grant) if grant.is_expired => return Ok(DevicePoll::Expired),
        Some(grant) if grant.is_early => DevicePoll::TooEarly,
        Some(grant) => match (grant.user_id, grant.approved) {
            (Some(user_id), Some(true)) => DevicePoll::Approved(user_id),
            (Some(_), _) => DevicePoll::Denied,
            (None, _) => DevicePoll::Pending,
        },
    };
    match result {
        DevicePoll::Approved(_) | DevicePoll::Denied => {
            sqlx::query!(
                "delete from device_grant where device_hash = $1",
                hash.as_bytes()
            )
            .execute(&mut *transaction)
            .await?;
        }
        _ => {
            sqlx::query!(
                "update device_grant
                 set polled_at = now(),
                     poll_interval = case when $2 then least(poll_interval + 5, $3) else poll_interval end
                 where device_hash = $1",
                hash.as_bytes(),
                result == DevicePoll::TooEarly,
                MAX_POLL_INTERVAL_SECONDS
            )
            .execute(&mut *transaction)
            .await?;
        }
    }
    transaction.commit().await?;
    Ok(result)
}
