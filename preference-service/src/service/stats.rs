//! Counters per movie: users who like, dislike, bookmark, watched or rated it. Called by the handlers; the writer moves
//! the counters.

use sqlx::PgPool;

use super::catalogue::Catalogue;
use crate::{
    error::Error,
    models::{Counts, MovieId},
    repository::stats,
};

/// The counters of movies; cheap to clone.
#[derive(Clone)]
pub struct Stats {
    pool: PgPool,
    catalogue: Catalogue,
}

impl Stats {
    /// The counters in `pool`, of the movies of `catalogue`.
    pub fn new(pool: PgPool, catalogue: Catalogue) -> Self {
        Self { pool, catalogue }
    }

    /// Returns the counters of a movie.
    ///
    /// # Errors
    /// `MovieNotFound` if there is no such movie, `Catalogue` if movie-service cannot confirm it, `Database` if Postgres
    /// fails.
    #[tracing::instrument(name = "service.stats.get", level = "debug", skip_all)]
    pub async fn get(&self, movie_id: MovieId) -> Result<Counts, Error> {
        if let Some((_, counts)) = stats::find(&self.pool, &[movie_id]).await?.pop() {
            return Ok(counts);
        }
        if self.catalogue.is_known(movie_id).await? || self.catalogue.confirm(movie_id).await? {
            return Ok(Counts::default());
        }
        Err(Error::MovieNotFound)
    }

    /// Finds the counters of those of `movies` on which any user has acted.
    #[tracing::instrument(name = "service.stats.find_many", level = "debug", skip_all)]
    pub async fn find_many(&self, movies: &[MovieId]) -> sqlx::Result<Vec<(MovieId, Counts)>> {
        stats::find(&self.pool, movies).await
    }
}
