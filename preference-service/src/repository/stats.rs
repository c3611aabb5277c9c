//! The table `movie_stats`, counters per movie that are only read here. They are moved by
//! [`super::user_movies::store`] and [`super::erasure::erase`].

use sqlx::PgPool;

use crate::models::{Counts, MovieId};

/// Finds the counters of those of `movies` on which any user has acted, by id.
#[tracing::instrument(name = "repository.stats.find", level = "debug", skip_all)]
pub async fn find(pool: &PgPool, movies: &[MovieId]) -> sqlx::Result<Vec<(MovieId, Counts)>> {
    let rows = sqlx::query!(
        r#"select movie_id as "movie_id: MovieId",
                  (like_count, dislike_count, superlike_count, bookmark_count, view_count,
                   rating_count, rating_sum)::movie_counts_row as "counts!: Counts"
           from movie_stats where movie_id = any ($1) order by movie_id"#,
        movies as _
    )
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.movie_id, row.counts))
        .collect())
}
