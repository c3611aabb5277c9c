//! SQL of the lists that were made.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use crate::ranking::FilmList;

/// Stores `lists` until `expires_at`; a list that is stored already stays as it is.
#[tracing::instrument(name = "repository.lists.insert", level = "debug", skip_all, fields(lists = lists.len()))]
pub async fn insert(
    pool: &PgPool,
    lists: &[&FilmList],
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = lists.iter().map(|list| list.id).collect();
    let users: Vec<i64> = lists.iter().map(|list| list.user_id).collect();
    let created: Vec<DateTime<Utc>> = lists.iter().map(|list| list.created_at).collect();
    let bodies: Vec<Json<&&FilmList>> = lists.iter().map(Json).collect();
    sqlx::query!(
        "insert into recommendation_list (list_id, user_id, created_at, expires_at, body)
         select list_id, user_id, created_at, $5, body
         from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::jsonb[])
             as l(list_id, user_id, created_at, body)
         order by list_id
         on conflict (list_id) do nothing",
        &ids,
        &users,
        &created,
        bodies as _,
        expires_at,
    )
    .execute(pool)
    .await
    .map(|_| ())
}

/// The list `id`, unless it has expired at `now`.
#[tracing::instrument(name = "repository.lists.find", level = "debug", skip(pool))]
pub async fn find(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<Option<FilmList>> {
    let body = sqlx::query_scalar!(
        r#"select body as "body: Json<FilmList>" from recommendation_list
           where list_id = $1 and expires_at > $2"#,
        id,
        now,
    )
    .fetch_optional(pool)
    .await?;
    Ok(body.map(|Json(list)| list))
}

/// Deletes lists that have expired at `now`, all but the newest `max_lists`, and those of unknown users; at most `batch`
/// of each.
#[tracing::instrument(name = "repository.lists.sweep", level = "debug", skip(pool))]
pub async fn sweep(
    pool: &PgPool,
    now: DateTime<Utc>,
    max_lists: i64,
    batch: i64,
) -> sqlx::Result<u64> {
    let expired = sqlx::query!(
        "delete from recommendation_list where list_id in (
             select list_id from recommendation_list where expires_at <= $1
             order by expires_at limit $2)",
        now,
        batch,
    );
    let oldest = sqlx::query!(
        "delete from recommendation_list where list_id in (
             select list_id from recommendation_list
             order by created_at desc offset $1 limit $2)",
        max_lists,
        batch,
    );
    // A list that was queued for storage when its user was erased. A new user may not be in the read model yet.
    let orphaned = sqlx::query!(
        "delete from recommendation_list where list_id in (
             select list_id from recommendation_list l
             where created_at < $1::timestamptz - interval '1 hour'
               and not exists (select from user_profile p where p.user_id = l.user_id)
             limit $2)",
        now,
        batch,
    );
    let mut deleted = 0;
    for statement in [expired, oldest, orphaned] {
        deleted += statement.execute(pool).await?.rows_affected();
    }
    Ok(deleted)
}
