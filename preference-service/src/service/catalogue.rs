//! Which films there are: a read model kept by movie-service's feed, and a question to movie-service
//! where the model does not know a film yet.

use chassis::{
    client::CallError,
    feed::{
        Change,
        follow::{Projection, ProjectionError, SnapshotReader},
    },
};
use serde::Deserialize;
use sqlx::PgPool;

use super::interactions::RecordError;
use crate::{
    client::MovieService,
    models::{MovieChange, MovieId, MovieState},
    repository::movies,
};

/// The name under which the feed's cursor is kept.
const SOURCE: &str = "movie-service";

/// The films of the platform; cheap to clone.
#[derive(Clone)]
pub struct Catalogue {
    pool: PgPool,
    movie_service: MovieService,
}

/// Why it cannot be told whether there is a film.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// movie-service does not answer.
    #[error(transparent)]
    MovieService(#[from] CallError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<CatalogueError> for RecordError {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::MovieService(error) => Self::Catalogue(error),
            CatalogueError::Database(error) => Self::Database(error),
        }
    }
}

impl Catalogue {
    /// Those that the feed told of into `pool`, and those that `movie_service` knows.
    #[must_use]
    pub fn new(pool: PgPool, movie_service: MovieService) -> Self {
        Self {
            pool,
            movie_service,
        }
    }

    /// Whether there is such a film.
    ///
    /// # Errors
    /// Nobody can tell.
    pub async fn has_movie(&self, id: MovieId) -> Result<bool, CatalogueError> {
        if movies::is_known(&self.pool, id).await? {
            return Ok(true);
        }
        // It may be newer than what the feed has told, or back again.
        Ok(self.movie_service.has_movie(id).await?)
    }
}

#[derive(Deserialize)]
struct SyncedPayload {
    id: MovieId,
    version: i64,
    title: String,
}

#[derive(Deserialize)]
struct RemovedPayload {
    id: MovieId,
    version: i64,
}

/// What `change` says of a film; none where it is of something else.
fn movie_change(change: &Change) -> Option<MovieChange> {
    let read = match change.name.as_str() {
        "movie.synced" => change.read().map(|payload: SyncedPayload| MovieChange {
            id: payload.id,
            version: payload.version,
            state: MovieState::Present(payload.title),
        }),
        "movie.removed" => change.read().map(|payload: RemovedPayload| MovieChange {
            id: payload.id,
            version: payload.version,
            state: MovieState::Removed,
        }),
        _ => return None,
    };
    // To stop here would stop for ever, and a film that the model misses is asked for.
    read.inspect_err(|error| {
        tracing::warn!(name = change.name, key = change.key, %error, "change cannot be read, passing over it");
    })
    .ok()
}

/// Keeps the read model of films by movie-service's feed.
pub struct CatalogueProjection {
    pool: PgPool,
}

impl CatalogueProjection {
    /// The model in `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }
}

impl Projection for CatalogueProjection {
    async fn cursor(&self) -> Result<Option<String>, ProjectionError> {
        Ok(movies::find_cursor(&self.pool, SOURCE).await?)
    }

    async fn restore(&self, mut snapshot: SnapshotReader) -> Result<(), ProjectionError> {
        let mut transaction = self.pool.begin().await?;
        movies::move_cursor(&mut transaction, SOURCE, snapshot.cursor()).await?;
        movies::clear(&mut transaction).await?;
        while let Some(changes) = snapshot.next_batch().await? {
            let changes = MovieChange::newest(changes.iter().filter_map(movie_change));
            movies::apply(&mut transaction, &changes).await?;
        }
        Ok(transaction.commit().await?)
    }

    async fn apply(&self, changes: Vec<Change>, cursor: &str) -> Result<(), ProjectionError> {
        let changes = MovieChange::newest(changes.iter().filter_map(movie_change));
        let mut transaction = self.pool.begin().await?;
        movies::move_cursor(&mut transaction, SOURCE, cursor).await?;
        movies::apply(&mut transaction, &changes).await?;
        Ok(transaction.commit().await?)
    }
}
