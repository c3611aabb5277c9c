//! Lists that were made.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, types::Json};
use uuid::Uuid;

use crate::ranking::FilmList;

/// Stores `lists` until `expires_at`; one that is there already stays as it is.
///
/// # Errors
/// Postgres's.
pub async fn insert(
    pool: &PgPool,
    lists: &[&FilmList],
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let ids: Vec<Uuid> = lists.iter().map(|list| list.id).collect();
    let users: Vec<i64> = lists.iter().map(|list| list.user_id).collect();
    let made: Vec<DateTime<Utc>> = lists.iter().map(|list| list.created_at).collect();
    let bodies: Vec<Json<&&FilmList>> = lists.iter().map(Json).collect();
    sqlx::query(
        "insert into recommendation_list (list_id, user_id, created_at, expires_at, body)
         select list_id, user_id, created_at, $5, body
         from unnest($1, $2, $3, $4) as l(list_id, user_id, created_at, body)
         order by list_id
         on conflict (list_id) do nothing",
    )
    .bind(ids)
    .bind(users)
    .bind(made)
    .bind(bodies)
    .bind(expires_at)
    .execute(pool)
    .await
    .map(|_| ())
}

/// The list `id`, unless its time is over at `now`.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> sqlx::Result<Option<FilmList>> {
    let body: Option<Json<FilmList>> = sqlx::query_scalar(
        "select body from recommendation_list where list_id = $1 and expires_at > $2",
    )
    .bind(id)
    .bind(now)
    .fetch_optional(pool)
    .await?;
    Ok(body.map(|Json(list)| list))
}

/// Deletes lists whose time is over at `now`, all but the newest `most`, and those of users of whom nothing
/// is known; at most `batch` of each.
///
/// # Errors
/// Postgres's.
pub async fn sweep(pool: &PgPool, now: DateTime<Utc>, most: i64, batch: i64) -> sqlx::Result<u64> {
    let mut deleted = 0;
    for statement in [
        "delete from recommendation_list where list_id in (
             select list_id from recommendation_list where expires_at <= $1
             order by expires_at limit $3)
           and $2 >= 0",
        "delete from recommendation_list where list_id in (
             select list_id from recommendation_list
             order by created_at desc offset $2 limit $3)
           and $1 is not null",
        // A list that was on its way to the table when its user was erased; who is new may not have been
        // told of yet.
        "delete from recommendation_list where list_id in (
             select list_id from recommendation_list l
             where created_at < $1 - interval '1 hour'
               and not exists (select from user_profile p where p.user_id = l.user_id)
             limit $3)
           and $2 >= 0",
    ] {
        let done = sqlx::query(statement)
            .bind(now)
            .bind(most)
            .bind(batch)
            .execute(pool)
            .await?;
        deleted += done.rows_affected();
    }
    Ok(deleted)
}
