//! Erasing a user.

use sqlx::PgPool;

use crate::models::UserId;

/// Erases a user, in one transaction: all rows of theirs, what they counted for, and what change
/// records and kept answers say of them. What is left is that it was done. False: there is no such
/// user.
///
/// # Errors
/// Postgres's.
pub async fn erase(pool: &PgPool, user_id: UserId) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    sqlx::query("set local statement_timeout = '60s'")
        .execute(&mut *transaction)
        .await?;
    let email: Option<String> =
        sqlx::query_scalar("select email from user_account where id = $1 for update")
            .bind(user_id.get())
            .fetch_optional(&mut *transaction)
            .await?;
    let Some(email) = email else {
        return Ok(false);
    };
    // By film, as all who move counters do, so that nobody waits in a circle.
    sqlx::query(
        "select from movie_stats
         where movie_id in (select movie_id from user_movie where user_id = $1)
         order by movie_id
         for no key update",
    )
    .bind(user_id.get())
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
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
    )
    .bind(user_id.get())
    .execute(&mut *transaction)
    .await?;
    // In the order in which the writer takes these.
    sqlx::query(
        "with gone as (
            select movie_id, metric, date_trunc('hour', at, 'UTC') as hour
            from user_movie,
                 lateral (values ('bookmarks', case when bookmarked then bookmarked_at end),
                                 ('likes', case when reaction in ('like', 'superlike') then reacted_at end),
                                 ('watches', completed_at)) as stands (metric, at)
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
    )
    .bind(user_id.get())
    .execute(&mut *transaction)
    .await?;
    // Whoever keeps counters beside Postgres, as charts are in Redis, learns which to read again.
    sqlx::query(
        "insert into outbox (name, key, payload)
         select 'movie.stats.moved', min(movie_id)::text,
                json_build_object('movie_ids', json_agg(movie_id order by movie_id))
         from (select movie_id, row_number() over (order by movie_id) / 1000 as part
               from user_movie where user_id = $1) as film
         group by part",
    )
    .bind(user_id.get())
    .execute(&mut *transaction)
    .await?;
    sqlx::query("delete from outbox where user_id = $1")
        .bind(user_id.get())
        .execute(&mut *transaction)
        .await?;
    // Answers that were kept: those given to them, and those that tell of them.
    let subject = format!("{{\"subject\":\"{user_id}\",");
    let mentions = [
        format!("\"user_id\":{user_id},"),
        serde_json::Value::from(email).to_string(),
    ];
    sqlx::query(
        "delete from idempotency_key
         where starts_with(principal, $1)
            or position($2 in body) > 0
            or position($3 in body) > 0",
    )
    .bind(subject)
    .bind(mentions[0].as_bytes())
    .bind(mentions[1].as_bytes())
    .execute(&mut *transaction)
    .await?;
    for statement in [
        "delete from user_movie where user_id = $1",
        "delete from interaction where user_id = $1",
        "delete from user_account where id = $1",
    ] {
        sqlx::query(statement)
            .bind(user_id.get())
            .execute(&mut *transaction)
            .await?;
    }
    sqlx::query("insert into erasure (user_id) values ($1)")
        .bind(user_id.get())
        .execute(&mut *transaction)
        .await?;
    sqlx::query(
        "insert into outbox (name, key, payload)
         values ('user.erased', $1::text, json_build_object('user_id', $1::bigint))",
    )
    .bind(user_id.get())
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(true)
}
