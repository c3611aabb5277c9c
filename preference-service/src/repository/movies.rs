//! The read model of movie-service's feed, and how far it has been taken over.

use sqlx::{PgConnection, PgPool};

use crate::models::{MovieChange, MovieId, MovieState};

/// Whether the film is in the catalogue, as far as the feed has told.
///
/// # Errors
/// Postgres's.
pub async fn is_known(pool: &PgPool, id: MovieId) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select from movie where id = $1 and not removed)")
        .bind(id.get())
        .fetch_one(pool)
        .await
}

/// How far the feed of `source` has been taken over; none: not at all.
///
/// # Errors
/// Postgres's.
pub async fn find_cursor(pool: &PgPool, source: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar("select cursor from feed_cursor where source = $1")
        .bind(source)
        .fetch_optional(pool)
        .await
}

/// Remembers how far the feed of `source` has been taken over. First in a transaction, it makes the
/// replicas of this service take turns.
///
/// # Errors
/// Postgres's.
pub async fn move_cursor(
    transaction: &mut PgConnection,
    source: &str,
    cursor: &str,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into feed_cursor (source, cursor)
         values ($1, $2)
         on conflict (source) do update set cursor = excluded.cursor",
    )
    .bind(source)
    .bind(cursor)
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Forgets all films.
///
/// # Errors
/// Postgres's.
pub async fn clear(transaction: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query("delete from movie")
        .execute(transaction)
        .await
        .map(|_| ())
}

/// Takes over `changes`, at most one a film; those that are not newer than what is known change
/// nothing.
///
/// # Errors
/// Postgres's.
pub async fn apply(transaction: &mut PgConnection, changes: &[MovieChange]) -> sqlx::Result<()> {
    let ids: Vec<i64> = changes.iter().map(|change| change.id.get()).collect();
    let versions: Vec<i64> = changes.iter().map(|change| change.version).collect();
    let titles: Vec<Option<&str>> = changes
        .iter()
        .map(|change| match &change.state {
            MovieState::Present(title) => Some(title.as_str()),
            MovieState::Removed => None,
        })
        .collect();
    let removed: Vec<bool> = changes
        .iter()
        .map(|change| change.state == MovieState::Removed)
        .collect();
    sqlx::query(
        "insert into movie (id, version, title, removed)
         select id, version, title, removed
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[])
             as change (id, version, title, removed)
         on conflict (id) do update
         set version = excluded.version,
             title = coalesce(excluded.title, movie.title),
             removed = excluded.removed
         where movie.version < excluded.version",
    )
    .bind(ids)
    .bind(versions)
    .bind(titles)
    .bind(removed)
    .execute(transaction)
    .await
    .map(|_| ())
}
