//! SQL of the erasure of a user; called by [`crate::service::users`]. Every table with data of users
//! must be covered here.

use sqlx::{PgConnection, PgPool};

use super::groups;
use crate::models::UserId;

/// Erases a user in one transaction: their rows, their share of counters, change records and stored
/// responses that mention them. Leaves a row in `erasure` as proof. False if no user has this id.
#[tracing::instrument(name = "repository.erasure.erase", level = "debug", skip_all, fields(%user_id))]
pub async fn erase(pool: &PgPool, user_id: UserId) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("set local statement_timeout = '60s'")
        .execute(&mut *transaction)
        .await?;
    let email = sqlx::query_scalar!(
        "select email from user_account where id = $1 for update",
        user_id.get()
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(email) = email else {
        return Ok(false);
    };
    groups::leave_all(&mut transaction, user_id).await?;
    subtract_counters(&mut transaction, user_id).await?;
    delete_mentions(&mut transaction, user_id, email).await?;
    let id = user_id.get();
    sqlx::query!("delete from user_movie where user_id = $1", id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("delete from viewing where user_id = $1", id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("delete from interaction where user_id = $1", id)
        .execute(&mut *transaction)
        .await?;
    // The hooks of a household, which others own.
    sqlx::query!("delete from webhook_delivery where user_id = $1", id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!(
        "update webhook
         set users = (select coalesce(jsonb_object_agg(key, value), '{}')
                      from jsonb_each(users) where value <> to_jsonb($1::bigint))
         where users is not null
           and exists (select from jsonb_each(users) where value = to_jsonb($1::bigint))",
        id
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!("delete from user_account where id = $1", id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!("insert into erasure (user_id) values ($1)", id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query!(
        "insert into outbox (name, key, payload)
         values ('user.erased', ($1::bigint)::text, json_build_object('user_id', $1::bigint))",
        id
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}

/// Subtracts the user from all counters, and records which movies' counters changed.
async fn subtract_counters(transaction: &mut PgConnection, user_id: UserId) -> sqlx::Result<()> {
    let id = user_id.get();
    // Every transaction that changes counters locks them ordered by movie, which prevents deadlocks.
    sqlx::query!(
        "select from movie_stats
         where movie_id in (select movie_id from user_movie where user_id = $1)
         order by movie_id
         for no key update",
        id
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query!(
        "update movie_stats as known
         set like_count = like_count - (s.reaction is not distinct from 'like')::int,
             dislike_count = dislike_count - (s.reaction is not distinct from 'dislike')::int,
             superlike_count = superlike_count - (s.reaction is not distinct from 'superlike')::int,
             bookmark_count = bookmark_count - s.bookmarked::int,
             view_count = view_count - (s.completed_at is not null)::int,
             rating_count = rating_count - (s.rating is not null)::int,
             rating_sum = rating_sum - coalesce(s.rating, 0)
         from user_movie s
         where s.user_id = $1 and known.movie_id = s.movie_id",
        id
    )
    .execute(&mut *transaction)
    .await?;
    // Locked in the order in which the writer locks them.
    sqlx::query!(
        "with gone as (
            select movie_id, metric, date_trunc('hour', at, 'UTC') as hour
            from user_movie,
                 lateral (values ('bookmarks', case when bookmarked then bookmarked_at end),
                                 ('likes', case when reaction in ('like', 'superlike') then reacted_at end),
                                 ('watches', case when completed_at is not null
                                                 then coalesce(viewed_at, completed_at) end)) as stands (metric, at)
            where user_id = $1 and at is not null
         ), held as (
            select movie_id, metric, hour
            from chart_count
            where (movie_id, metric, hour) in (select movie_id, metric, hour from gone)
            order by movie_id, metric, hour
            for no key update
         )
         update chart_count c
         set count = count - 1
         from held
         where (c.movie_id, c.metric, c.hour) = (held.movie_id, held.metric, held.hour)",
        id
    )
    .execute(&mut *transaction)
    .await?;
    // Readers with counters outside of Postgres, such as the charts in Redis, read these movies again.
    sqlx::query!(
        "insert into outbox (name, key, payload)
         select 'movie.stats.moved', min(movie_id)::text,
                json_build_object('movie_ids', json_agg(movie_id order by movie_id))
         from (select movie_id, row_number() over (order by movie_id) / 1000 as part
               from user_movie where user_id = $1) as film
         group by part",
        id
    )
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Deletes the change records of the user, and stored responses to them or about them.
async fn delete_mentions(
    transaction: &mut PgConnection,
    user_id: UserId,
    email: String,
) -> sqlx::Result<()> {
    sqlx::query!("delete from outbox where user_id = $1", user_id.get())
        .execute(&mut *transaction)
        .await?;
    // The log keeps what was done, by ids, and no words about the user.
    sqlx::query!(
        "update audit_entry set before = before - 'reason', after = after - 'reason'
         where target_id = $1
           and coalesce(jsonb_typeof(before), 'object') = 'object'
           and coalesce(jsonb_typeof(after), 'object') = 'object'",
        user_id.get()
    )
    .execute(&mut *transaction)
    .await?;
    let by_id = format!("\"user_id\":{user_id},");
    let by_email = serde_json::Value::from(email).to_string();
    sqlx::query!(
        "delete from idempotency_key
         where user_id = $4
            or principal = $1
            or position($2 in body) > 0
            or position($3 in body) > 0",
        format!("user:{user_id}"),
        by_id.as_bytes(),
        by_email.as_bytes(),
        user_id.get()
    )
    .execute(transaction)
    .await
    .map(|_| ())
}
