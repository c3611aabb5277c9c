//! How many users stand so with a film.

use chassis::client::CallError;
use sqlx::PgPool;

use super::catalogue::Catalogue;
use crate::{
    models::{Counts, MovieId},
    repository::stats,
};

/// Why the counters of a film are not told.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// There is no such film.
    #[error("movie not found")]
    MovieNotFound,
    /// Whether there is such a film cannot be told now.
    #[error(transparent)]
    Catalogue(#[from] CallError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The counters of films; cheap to clone.
#[derive(Clone)]
pub struct Stats {
    pool: PgPool,
    catalogue: Catalogue,
}

impl Stats {
    /// Those in `pool`, of films of `catalogue`.
    #[must_use]
    pub fn new(pool: PgPool, catalogue: Catalogue) -> Self {
        Self { pool, catalogue }
    }

    /// The counters of a film.
    ///
    /// # Errors
    /// There is no such film, or nobody can tell.
    pub async fn of(&self, movie_id: MovieId) -> Result<Counts, StatsError> {
        if let Some((_, counts)) = stats::find(&self.pool, &[movie_id]).await?.pop() {
            return Ok(counts);
        }
        if self.catalogue.is_known(movie_id).await? || self.catalogue.ask(movie_id).await? {
            return Ok(Counts::default());
        }
        Err(StatsError::MovieNotFound)
    }

    /// The counters of those of `movies` that anybody has done anything with.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn of_many(&self, movies: &[MovieId]) -> sqlx::Result<Vec<(MovieId, Counts)>> {
        stats::find(&self.pool, movies).await
    }
}
