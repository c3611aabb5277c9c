//! SQL of devices on which users have logged in; called by [`crate::service::auth`].

use sqlx::PgPool;

use crate::models::{SecretHash, UserId};

/// Devices per user; one more replaces the least recently used.
const MAX_DEVICES: i64 = 20;
/// The time without use after which a device is unknown, in days; as long as its cookie.
pub const DEVICE_TTL_DAYS: i32 = 90;

/// Returns true if the user has logged in on this device before.
#[tracing::instrument(name = "repository.devices.exists", level = "debug", skip_all, fields(%user_id))]
pub async fn exists(pool: &PgPool, user_id: UserId, device: &SecretHash) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
               select from known_device
               where user_id = $1 and device_hash = $2
                 and used_at > now() - make_interval(days => $3)) as "exists!""#,
        user_id.get(),
        device.as_bytes(),
        DEVICE_TTL_DAYS
    )
    .fetch_one(pool)
    .await
}

/// Stores the device, or the time of its use.
#[tracing::instrument(name = "repository.devices.store", level = "debug", skip_all, fields(%user_id))]
pub async fn store(pool: &PgPool, user_id: UserId, device: &SecretHash) -> sqlx::Result<()> {
    sqlx::query!(
        "with forgotten as (
             delete from known_device
             where user_id = $1 and device_hash in (
                 select device_hash from known_device
                 where user_id = $1 and device_hash <> $2
                 order by used_at desc
                 offset $3))
         insert into known_device (user_id, device_hash) values ($1, $2)
         on conflict (user_id, device_hash) do update set used_at = now()",
        user_id.get(),
        device.as_bytes(),
        MAX_DEVICES - 1
    )
    .execute(pool)
    .await
    .map(|_| ())
}

/// Forgets a device.
#[tracing::instrument(name = "repository.devices.delete", level = "debug", skip_all, fields(%user_id))]
pub async fn delete(pool: &PgPool, user_id: UserId, device: &SecretHash) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from known_device where user_id = $1 and device_hash = $2",
        user_id.get(),
        device.as_bytes()
    )
    .execute(pool)
    .await
    .map(|_| ())
}
