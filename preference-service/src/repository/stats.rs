//! The counters of films. They are moved by [`super::user_movies::store`] and
//! [`super::erasure::erase`].

use sqlx::PgPool;

use crate::models::{Counts, MovieId};

#[derive(sqlx::FromRow)]
pub(super) struct CountsRow {
    movie_id: i64,
    like_count: i64,
    dislike_count: i64,
    superlike_count: i64,
    bookmark_count: i64,
    view_count: i64,
    rating_count: i64,
    rating_sum: i64,
}

impl From<CountsRow> for Counts {
    fn from(row: CountsRow) -> Self {
        Self {
            likes: row.like_count,
            dislikes: row.dislike_count,
            superlikes: row.superlike_count,
            bookmarks: row.bookmark_count,
            views: row.view_count,
            ratings: row.rating_count,
            rating_sum: row.rating_sum,
        }
    }
}

/// The counters of those of `movies` that anybody has done anything with, by id.
///
/// # Errors
/// Postgres's.
pub async fn find(pool: &PgPool, movies: &[MovieId]) -> sqlx::Result<Vec<(MovieId, Counts)>> {
    let ids: Vec<i64> = movies.iter().map(|movie| movie.get()).collect();
    let rows: Vec<CountsRow> = sqlx::query_as(
        "select movie_id, like_count, dislike_count, superlike_count, bookmark_count, view_count,
                rating_count, rating_sum
         from movie_stats
         where movie_id = any ($1)
         order by movie_id",
    )
    .bind(ids)
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((MovieId::new(row.movie_id)?, row.into())))
        .collect())
}
