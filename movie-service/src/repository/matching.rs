//! Films by what other lists call them: ids and titles, many at once.

use sqlx::PgPool;

/// Those of `ids` that are in the catalogue.
///
/// # Errors
/// Postgres's.
pub async fn find_ids(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar("select id from movie where id = any ($1) and removed_at is null")
        .bind(ids)
        .fetch_all(pool)
        .await
}

/// The films that IMDb calls so; of several that say the same, the first.
///
/// # Errors
/// Postgres's.
pub async fn find_imdb_ids(pool: &PgPool, ids: &[&str]) -> sqlx::Result<Vec<(String, i64)>> {
    sqlx::query_as(
        "select imdb_id, min(id) from movie
         where imdb_id = any ($1) and removed_at is null group by imdb_id",
    )
    .bind(ids)
    .fetch_all(pool)
    .await
}

/// A film whose title is the one that was looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Namesake {
    /// Which of the titles.
    pub position: i32,
    /// The film.
    pub id: i64,
    /// Whether its year is the one that was given.
    pub same_year: bool,
    /// Whether it is the film's own title, rather than one it has elsewhere.
    pub own_title: bool,
    /// How many voted for it.
    pub vote_count: i32,
}

/// The films that have one of `titles`, and were released in its year or one next to it where a year is
/// given: of each title the two that fit best, the better one first.
///
/// # Errors
/// Postgres's.
pub async fn find_titles(
    pool: &PgPool,
    titles: &[(&str, Option<i32>)],
) -> sqlx::Result<Vec<Namesake>> {
    let (titles, years): (Vec<&str>, Vec<Option<i32>>) = titles.iter().copied().unzip();
    let mut transaction = pool.begin().await?;
    // Each title is looked up in the index; to compare it with that of every film is never quicker.
    sqlx::query("set local enable_seqscan = off")
        .execute(&mut *transaction)
        .await?;
    let found = sqlx::query_as(
        "with wanted as (
            select (place - 1)::int as position, movie_title_key(title) as key, year
            from unnest($1::text[], $2::int[]) with ordinality as w (title, year, place)
         )
         select wanted.position, fit.id, fit.same_year, fit.own_title, fit.vote_count
         from wanted cross join lateral (
            select id, vote_count,
                   coalesce(extract(year from release_date) = wanted.year, false) as same_year,
                   movie_title_key(title) = wanted.key
                       or movie_title_key(original_title) = wanted.key as own_title
            from movie
            where removed_at is null
              and movie_title_keys(title, original_title, titles) @> array[wanted.key]
              and (wanted.year is null
                   or extract(year from release_date) between wanted.year - 1 and wanted.year + 1)
            order by 3 desc, 4 desc, vote_count desc, id
            limit 2
         ) as fit
         where wanted.key <> ''
         order by wanted.position, same_year desc, own_title desc, vote_count desc, id",
    )
    .bind(titles)
    .bind(years)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(found)
}
