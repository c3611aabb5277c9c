//! Bulk lookups of movies by ids and titles of other catalogues.

use std::collections::HashMap;

use sqlx::PgPool;

use crate::models::MovieId;

/// Returns those of `ids` that are in the catalogue.
#[tracing::instrument(name = "repository.matching.find_ids", level = "debug", skip_all)]
pub async fn find_ids(pool: &PgPool, ids: &[MovieId]) -> sqlx::Result<Vec<MovieId>> {
    sqlx::query_scalar!(
        r#"select id as "id: MovieId" from movie where id = any ($1) and removed_at is null"#,
        ids as &[MovieId],
    )
    .fetch_all(pool)
    .await
}

/// Returns the movies that have one of IMDb's `ids`, by IMDb's id; of several, the one with the lowest id.
#[tracing::instrument(name = "repository.matching.find_imdb_ids", level = "debug", skip_all)]
pub async fn find_imdb_ids(
    pool: &PgPool,
    ids: &[String],
) -> sqlx::Result<HashMap<String, MovieId>> {
    let rows = sqlx::query!(
        r#"select imdb_id as "imdb_id!", min(id) as "id!: MovieId" from movie
         where imdb_id = any ($1) and removed_at is null group by imdb_id"#,
        ids,
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.imdb_id, row.id)).collect())
}

/// The most movies that are returned for a title.
const MAX_PER_TITLE: i64 = 5;

/// A movie that has one of the requested titles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TitleMatch {
    /// The position of the title in the request, from 0.
    pub position: i32,
    /// The movie.
    pub id: MovieId,
    /// True if it was released in the requested year.
    pub same_year: bool,
    /// True if it is the movie's title or original title, rather than an alternative one.
    pub own_title: bool,
    /// The number of votes.
    pub vote_count: i32,
    /// IMDb's id.
    pub imdb_id: Option<String>,
    /// The title.
    pub title: String,
    /// The year of release.
    pub year: Option<i32>,
}

/// Returns, for each title, the best five movies that have it and, if a year is given, were released in that year
/// or a neighbouring one; the better first.
#[tracing::instrument(name = "repository.matching.find_titles", level = "debug", skip_all)]
pub async fn find_titles(
    pool: &PgPool,
    titles: &[(&str, Option<i32>)],
) -> sqlx::Result<Vec<TitleMatch>> {
    let (titles, years): (Vec<String>, Vec<Option<i32>>) = titles
        .iter()
        .map(|(title, year)| ((*title).to_owned(), *year))
        .unzip();
    let mut transaction = pool.begin().await?;
    // The planner underestimates a scan: computing the key of every title is always slower than the index.
    sqlx::query!("set local enable_seqscan = off")
        .execute(&mut *transaction)
        .await?;
    let found = sqlx::query_as!(
        TitleMatch,
        r#"with request as (
            select (place - 1)::int as position, movie_title_key(title) as key, year
            from unnest($1::text[], $2::int[]) with ordinality as r (title, year, place)
         )
         select request.position as "position!", fit.id as "id!: MovieId", fit.same_year as "same_year!",
                fit.own_title as "own_title!", fit.vote_count as "vote_count!", fit.imdb_id,
                fit.title as "title!", extract(year from fit.release_date)::int as year
         from request cross join lateral (
            select id, vote_count, imdb_id, title, release_date,
                   coalesce(extract(year from release_date) = request.year, false) as same_year,
                   movie_title_key(title) = request.key
                       or movie_title_key(original_title) = request.key as own_title
            from movie
            where removed_at is null
              and movie_title_keys(title, original_title, titles) @> array[request.key]
              and (request.year is null
                   or extract(year from release_date) between request.year - 1 and request.year + 1)
            order by same_year desc, own_title desc, vote_count desc, id
            limit $3
         ) as fit
         where request.key <> ''
         order by request.position, same_year desc, own_title desc, vote_count desc, id"#,
        &titles,
        &years as &[Option<i32>],
        MAX_PER_TITLE,
    )
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(found)
}

/// Returns for each of `titles` if it is the same as `wanted` without case, accents and punctuation.
#[tracing::instrument(name = "repository.matching.are_equal", level = "debug", skip_all)]
pub async fn are_equal(pool: &PgPool, wanted: &str, titles: &[String]) -> sqlx::Result<Vec<bool>> {
    sqlx::query_scalar!(
        r#"select movie_title_key(title) = movie_title_key($1) as "is_equal!"
           from unnest($2::text[]) with ordinality as t (title, place) order by place"#,
        wanted,
        titles,
    )
    .fetch_all(pool)
    .await
}
