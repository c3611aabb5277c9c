//! The movies of the catalogue: a read model kept up to date by movie-service's feed, and requests to movie-service for
//! movies that the model does not contain yet, and for what lists show of movies. Called by interactions, statistics and
//! imports.

use std::collections::{BTreeMap, HashMap, HashSet};

use chassis::{
    client::CallError,
    feed::{
        Change,
        follow::{Projection, ProjectionError, SnapshotReader},
    },
    language::Language,
};
use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;

use crate::{
    client::{FilmMatch, FilmMatches, MovieService, Selection, WantedFilm},
    error::Error,
    models::{Film, MovieCard, MovieChange, MovieId, MovieState, Tag, TagKind, UnmatchedReason},
    repository::{import_report, movies, webhooks},
};

/// The feed's name in the table of cursors.
const SOURCE: &str = "movie-service";

/// The maximum number of movies that movie-service may fetch from TMDB to confirm many.
const MAX_FETCHED: usize = 100;
/// The number of cast members that count towards taste.
const CAST: usize = 5;

/// Movies as lists show them.
#[derive(Debug, Default)]
pub struct Descriptions {
    /// By movie.
    pub cards: HashMap<MovieId, MovieCard>,
    /// The language of the texts, if movie-service states it.
    pub language: Option<Language>,
}

/// The movies of the catalogue; cheap to clone.
#[derive(Clone)]
pub struct Catalogue {
    pool: PgPool,
    movie_service: MovieService,
}

impl Catalogue {
    /// The read model in `pool`, and the movies that `movie_service` confirms.
    pub fn new(pool: PgPool, movie_service: MovieService) -> Self {
        Self {
            pool,
            movie_service,
        }
    }

    /// Returns true if the read model contains the movie.
    pub async fn is_known(&self, id: MovieId) -> sqlx::Result<bool> {
        movies::is_known(&self.pool, id).await
    }

    /// Returns true if movie-service has the movie, which may be newer than the feed's position, or restored.
    pub async fn confirm(&self, id: MovieId) -> Result<bool, CallError> {
        self.movie_service.has_movie(id).await
    }

    /// Returns for each of `ids`, at most a thousand, if movie-service has the movie; `None` if it cannot tell at
    /// present.
    pub async fn confirm_many(
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
        let found = self.find(&films, MAX_FETCHED).await?;
        let known = found.matches.into_iter().map(|found| match found {
            FilmMatch::Found { .. } => Some(true),
            FilmMatch::Missing {
                unmatched: UnmatchedReason::NotFetched,
                ..
            } => None,
            FilmMatch::Missing { .. } => Some(false),
        });
        Ok(ids.iter().copied().zip(known).collect())
    }

    /// Describes those of `ids`, at most a thousand, that movie-service has, in `language` where texts are known. Nothing
    /// is described if it does not respond: a list is served without.
    #[tracing::instrument(name = "service.catalogue.describe", level = "debug", skip_all)]
    pub async fn describe(&self, ids: &[MovieId], language: Option<Language>) -> Descriptions {
        if ids.is_empty() {
            return Descriptions::default();
        }
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        let selected = self.movie_service.select(&ids, ids.len(), &[], language);
        let selected = selected.await.unwrap_or_else(|error: Error| {
            tracing::debug!(%error, movies = ids.len(), "movies cannot be described");
            Selection::default()
        });
        let cards = selected.movies.iter().filter_map(|(id, movie)| {
            let card = serde_json::from_str(movie.get()).ok()?;
            Some((MovieId::new(*id)?, card))
        });
        Descriptions {
            cards: cards.collect(),
            language: selected.language,
        }
    }

    /// Matches `wanted`, at most a thousand, with movies of the catalogue; movie-service fetches at most `fetch` of them
    /// from TMDB.
    pub async fn find(
        &self,
        wanted: &[WantedFilm<'_>],
        fetch: usize,
    ) -> Result<FilmMatches, CallError> {
        self.movie_service.match_films(wanted, fetch).await
    }
}

#[derive(Deserialize)]
struct SyncedPayload {
    id: MovieId,
    version: i64,
    title: String,
    #[serde(default)]
    original_title: String,
    original_language: Option<String>,
    release_date: Option<NaiveDate>,
    #[serde(default)]
    genres: Vec<Named>,
    #[serde(default)]
    keywords: Vec<Named>,
    /// Directors, writers and the first cast members, in this order.
    #[serde(default)]
    people: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    id: i64,
    name: String,
    #[serde(default)]
    names: BTreeMap<String, String>,
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
                    names: match kind {
                        TagKind::Genre => named.names.clone(),
                        _ => BTreeMap::new(),
                    },
                })
            })
            .collect();
        // A person who directs and acts counts once.
        tags.sort_unstable();
        tags.dedup_by_key(|tag| (tag.kind, tag.id));
        Film {
            title: self.title,
            original_title: self.original_title,
            tags,
            language: self.original_language.filter(|code| !code.is_empty()),
            release_year: self
                .release_date
                .and_then(|day| i16::try_from(day.year()).ok()),
        }
    }
}

#[derive(Deserialize)]
struct RemovedPayload {
    id: MovieId,
    version: i64,
}

/// Returns the change of a movie, `None` if `change` is about something else or cannot be parsed.
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
    // Stopping here would stop the feed for good; movies that the model lacks are confirmed by request.
    read.inspect_err(|error| {
        tracing::warn!(name = change.name, key = change.key, %error, "change cannot be parsed, skipped");
    })
    .ok()
}

/// Applies movie-service's feed to the read model.
pub struct CatalogueProjection {
    pool: PgPool,
    arrived: watch::Sender<()>,
}

impl CatalogueProjection {
    /// The projection into `pool`; `arrived` changes when imports and deliveries may find new movies.
    pub fn new(pool: PgPool, arrived: watch::Sender<()>) -> Self {
        Self { pool, arrived }
    }

    /// Stores `changes`, and has imports and deliveries that may be about new movies applied again.
    async fn store(
        &self,
        transaction: &mut PgConnection,
        changes: &[Change],
    ) -> Result<(), ProjectionError> {
        let changes = MovieChange::newest(changes.iter().filter_map(movie_change));
        let ids: Vec<MovieId> = changes.iter().map(|change| change.id).collect();
        let new: HashSet<MovieId> = movies::list_unknown(transaction, &ids)
            .await?
            .into_iter()
            .collect();
        movies::apply(transaction, &changes).await?;
        let titles: Vec<&str> = changes
            .iter()
            .filter(|change| new.contains(&change.id))
            .filter_map(|change| match &change.state {
                MovieState::Present(film) => Some([&film.title, &film.original_title]),
                MovieState::Removed => None,
            })
            .flatten()
            .map(String::as_str)
            .collect();
        let new: Vec<MovieId> = new.into_iter().collect();
        import_report::expect(transaction, &new, &titles).await?;
        webhooks::expect(transaction, &titles).await?;
        Ok(())
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
            self.store(&mut transaction, &changes).await?;
        }
        transaction.commit().await?;
        self.arrived.send_replace(());
        Ok(())
    }

    async fn apply(&self, changes: Vec<Change>, cursor: &str) -> Result<(), ProjectionError> {
        let mut transaction = self.pool.begin().await?;
        movies::move_cursor(&mut transaction, SOURCE, cursor).await?;
        self.store(&mut transaction, &changes).await?;
        transaction.commit().await?;
        self.arrived.send_replace(());
        Ok(())
    }
}
