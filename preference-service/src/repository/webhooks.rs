//! SQL of webhooks and their deliveries; called by [`crate::service::webhooks`].

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, types::Json};

use super::users;
use crate::{
    error::Error,
    models::{
        ApiKeySecret, Delivery, DeliveryOutcome, MAX_WEBHOOKS, MovieId, NewWebhook, Provider, Role,
        SecretHash, UserId, Webhook,
    },
};

/// The deliveries of a hook that are kept, also to recognise those that are sent again.
const MAX_DELIVERIES: i64 = 1000;

/// A hook as its deliveries need it.
#[derive(Debug, Clone)]
pub struct Hook {
    /// The id.
    pub id: i64,
    /// The owner.
    pub user_id: UserId,
    /// The hash of the secret.
    pub secret_hash: Vec<u8>,
    /// The only user of the server whose events count.
    pub server_user: Option<String>,
    /// Of a household hook: users by the server's users.
    pub users: Option<Json<BTreeMap<String, UserId>>>,
}

/// Stores a hook of `user_id`.
///
/// # Errors
/// `UserNotFound`; `NotHouseholdAdmin` if a household hook is requested for another user than an administrator; `TooManyWebhooks`.
#[tracing::instrument(name = "repository.webhooks.create", level = "debug", skip_all, fields(%user_id))]
pub async fn create(
    pool: &PgPool,
    user_id: UserId,
    hook: &NewWebhook,
    secret: &ApiKeySecret,
) -> Result<i64, Error> {
    let mut transaction = pool.begin().await?;
    let role = users::lock_role(&mut transaction, user_id).await?;
    if hook.users.is_some() && role != Role::Admin {
        return Err(Error::NotHouseholdAdmin);
    }
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook where user_id = $1"#,
        user_id.get()
    )
    .fetch_one(&mut *transaction)
    .await?;
    if count >= MAX_WEBHOOKS {
        return Err(Error::TooManyWebhooks);
    }
    let hash = secret.hash();
    let id = sqlx::query_scalar!(
        "insert into webhook (user_id, provider, name, secret_hash, prefix, server_user, users)
         values ($1, $2, $3, $4, $5, $6, $7)
         returning id",
        user_id.get(),
        hook.provider as Provider,
        hook.name,
        hash.as_bytes(),
        secret.prefix(),
        hook.server_user,
        hook.users.as_ref().map(Json) as _
    )
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(id)
}

/// Lists the user's hooks, newest first, or the one with this id; each with its last `deliveries`.
#[tracing::instrument(name = "repository.webhooks.list", level = "debug", skip_all, fields(%user_id))]
pub async fn list(
    pool: &PgPool,
    user_id: UserId,
    id: Option<i64>,
    deliveries: i64,
) -> sqlx::Result<Vec<Webhook>> {
    let rows = sqlx::query!(
        r#"select w.id, w.provider as "provider: Provider", w.name, w.prefix, w.server_user,
                  w.users as "users: Json<BTreeMap<String, UserId>>", w.created_at, w.rotated_at,
                  (select coalesce(json_agg(d), '[]')
                   from (select received_at, count, event, title, movie_id, outcome, reason
                         from webhook_delivery d where d.webhook_id = w.id
                         order by received_at desc limit $3) as d) as "deliveries!: Json<Vec<Delivery>>"
           from webhook w
           where w.user_id = $1 and ($2::bigint is null or w.id = $2)
           order by w.id desc"#,
        user_id.get(),
        id,
        deliveries
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Webhook {
            id: row.id,
            provider: row.provider,
            name: row.name,
            prefix: row.prefix,
            server_user: row.server_user,
            users: row.users.map(|users| users.0),
            created_at: row.created_at,
            rotated_at: row.rotated_at,
            deliveries: row.deliveries.0,
        })
        .collect())
}

/// Replaces the secret of a hook; false if the user has none of this id.
#[tracing::instrument(name = "repository.webhooks.rotate", level = "debug", skip_all, fields(%user_id, id))]
pub async fn rotate(
    pool: &PgPool,
    user_id: UserId,
    id: i64,
    secret: &ApiKeySecret,
) -> sqlx::Result<bool> {
    let hash = secret.hash();
    sqlx::query!(
        "update webhook set secret_hash = $3, prefix = $4, rotated_at = now()
         where user_id = $1 and id = $2",
        user_id.get(),
        id,
        hash.as_bytes(),
        secret.prefix()
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Deletes a hook with its deliveries; false if the user has none of this id.
#[tracing::instrument(name = "repository.webhooks.delete", level = "debug", skip_all, fields(%user_id, id))]
pub async fn delete(pool: &PgPool, user_id: UserId, id: i64) -> sqlx::Result<bool> {
    sqlx::query!(
        "delete from webhook where user_id = $1 and id = $2",
        user_id.get(),
        id
    )
    .execute(pool)
    .await
    .map(|done| done.rows_affected() > 0)
}

/// Finds the hook of `provider` whose secret has this hash.
#[tracing::instrument(name = "repository.webhooks.find", level = "debug", skip_all)]
pub async fn find(
    pool: &PgPool,
    provider: Provider,
    hash: &SecretHash,
) -> sqlx::Result<Option<Hook>> {
    sqlx::query_as!(
        Hook,
        r#"select id, user_id as "user_id: UserId", secret_hash, server_user,
                  users as "users: Json<BTreeMap<String, UserId>>"
           from webhook where secret_hash = $1 and provider = $2"#,
        hash.as_bytes(),
        provider as Provider
    )
    .fetch_optional(pool)
    .await
}

/// A delivery that has been received.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// The first time that it was received.
    pub received_at: DateTime<Utc>,
    /// The outcome so far; `Pending` the first time.
    pub outcome: DeliveryOutcome,
}

/// Records that a delivery was received. Of a hook the last [`MAX_DELIVERIES`] are kept.
#[tracing::instrument(
    name = "repository.webhooks.receive",
    level = "debug",
    skip_all,
    fields(webhook_id)
)]
pub async fn receive(
    pool: &PgPool,
    webhook_id: i64,
    hash: &SecretHash,
    event: &str,
    title: Option<&str>,
) -> sqlx::Result<Received> {
    // Every delivery prunes: its hash must not decide, since the sender chooses it. One place is left for the delivery itself.
    sqlx::query_as!(
        Received,
        r#"with pruned as (
               delete from webhook_delivery
               where webhook_id = $1 and hash <> $2
                 and received_at <= (select received_at from webhook_delivery
                                     where webhook_id = $1 and hash <> $2
                                     order by received_at desc offset $5 limit 1)
           )
           insert into webhook_delivery as known (webhook_id, hash, event, title, outcome)
           values ($1, $2, $3, $4, 'pending')
           on conflict (webhook_id, hash) do update set count = least(known.count, 1000000) + 1
           returning received_at, outcome as "outcome: DeliveryOutcome""#,
        webhook_id,
        hash.as_bytes(),
        event,
        title,
        MAX_DELIVERIES - 1
    )
    .fetch_one(pool)
    .await
}

/// The result of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct DeliveryResult<'a> {
    /// The outcome.
    pub outcome: DeliveryOutcome,
    /// The user whose event it is.
    pub user_id: Option<UserId>,
    /// The movie.
    pub movie_id: Option<MovieId>,
    /// The reason for which it was not applied.
    pub reason: Option<&'a str>,
}

impl<'a> DeliveryResult<'a> {
    /// The result of a delivery that was not applied.
    pub fn refused(outcome: DeliveryOutcome, reason: &'a str) -> Self {
        Self {
            outcome,
            user_id: None,
            movie_id: None,
            reason: Some(reason),
        }
    }
}

/// Records the result of a delivery; `payload` is kept to apply it later, at first after `retry_after` seconds.
#[tracing::instrument(
    name = "repository.webhooks.finish",
    level = "debug",
    skip_all,
    fields(webhook_id)
)]
pub async fn finish(
    pool: &PgPool,
    webhook_id: i64,
    hash: &SecretHash,
    result: &DeliveryResult<'_>,
    payload: Option<&[u8]>,
) -> sqlx::Result<()> {
    let retry_after = result.outcome.retry_interval();
    sqlx::query!(
        "update webhook_delivery
         set outcome = $3, user_id = $4, movie_id = $5, reason = $6,
             payload = case when $7::float8 is not null then coalesce($8, payload) end,
             due_at = now() + make_interval(secs => $7 * power(2, attempts))
         where webhook_id = $1 and hash = $2",
        webhook_id,
        hash.as_bytes(),
        result.outcome as DeliveryOutcome,
        result.user_id.map(UserId::get),
        result.movie_id.map(MovieId::get),
        result.reason,
        retry_after.map(|interval| interval.as_secs_f64()),
        payload
    )
    .execute(pool)
    .await
    .map(|_| ())
}

/// A delivery that is to be applied again.
#[derive(Debug)]
pub struct DueDelivery {
    /// The payload.
    pub payload: Vec<u8>,
    /// The time at which it was first received.
    pub received_at: DateTime<Utc>,
    /// The server.
    pub provider: Provider,
    /// Its hook.
    pub hook: Hook,
}

/// Takes at most `limit` deliveries that are due. They are due again later unless they are finished.
#[tracing::instrument(name = "repository.webhooks.take_due", level = "debug", skip_all)]
pub async fn take_due(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<DueDelivery>> {
    let rows = sqlx::query!(
        r#"update webhook_delivery d
           set attempts = least(d.attempts + 1, 10), due_at = now() + interval '5 minutes'
           from (select webhook_id, hash from webhook_delivery
                 where due_at <= now() order by due_at limit $1 for update skip locked) as due,
                webhook w
           where d.webhook_id = due.webhook_id and d.hash = due.hash and w.id = d.webhook_id
           returning coalesce(d.payload, '') as "payload!", d.received_at, w.id,
                     w.provider as "provider: Provider", w.user_id as "user_id: UserId", w.secret_hash,
                     w.server_user, w.users as "users: Json<BTreeMap<String, UserId>>""#,
        limit
    )
    .fetch_all(pool)
    .await?;
    let deliveries = rows.into_iter().map(|row| DueDelivery {
        payload: row.payload,
        received_at: row.received_at,
        provider: row.provider,
        hook: Hook {
            id: row.id,
            user_id: row.user_id,
            secret_hash: row.secret_hash,
            server_user: row.server_user,
            users: row.users,
        },
    });
    Ok(deliveries.collect())
}

/// Has deliveries that may be about new movies, by `titles`, applied at once.
#[tracing::instrument(name = "repository.webhooks.expect", level = "debug", skip_all)]
pub async fn expect(connection: &mut PgConnection, titles: &[&str]) -> sqlx::Result<()> {
    if titles.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update webhook_delivery set due_at = now()
         where due_at is not null
           and lower(title) = any (select lower(title) from unnest($1::text[]) as new (title))",
        titles as &[&str],
    )
    .execute(connection)
    .await
    .map(|_| ())
}
