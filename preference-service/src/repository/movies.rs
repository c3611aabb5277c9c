//! The read model of movie-service's feed, and how far it has been taken over.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};

use crate::models::{Film, MovieChange, MovieId, MovieState, TagKind};

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
    fn film(change: &MovieChange) -> Option<&Film> {
        match &change.state {
            MovieState::Present(film) => Some(film),
            MovieState::Removed => None,
        }
    }
    // An array of arrays of unequal lengths is none that Postgres has, so each goes as text.
    fn ids(change: &MovieChange, kind: TagKind) -> String {
        let ids: Vec<String> = film(change)
            .into_iter()
            .flat_map(|film| film.tags_of(kind))
            .map(|id| id.to_string())
            .collect();
        format!("{{{}}}", ids.join(","))
    }
    fn column<'a, T>(changes: &'a [MovieChange], value: impl Fn(&'a MovieChange) -> T) -> Vec<T> {
        changes.iter().map(value).collect()
    }
    let tags: BTreeMap<(TagKind, i64), &str> = changes
        .iter()
        .filter_map(film)
        .flat_map(|film| &film.tags)
        .map(|tag| ((tag.kind, tag.id), tag.name.as_str()))
        .collect();
    sqlx::query(
        "insert into tag (kind, id, name)
         select * from unnest($1::text[], $2::bigint[], $3::text[])
         on conflict (kind, id) do update set name = excluded.name where tag.name <> excluded.name",
    )
    .bind(
        tags.keys()
            .map(|(kind, _)| kind.as_str())
            .collect::<Vec<_>>(),
    )
    .bind(tags.keys().map(|(_, id)| *id).collect::<Vec<_>>())
    .bind(tags.values().copied().collect::<Vec<_>>())
    .execute(&mut *transaction)
    .await?;
    sqlx::query(
        "insert into movie (id, version, title, removed, genre_ids, keyword_ids, person_ids, language)
         select id, version, title, removed, genres::bigint[], keywords::bigint[], people::bigint[],
                language
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[], $5::text[], $6::text[],
                  $7::text[], $8::text[])
             as change (id, version, title, removed, genres, keywords, people, language)
         on conflict (id) do update
         set version = excluded.version,
             title = coalesce(excluded.title, movie.title),
             removed = excluded.removed,
             -- What a film that went away was about stays: it is still part of users' taste.
             genre_ids = case when excluded.removed then movie.genre_ids else excluded.genre_ids end,
             keyword_ids = case when excluded.removed then movie.keyword_ids else excluded.keyword_ids end,
             person_ids = case when excluded.removed then movie.person_ids else excluded.person_ids end,
             language = coalesce(excluded.language, movie.language)
         where movie.version < excluded.version",
    )
    .bind(column(changes, |change| change.id.get()))
    .bind(column(changes, |change| change.version))
    .bind(column(changes, |change| film(change).map(|film| film.title.as_str())))
    .bind(column(changes, |change| change.state == MovieState::Removed))
    .bind(column(changes, |change| ids(change, TagKind::Genre)))
    .bind(column(changes, |change| ids(change, TagKind::Keyword)))
    .bind(column(changes, |change| ids(change, TagKind::Person)))
    .bind(column(changes, |change| {
        film(change).and_then(|film| film.language.as_deref())
    }))
    .execute(transaction)
    .await
    .map(|_| ())
}
