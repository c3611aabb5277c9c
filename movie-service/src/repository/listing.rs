//! Reads of the list index: the properties of all movies, changes of them, and the movies of a page.

use std::borrow::Cow;

use chassis::feed::Cursor;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::{PgPool, Row, postgres::PgRow, types::Json};
use tokio::sync::mpsc;

use super::rows;
use crate::models::{
    FilmFacts, Genre, Includes, Keyword, Movie, MovieAttributes, MovieId, Names, Person, Provider,
};

/// Not a macro: rows are decoded into borrowed text, which saves most allocations of loading a million movies.
const FACTS: &str =
    "select id, version, updated_at, title, original_language, release_date, runtime, popularity,
        vote_average, vote_count, genre_ids, countries, keywords, people, providers
     from movie where removed_at is null";

#[derive(Deserialize)]
struct NamedIn<'a> {
    id: i64,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct PersonIn<'a> {
    id: i64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    /// The names in other languages.
    #[serde(default)]
    names: Names,
}

#[derive(Deserialize)]
struct ProviderIn<'a> {
    #[serde(borrow)]
    region: Cow<'a, str>,
    provider_id: i64,
    #[serde(borrow)]
    provider_name: Cow<'a, str>,
}

/// Decodes a row of [`load`] or [`rows_of`].
///
/// # Errors
/// Returns [`sqlx::Error::ColumnDecode`] if a jsonb column does not have the documented shape.
pub fn facts(row: &PgRow) -> sqlx::Result<FilmFacts<'_>> {
    let Json(keywords) = row.try_get::<Json<Vec<NamedIn<'_>>>, _>("keywords")?;
    let keywords = keywords.into_iter().map(|named| (named.id, named.name));
    let Json(people) = row.try_get::<Json<Vec<PersonIn<'_>>>, _>("people")?;
    let mut other_names = Vec::new();
    let people = people.into_iter().map(|person| {
        let names = person.names.into_iter();
        let names = names.map(|(language, name)| (language.into(), (person.id, name.into())));
        other_names.extend(names);
        (person.id, person.name)
    });
    let Json(providers) = row.try_get::<Json<Vec<ProviderIn<'_>>>, _>("providers")?;
    Ok(FilmFacts {
        id: row.try_get("id")?,
        version: row.try_get("version")?,
        updated_at: row
            .try_get::<DateTime<Utc>, _>("updated_at")?
            .timestamp_micros(),
        title: row.try_get("title")?,
        popularity: row.try_get("popularity")?,
        attributes: MovieAttributes {
            language: row.try_get("original_language")?,
            release_date: row.try_get("release_date")?,
            runtime: row.try_get("runtime")?,
            vote_average: row.try_get("vote_average")?,
            vote_count: row.try_get("vote_count")?,
            genre_ids: row.try_get("genre_ids")?,
            countries: Cow::Owned(row.try_get("countries")?),
            keywords: keywords.collect(),
            people: people.collect(),
            other_names,
            providers: providers
                .into_iter()
                .map(|offer| (offer.region, (offer.provider_id, offer.provider_name)))
                .collect(),
        },
    })
}

/// Sends the rows of all movies to `batches`, to be decoded by [`facts`].
#[tracing::instrument(name = "repository.listing.load", level = "debug", skip_all)]
pub async fn load(pool: &PgPool, batches: mpsc::Sender<Vec<PgRow>>) -> sqlx::Result<()> {
    rows::send_all(pool, FACTS, batches).await
}

/// Returns the rows of those movies in `ids` that exist, to be decoded by [`facts`].
#[tracing::instrument(name = "repository.listing.rows_of", level = "debug", skip_all)]
pub async fn rows_of(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<PgRow>> {
    rows::of_ids(pool, FACTS, ids).await
}

/// Lists all genres.
#[tracing::instrument(name = "repository.listing.genres", level = "debug", skip_all)]
pub async fn genres(pool: &PgPool) -> sqlx::Result<Vec<Genre>> {
    sqlx::query_as!(
        Genre,
        r#"select id, name, names as "names: Json<Names>" from genre"#
    )
    .fetch_all(pool)
    .await
}

/// A change record of a movie.
#[derive(Debug)]
pub struct MovieChange {
    /// The sequence number in the outbox.
    pub sequence: i64,
    /// The movie.
    pub id: i64,
    /// Its version after the change.
    pub version: i64,
}

/// Returns the sequence number of the last visible change record, 0 if there is none.
#[tracing::instrument(name = "repository.listing.last_sequence", level = "debug", skip_all)]
pub async fn last_sequence(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select coalesce(max(seq), 0) as "sequence!" from outbox"#)
        .fetch_one(pool)
        .await
}

/// Lists committed changes of movies after `sequence`, at most `limit`. A transaction that commits later may have
/// a lower number, so a reader that must not miss any reads the feed as well.
#[tracing::instrument(name = "repository.listing.changes_after", level = "debug", skip(pool))]
pub async fn changes_after(
    pool: &PgPool,
    sequence: i64,
    limit: i64,
) -> sqlx::Result<Vec<MovieChange>> {
    sqlx::query_as!(
        MovieChange,
        r#"select seq as sequence, key::bigint as "id!", (payload ->> 'version')::bigint as "version!" from outbox
         where seq > $1 and name in ('movie.synced', 'movie.removed') order by seq limit $2"#,
        sequence,
        limit,
    )
    .fetch_all(pool)
    .await
}

/// Returns the age in seconds of the first change record after `cursor`, whether the feed shows it yet or not;
/// `None` if there is none.
#[tracing::instrument(name = "repository.listing.waiting_after", level = "debug", skip_all)]
pub async fn waiting_after(pool: &PgPool, cursor: Cursor) -> sqlx::Result<Option<f64>> {
    sqlx::query_scalar!(
        r#"select greatest(0, extract(epoch from clock_timestamp() - created_at))::float8 as "age!" from outbox
         where (xid, seq) > ($1::text::xid8, $2) order by xid, seq limit 1"#,
        cursor.transaction.to_string(),
        cursor.sequence,
    )
    .fetch_optional(pool)
    .await
}

/// Returns those movies in `ids` that exist, in the order of `ids`; columns that `includes` leaves out are empty.
#[tracing::instrument(name = "repository.listing.page", level = "debug", skip_all)]
pub async fn page(pool: &PgPool, ids: &[i64], includes: Includes) -> sqlx::Result<Vec<Movie>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut movies = sqlx::query_file_as!(
        Movie,
        "src/repository/listing/page.sql",
        ids,
        includes.overview,
        includes.genres,
        includes.keywords,
        includes.people,
        includes.providers,
    )
    .fetch_all(pool)
    .await?;
    movies.sort_by_key(|movie| ids.iter().position(|id| *id == movie.id.get()));
    Ok(movies)
}
