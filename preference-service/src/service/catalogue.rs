//! Which films there are: a read model kept by movie-service's feed, and a question to movie-service
//! where the model does not know a film yet.

use std::collections::HashMap;

use chassis::{
    client::CallError,
    feed::{
        Change,
        follow::{Projection, ProjectionError, SnapshotReader},
    },
};
use serde::Deserialize;
use sqlx::PgPool;

use crate::{
    client::{FilmMatch, FilmMatches, MovieService, Unmatched, WantedFilm},
    models::{Film, MovieChange, MovieId, MovieState, Tag, TagKind},
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

impl Catalogue {
    /// Those that the feed told of into `pool`, and those that `movie_service` knows.
    #[must_use]
    pub fn new(pool: PgPool, movie_service: MovieService) -> Self {
        Self {
            pool,
            movie_service,
        }
    }

    /// Whether there is such a film, as far as the feed has told.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn is_known(&self, id: MovieId) -> sqlx::Result<bool> {
        movies::is_known(&self.pool, id).await
    }

    /// Whether movie-service knows of such a film; it may be newer than what the feed has told, or
    /// back again.
    ///
    /// # Errors
    /// movie-service does not answer.
    pub async fn ask(&self, id: MovieId) -> Result<bool, CallError> {
        self.movie_service.has_movie(id).await
    }

    /// Which of `ids`, a thousand at most, movie-service knows of, asked about at once; none where that
    /// cannot be told now.
    ///
    /// # Errors
    /// movie-service does not answer.
    pub async fn ask_many(
        &self,
        ids: &[MovieId],
    ) -> Result<HashMap<MovieId, Option<bool>>, CallError> {
        let films: Vec<WantedFilm<'_>> = ids
            .iter()
            .map(|id| WantedFilm {
                tmdb_id: Some(*id),
                ..WantedFilm::default()
            })
            .collect();
        let found = self.find(&films, MOST_FETCHED).await?;
        let known = found.matches.into_iter().map(|found| match found {
            FilmMatch::Id(_) => Some(true),
            FilmMatch::Unmatched(Unmatched::Deferred) => None,
            FilmMatch::Unmatched(_) => Some(false),
        });
        Ok(ids.iter().copied().zip(known).collect())
    }

    /// Which films `wanted`, a thousand at most, are; at most `fetch` of them are fetched for that.
    ///
    /// # Errors
    /// movie-service does not answer.
    pub async fn find(
        &self,
        wanted: &[WantedFilm<'_>],
        fetch: usize,
    ) -> Result<FilmMatches, CallError> {
        self.movie_service.match_films(wanted, fetch).await
    }
}

/// How many films at most are fetched for one question about many.
const MOST_FETCHED: usize = 100;

/// How many of the cast make a difference to taste.
const CAST: usize = 5;

#[derive(Deserialize)]
struct SyncedPayload {
    id: MovieId,
    version: i64,
    title: String,
    original_language: Option<String>,
    #[serde(default)]
    genres: Vec<Named>,
    #[serde(default)]
    keywords: Vec<Named>,
    /// Directors, writers and the first of the cast, in this order.
    #[serde(default)]
    people: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: i64,
    name: String,
    job: Option<String>,
}

impl SyncedPayload {
    fn film(self) -> Film {
        let is = |person: &&Named, job: &str| person.job.as_deref() == Some(job);
        let directors = self.people.iter().filter(|person| is(person, "Director"));
        let cast = self.people.iter().filter(|person| is(person, "Actor"));
        let kinds = [
            (TagKind::Genre, self.genres.iter().collect::<Vec<_>>()),
            (TagKind::Keyword, self.keywords.iter().collect()),
            (TagKind::Person, directors.chain(cast.take(CAST)).collect()),
        ];
        let mut tags: Vec<Tag> = kinds
            .into_iter()
            .flat_map(|(kind, named)| {
                named.into_iter().map(move |named| Tag {
                    kind,
                    id: named.id,
                    name: named.name.clone(),
                })
            })
            .collect();
        // Who directs and plays counts once.
        tags.sort_unstable();
        tags.dedup_by_key(|tag| (tag.kind, tag.id));
        Film {
            title: self.title,
            tags,
            language: self.original_language.filter(|code| !code.is_empty()),
        }
    }
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
            state: MovieState::Present(payload.film()),
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
