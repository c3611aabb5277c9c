//! What lists of films read: the facts that the list index is made of, and the films of a page.

use std::borrow::Cow;

use chassis::feed::Cursor;
use chrono::{DateTime, NaiveDate, Utc};
use futures_util::{StreamExt, TryStreamExt, stream::TryChunksError};
use serde::Deserialize;
use sqlx::{PgPool, Row, postgres::PgRow, types::Json};
use tokio::sync::mpsc;

use crate::models::{FilmFacts, Genre, Includes, Keyword, ListedMovie, MovieId, Person, Provider};

/// What a film is found and sorted by.
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
struct ProviderIn<'a> {
    #[serde(borrow)]
    region: Cow<'a, str>,
    provider_id: i64,
    #[serde(borrow)]
    provider_name: Cow<'a, str>,
}

/// What `row` of [`FACTS`] says.
///
/// # Errors
/// A column that is not what it should be.
pub fn facts(row: &PgRow) -> sqlx::Result<FilmFacts<'_>> {
    let named = |column| -> sqlx::Result<Vec<(i64, Cow<'_, str>)>> {
        let Json(named) = row.try_get::<Json<Vec<NamedIn<'_>>>, _>(column)?;
        Ok(named
            .into_iter()
            .map(|named| (named.id, named.name))
            .collect())
    };
    let Json(providers) = row.try_get::<Json<Vec<ProviderIn<'_>>>, _>("providers")?;
    Ok(FilmFacts {
        id: row.try_get("id")?,
        version: row.try_get("version")?,
        updated_at: row
            .try_get::<DateTime<Utc>, _>("updated_at")?
            .timestamp_micros(),
        title: row.try_get("title")?,
        language: row.try_get("original_language")?,
        release_date: row.try_get("release_date")?,
        runtime: row.try_get("runtime")?,
        popularity: row.try_get("popularity")?,
        vote_average: row.try_get("vote_average")?,
        vote_count: row.try_get("vote_count")?,
        genre_ids: row.try_get("genre_ids")?,
        countries: row.try_get("countries")?,
        keywords: named("keywords")?,
        people: named("people")?,
        providers: providers
            .into_iter()
            .map(|offer| (offer.region, (offer.provider_id, offer.provider_name)))
            .collect(),
    })
}

/// Rows that are handed on at once while all are loaded.
const ROWS_AT_ONCE: usize = 500;

/// Hands the rows of all films to `batches`, to be read by [`facts`], as fast as they are taken.
///
/// # Errors
/// Postgres's.
pub async fn load(pool: &PgPool, batches: mpsc::Sender<Vec<PgRow>>) -> sqlx::Result<()> {
    let mut transaction = pool.begin().await?;
    sqlx::query("set local statement_timeout = '10min'")
        .execute(&mut *transaction)
        .await?;
    {
        // In the order in which they lie on the disk.
        let rows = sqlx::query(FACTS).fetch(&mut *transaction);
        let mut rows = rows.try_chunks(ROWS_AT_ONCE);
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|TryChunksError(_, error)| error)?;
            if batches.send(batch).await.is_err() {
                break;
            }
        }
    }
    transaction.commit().await
}

/// The facts of the films in `ids` that are there, to be read by [`facts`].
///
/// # Errors
/// Postgres's.
pub async fn rows_of(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<PgRow>> {
    sqlx::query(sqlx::AssertSqlSafe(format!("{FACTS} and id = any ($1)")))
        .bind(ids)
        .fetch_all(pool)
        .await
}

/// All genres.
///
/// # Errors
/// Postgres's.
pub async fn genres(pool: &PgPool) -> sqlx::Result<Vec<Genre>> {
    let genres: Vec<(i32, String)> = sqlx::query_as("select id, name from genre")
        .fetch_all(pool)
        .await?;
    Ok(genres
        .into_iter()
        .map(|(id, name)| Genre { id, name })
        .collect())
}

/// A change of a film: its sequence number in the outbox, the film, and its version then.
pub type FilmChange = (i64, i64, i64);

/// The sequence number of the last change that can be seen.
///
/// # Errors
/// Postgres's.
pub async fn last_sequence(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar("select coalesce(max(seq), 0) from outbox")
        .fetch_one(pool)
        .await
}

/// Changes of films after `sequence` that are committed, at most `limit`. One that commits later may
/// have a lower number than one that is here: who must not miss any reads the feed as well.
///
/// # Errors
/// Postgres's.
pub async fn changes_after(
    pool: &PgPool,
    sequence: i64,
    limit: i64,
) -> sqlx::Result<Vec<FilmChange>> {
    sqlx::query_as(
        "select seq, key::bigint, (payload ->> 'version')::bigint from outbox
         where seq > $1 and name in ('movie.synced', 'movie.removed') order by seq limit $2",
    )
    .bind(sequence)
    .bind(limit)
    .fetch_all(pool)
    .await
}

/// For how many seconds the first change after `cursor` has waited, shown by the feed or still held
/// back; none, where there is none.
///
/// # Errors
/// Postgres's.
pub async fn waiting_after(pool: &PgPool, cursor: Cursor) -> sqlx::Result<Option<f64>> {
    sqlx::query_scalar(
        "select greatest(0, extract(epoch from clock_timestamp() - created_at))::float8 from outbox
         where (xid, seq) > ($1::text::xid8, $2) order by xid, seq limit 1",
    )
    .bind(cursor.transaction.to_string())
    .bind(cursor.sequence)
    .fetch_optional(pool)
    .await
}

/// The films of a page. What was not asked for is null and not read.
pub const PAGE: &str =
    "select m.id, m.title, m.original_title, m.original_language, m.release_date, m.runtime,
        m.popularity, m.vote_average, m.vote_count, m.poster_path, m.backdrop_path, m.countries,
        case when $2 then m.overview end as overview,
        case when $3 then array(select g.name from genre g where g.id = any (m.genre_ids)
                                order by g.name) end as genres,
        case when $4 then m.keywords end as keywords,
        case when $5 then m.people end as people,
        case when $6 then m.providers end as providers
     from movie m where m.id = any ($1) and m.removed_at is null";

#[derive(sqlx::FromRow)]
struct PageRow {
    id: i64,
    title: String,
    original_title: String,
    original_language: String,
    release_date: Option<NaiveDate>,
    runtime: Option<i32>,
    popularity: f64,
    vote_average: f64,
    vote_count: i32,
    poster_path: Option<String>,
    backdrop_path: Option<String>,
    countries: Vec<String>,
    overview: Option<String>,
    genres: Option<Vec<String>>,
    keywords: Option<Json<Vec<Keyword>>>,
    people: Option<Json<Vec<Person>>>,
    providers: Option<Json<Vec<Provider>>>,
}

/// The films in `ids` that are there, in the order of `ids`.
///
/// # Errors
/// Postgres's.
pub async fn page(
    pool: &PgPool,
    ids: &[i64],
    includes: Includes,
) -> sqlx::Result<Vec<ListedMovie>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<PageRow> = sqlx::query_as(PAGE)
        .bind(ids)
        .bind(includes.overview)
        .bind(includes.genres)
        .bind(includes.keywords)
        .bind(includes.people)
        .bind(includes.providers)
        .fetch_all(pool)
        .await?;
    let mut films = rows
        .into_iter()
        .map(|row| {
            Ok(ListedMovie {
                id: MovieId::new(row.id)
                    .ok_or_else(|| sqlx::Error::Decode("a film's id is not positive".into()))?,
                title: row.title,
                original_title: row.original_title,
                language: row.original_language,
                release_date: row.release_date,
                runtime: row.runtime,
                popularity: row.popularity,
                vote_average: row.vote_average,
                vote_count: row.vote_count,
                poster_path: row.poster_path,
                backdrop_path: row.backdrop_path,
                countries: row.countries,
                overview: row.overview,
                genres: row.genres,
                keywords: row.keywords.map(|Json(keywords)| keywords),
                people: row.people.map(|Json(people)| people),
                providers: row.providers.map(|Json(providers)| providers),
            })
        })
        .collect::<sqlx::Result<Vec<_>>>()?;
    films.sort_by_key(|film| ids.iter().position(|id| *id == film.id.get()));
    Ok(films)
}
