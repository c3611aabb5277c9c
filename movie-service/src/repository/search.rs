//! Reads of the search index: the names of all movies, of changed ones, and the counts of queries.

use std::{borrow::Cow, collections::BTreeMap};

use chrono::NaiveDate;
use serde::Deserialize;
use sqlx::{PgPool, Row, postgres::PgRow, types::Json};
use tokio::sync::mpsc;

use super::rows;

/// Not a macro: rows are decoded into borrowed text, as those of the list index.
const NAMES: &str =
    "select id, title, original_title, original_language, release_date, popularity, vote_count,
        poster_path, genre_ids, keywords, people, titles
     from movie where removed_at is null";

/// A name of a movie beside its own two.
#[derive(Debug, Deserialize)]
pub struct TitleRow<'a> {
    /// The title.
    #[serde(borrow)]
    pub title: Cow<'a, str>,
    /// The language of a translation, ISO 639-1.
    #[serde(borrow)]
    pub language: Option<Cow<'a, str>>,
}

/// A keyword.
#[derive(Debug, Deserialize)]
pub struct KeywordRow<'a> {
    /// TMDB's id, negative if a dump has none.
    pub id: i64,
    /// The word.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
}

/// A member of the cast or crew.
#[derive(Debug, Deserialize)]
pub struct PersonRow<'a> {
    /// TMDB's id, negative if a dump has none.
    pub id: i64,
    /// The name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Names in other languages, by ISO 639-1.
    #[serde(borrow, default)]
    pub names: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

/// The searched properties of a movie, borrowed from a row.
#[derive(Debug)]
pub struct NamesRow<'a> {
    /// TMDB's id.
    pub id: i64,
    /// The title in the catalogue's language.
    pub title: &'a str,
    /// The title in the original language.
    pub original_title: &'a str,
    /// The original language, ISO 639-1.
    pub original_language: &'a str,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// TMDB's popularity, 0 and up.
    pub popularity: f64,
    /// The number of votes.
    pub vote_count: i32,
    /// The poster's path at TMDB's image host.
    pub poster_path: Option<&'a str>,
    /// TMDB's ids of the genres.
    pub genre_ids: Vec<i32>,
    /// The keywords.
    pub keywords: Vec<KeywordRow<'a>>,
    /// Directors, writers and the first of the cast.
    pub people: Vec<PersonRow<'a>>,
    /// Translated and alternative titles.
    pub titles: Vec<TitleRow<'a>>,
}

/// Decodes a row of [`load`] or [`rows_of`].
///
/// # Errors
/// Returns [`sqlx::Error::ColumnDecode`] if a jsonb column does not have the documented shape.
pub fn names(row: &PgRow) -> sqlx::Result<NamesRow<'_>> {
    Ok(NamesRow {
        id: row.try_get("id")?,
        title: row.try_get("title")?,
        original_title: row.try_get("original_title")?,
        original_language: row.try_get("original_language")?,
        release_date: row.try_get("release_date")?,
        popularity: row.try_get("popularity")?,
        vote_count: row.try_get("vote_count")?,
        poster_path: row.try_get("poster_path")?,
        genre_ids: row.try_get("genre_ids")?,
        keywords: row.try_get::<Json<_>, _>("keywords")?.0,
        people: row.try_get::<Json<_>, _>("people")?.0,
        titles: row.try_get::<Json<_>, _>("titles")?.0,
    })
}

/// Sends the rows of all movies to `batches`, to be decoded by [`names`].
#[tracing::instrument(name = "repository.search.load", level = "debug", skip_all)]
pub async fn load(pool: &PgPool, batches: mpsc::Sender<Vec<PgRow>>) -> sqlx::Result<()> {
    rows::send_all(pool, NAMES, batches).await
}

/// Returns the rows of those movies in `ids` that exist, to be decoded by [`names`].
#[tracing::instrument(name = "repository.search.rows_of", level = "debug", skip_all)]
pub async fn rows_of(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<PgRow>> {
    rows::of_ids(pool, NAMES, ids).await
}

/// A query with its number of searches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PopularQuery {
    /// The query.
    pub query: String,
    /// Searches.
    pub count: i64,
}

/// Searches of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchCount {
    /// Their number.
    pub count: i64,
    /// The marks of those who searched, as bits.
    pub searchers: i64,
}

/// Adds to the counts of queries of `day`.
#[tracing::instrument(name = "repository.search.count", level = "debug", skip_all)]
pub async fn count(
    pool: &PgPool,
    day: NaiveDate,
    counts: &[(String, SearchCount)],
) -> sqlx::Result<()> {
    let queries: Vec<String> = counts.iter().map(|(query, _)| query.clone()).collect();
    let numbers: Vec<i64> = counts.iter().map(|(_, added)| added.count).collect();
    let searchers: Vec<i64> = counts.iter().map(|(_, added)| added.searchers).collect();
    sqlx::query!(
        "insert into search_count (day, query, count, searchers)
         select $1, query, count, searchers
         from unnest($2::text[], $3::bigint[], $4::bigint[]) as counted (query, count, searchers)
         order by query
         on conflict (day, query) do update
         set count = search_count.count + excluded.count,
             searchers = search_count.searchers | excluded.searchers",
        day,
        &queries,
        &numbers,
        &searchers,
    )
    .execute(pool)
    .await
    .map(|_| ())
}

/// Deletes the counts of days before `day`.
#[tracing::instrument(name = "repository.search.expire", level = "debug", skip(pool))]
pub async fn expire(pool: &PgPool, day: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!("delete from search_count where day < $1", day)
        .execute(pool)
        .await
        .map(|_| ())
}

/// Lists the queries since `day` with at least `min` searches and different marks of searchers, the most frequent first.
#[tracing::instrument(name = "repository.search.popular", level = "debug", skip(pool))]
pub async fn popular(
    pool: &PgPool,
    day: NaiveDate,
    min: (i64, i64),
    limit: i64,
) -> sqlx::Result<Vec<PopularQuery>> {
    sqlx::query_as!(
        PopularQuery,
        r#"select query, sum(count)::bigint as "count!" from search_count where day >= $1
         group by query
         having sum(count)::bigint >= $2 and bit_count(bit_or(searchers)::bit(64)) >= $3
         order by sum(count) desc, query limit $4"#,
        day,
        min.0,
        min.1,
        limit,
    )
    .fetch_all(pool)
    .await
}
