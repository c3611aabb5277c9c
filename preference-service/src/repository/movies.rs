//! The read model of movie-service's catalogue: the tables `movie`, `tag` and `feed_cursor`. Written by the projection
//! of the feed in [`crate::service::catalogue`].

use std::collections::{BTreeMap, HashMap};

use filter::GenreNames;
use sqlx::{PgConnection, PgPool, types::Json};

use crate::models::{Film, FilmTags, MovieChange, MovieId, MovieState, Tag, TagKind};

/// Returns true if the read model contains the movie.
#[tracing::instrument(name = "repository.movies.is_known", level = "debug", skip_all)]
pub async fn is_known(pool: &PgPool, id: MovieId) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from movie where id = $1 and not removed) as "known!""#,
        id.get()
    )
    .fetch_one(pool)
    .await
}

/// Finds the tags of those of `movies` that the read model contains, removed ones included.
#[tracing::instrument(name = "repository.movies.find_tags", level = "debug", skip_all)]
pub async fn find_tags(
    connection: &mut PgConnection,
    movies: &[MovieId],
) -> sqlx::Result<HashMap<MovieId, FilmTags>> {
    let rows = sqlx::query!(
        r#"select id as "id: MovieId", genre_ids, keyword_ids, person_ids, language
           from movie where id = any ($1)"#,
        movies as _
    )
    .fetch_all(connection)
    .await?;
    let tags = rows.into_iter().map(|row| {
        let tags = FilmTags {
            genres: row.genre_ids,
            keywords: row.keyword_ids,
            people: row.person_ids,
            language: row.language,
        };
        (row.id, tags)
    });
    Ok(tags.collect())
}

/// The genres of the movies in the read model, by their names in all languages; those of removed movies stay.
#[tracing::instrument(name = "repository.movies.genres", level = "debug", skip_all)]
pub async fn genres(pool: &PgPool) -> sqlx::Result<GenreNames> {
    let rows = sqlx::query!(
        r#"select id, name, names as "names: Json<BTreeMap<String, String>>"
           from tag where kind = 'genre' order by id"#
    )
    .fetch_all(pool)
    .await?;
    let mut genres = GenreNames::default();
    for row in rows {
        genres.upsert(row.id, &row.name);
        genres.set_others(row.id, row.names.values().map(String::as_str));
    }
    Ok(genres)
}

/// Finds the position up to which the feed of `source` has been applied.
pub async fn find_cursor(pool: &PgPool, source: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select cursor from feed_cursor where source = $1", source)
        .fetch_optional(pool)
        .await
}

/// Stores the position up to which the feed of `source` has been applied. As the first statement of a transaction it
/// also serializes the replicas of this service.
pub async fn move_cursor(
    transaction: &mut PgConnection,
    source: &str,
    cursor: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into feed_cursor (source, cursor)
         values ($1, $2)
         on conflict (source) do update set cursor = excluded.cursor",
        source,
        cursor
    )
    .execute(transaction)
    .await
    .map(|_| ())
}

/// Deletes all movies.
pub async fn clear(transaction: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from movie")
        .execute(transaction)
        .await
        .map(|_| ())
}

/// Finds those of `movies` that the read model does not contain, removed ones included.
pub async fn list_unknown(
    transaction: &mut PgConnection,
    movies: &[MovieId],
) -> sqlx::Result<Vec<MovieId>> {
    sqlx::query_scalar!(
        r#"select id as "id!: MovieId" from unnest($1::bigint[]) as wanted (id)
           where not exists (select from movie where movie.id = wanted.id)"#,
        movies as _
    )
    .fetch_all(transaction)
    .await
}

/// Applies `changes`, at most one per movie. A change that is not newer than the known version has no effect.
pub async fn apply(transaction: &mut PgConnection, changes: &[MovieChange]) -> sqlx::Result<()> {
    fn film(change: &MovieChange) -> Option<&Film> {
        match &change.state {
            MovieState::Present(film) => Some(film),
            MovieState::Removed => None,
        }
    }
    // Postgres has no arrays of arrays of different lengths, so each array is sent as text.
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
    let tags: BTreeMap<(TagKind, i64), &Tag> = changes
        .iter()
        .filter_map(film)
        .flat_map(|film| &film.tags)
        .map(|tag| ((tag.kind, tag.id), tag))
        .collect();
    let tags: Vec<&Tag> = tags.into_values().collect();
    let kinds: Vec<TagKind> = tags.iter().map(|tag| tag.kind).collect();
    let tag_ids: Vec<i64> = tags.iter().map(|tag| tag.id).collect();
    let names: Vec<&str> = tags.iter().map(|tag| tag.name.as_str()).collect();
    let translated: Vec<_> = tags.iter().map(|tag| Json(&tag.names)).collect();
    sqlx::query!(
        "insert into tag (kind, id, name, names)
         select * from unnest($1::text[], $2::bigint[], $3::text[], $4::jsonb[])
         on conflict (kind, id) do update set name = excluded.name, names = tag.names || excluded.names
         where tag.name <> excluded.name or not tag.names @> excluded.names",
        kinds as _,
        &tag_ids,
        &names as &[&str],
        translated as _
    )
    .execute(&mut *transaction)
    .await?;
    let titles = column(changes, |change| {
        film(change).map(|film| film.title.as_str())
    });
    let languages = column(changes, |change| film(change)?.language.as_deref());
    let release_years = column(changes, |change| film(change)?.release_year);
    sqlx::query!(
        "insert into movie (id, version, title, removed, genre_ids, keyword_ids, person_ids, language,
             release_year)
         select id, version, title, removed, genres::bigint[], keywords::bigint[], people::bigint[],
                language, release_year
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[], $5::text[], $6::text[],
                  $7::text[], $8::text[], $9::smallint[])
             as change (id, version, title, removed, genres, keywords, people, language, release_year)
         on conflict (id) do update
         set version = excluded.version,
             title = coalesce(excluded.title, movie.title),
             removed = excluded.removed,
             -- The tags of a removed movie stay: it still counts towards users' taste.
             genre_ids = case when excluded.removed then movie.genre_ids else excluded.genre_ids end,
             keyword_ids = case when excluded.removed then movie.keyword_ids else excluded.keyword_ids end,
             person_ids = case when excluded.removed then movie.person_ids else excluded.person_ids end,
             language = coalesce(excluded.language, movie.language),
             release_year = coalesce(excluded.release_year, movie.release_year)
         where movie.version < excluded.version",
        column(changes, |change| change.id) as _,
        &column(changes, |change| change.version),
        &titles as &[Option<&str>],
        &column(changes, |change| change.state == MovieState::Removed),
        &column(changes, |change| ids(change, TagKind::Genre)),
        &column(changes, |change| ids(change, TagKind::Keyword)),
        &column(changes, |change| ids(change, TagKind::Person)),
        &languages as &[Option<&str>],
        &release_years as &[Option<i16>]
    )
    .execute(transaction)
    .await
    .map(|_| ())
}
