//! Lists of movies. The [`index`] decides in memory which movies a page has; their columns are then read from
//! Postgres by id. Handlers call it. The index is loaded at start and follows the service's own change feed, so that
//! every replica shows a change within milliseconds of its commit.

pub mod collation;
pub mod index;
pub mod moves;
pub mod position;
pub mod query;
pub mod sorted;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::{
    feed::outbox::{Outbox, ReadError},
    language::Language,
    paging::total_pages,
    shutdown::Shutdown,
    validate::FieldError,
};
use filter::FacetKind;
use sqlx::{PgPool, postgres::PgRow};
use tokio::sync::{Mutex, mpsc, watch};

use super::changes::{self, Position};

use self::{
    index::Index,
    query::{Selection, Start, WalkPlace},
};
use super::translation::{self, TranslatedMovies};
use crate::{
    models::{FilmFacts, Filter, Genre, GenreCount, Includes, Movie, MovieId, Order, SortBy},
    repository::listing,
};

/// Movies in the list index (gauge).
pub const LIST_INDEX_FILMS: &str = "list_index_films";
/// Duration of the last load of the list index (gauge, seconds).
pub const LIST_INDEX_LOAD_SECONDS: &str = "list_index_load_seconds";
/// Age of the oldest change that the feed does not show yet, 0 if there is none; while the feed cannot be read, the
/// time since the last read (gauge, seconds).
pub const FEED_AGE_SECONDS: &str = "feed_age_seconds";
/// Changes applied to the list index since it was loaded (counter).
pub const LIST_INDEX_CHANGES_TOTAL: &str = "list_index_changes_total";

/// A request waits this long for the first load of the index.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A writer waits this long until its changes are in the lists.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// The index polls for changes at least this often, since a notification can be lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The same while the feed holds back a change.
const HIDDEN_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Movies applied under one write lock, which bounds the wait of readers.
const MOVIES_PER_LOCK: usize = 8;
/// Batches of rows between Postgres and the index while it is loaded.
const LOAD_QUEUE: usize = 4;
/// Further reads to fill a page whose movies are removed meanwhile.
const MAX_REFILLS: usize = 3;

/// A failed request for a list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The index is not loaded yet.
    #[error("the list index is being loaded")]
    Loading,
    /// The filter has values that no movie has.
    #[error("the filter is invalid")]
    Invalid(Vec<FieldError>),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A request for a page of a list.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// The conditions that movies of the list meet.
    pub filter: Filter,
    /// The sort key.
    pub sort_by: SortBy,
    /// The direction.
    pub order: Order,
    /// The page number, from 1.
    pub page: i64,
    /// The end of the previous page of a walk; `None` starts at the page number.
    pub after: Option<WalkPlace>,
    /// Movies per page.
    pub page_size: i64,
    /// The optional columns.
    pub includes: Includes,
}

/// A page of movies.
#[derive(Debug)]
pub struct MoviePage {
    /// The number of pages.
    pub total_pages: i64,
    /// The number of movies on all pages.
    pub total_results: i64,
    /// The movies.
    pub movies: Vec<Movie>,
    /// The display language, if any of their texts is in it.
    pub language: Option<Language>,
    /// The start of the next page; `None` on the last.
    pub next: Option<WalkPlace>,
}

/// The lists; cheap to clone.
#[derive(Clone)]
pub struct Listing(Arc<Inner>);

struct Inner {
    pool: PgPool,
    outbox: Outbox,
    /// Never locked across an await.
    index: RwLock<Index>,
    /// Increases with every change of the index, under its lock.
    generation: AtomicU64,
    loaded: watch::Sender<bool>,
    /// The position in the feed, `None` if the index must be loaded. Locked while changes are read and applied, so
    /// that they are applied in order.
    progress: Mutex<Option<Position>>,
}

impl Listing {
    /// Lists the movies in `pool`, with their changes from `outbox`.
    pub fn new(pool: PgPool, outbox: Outbox) -> Self {
        Self(Arc::new(Inner {
            pool,
            outbox,
            index: RwLock::default(),
            generation: AtomicU64::default(),
            loaded: watch::Sender::new(false),
            progress: Mutex::default(),
        }))
    }

    /// Starts the task that loads the index and applies changes, until the shutdown.
    pub fn follow(&self, shutdown: &Shutdown) {
        let (this, until) = (self.clone(), shutdown.clone());
        shutdown.spawn(async move {
            tokio::select! {
                () = until.started() => {}
                () = this.follow_changes() => {}
            }
        });
    }

    /// The readiness check.
    pub async fn check(self) -> Result<(), String> {
        match *self.0.loaded.borrow() {
            true => Ok(()),
            false => Err("still loading".to_owned()),
        }
    }

    /// Waits until the index is loaded.
    ///
    /// # Errors
    /// `Loading` if it is not loaded within a few seconds.
    pub async fn ready(&self) -> Result<(), ListError> {
        let mut loaded = self.0.loaded.subscribe();
        let wait = tokio::time::timeout(LOAD_TIMEOUT, loaded.wait_for(|loaded| *loaded));
        match wait.await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ListError::Loading),
        }
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        // A writer that panicked leaves an index that later changes correct.
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        let index = self.0.index.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: a reader of this generation reads the index after the change.
        self.0.generation.fetch_add(1, Ordering::Release);
        index
    }

    /// The generation of the index. A read that follows sees this generation or a later one; each change makes
    /// another.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Reports the values in `filter` that no movie has.
    ///
    /// # Errors
    /// [`ListError::Loading`] if the index is not loaded within a few seconds, [`ListError::Invalid`] with the values.
    pub async fn check_filter(&self, filter: &Filter) -> Result<(), ListError> {
        if *filter == Filter::default() {
            return Ok(());
        }
        self.ready().await?;
        let errors = self.index().check(filter);
        match errors.is_empty() {
            true => Ok(()),
            false => Err(ListError::Invalid(errors)),
        }
    }

    /// Lists all genres by their names in `language`, with their numbers of movies. Also returns the language, if any
    /// name is in it.
    pub async fn genres(
        &self,
        language: Option<Language>,
    ) -> Result<(Vec<GenreCount>, Option<Language>), ListError> {
        self.ready().await?;
        let index = self.index();
        let mut genres = index.genres(language);
        let used = language.filter(|language| index.names_genres_in(*language));
        drop(index);
        genres.sort_by(|one, two| one.name.cmp(&two.name).then(one.id.cmp(&two.id)));
        Ok((genres, used))
    }

    /// Returns those movies in `ids` that exist, in the order of `ids`.
    #[tracing::instrument(name = "service.listing.batch", level = "debug", skip_all)]
    pub async fn batch(
        &self,
        ids: &[MovieId],
        includes: Includes,
    ) -> Result<TranslatedMovies, ListError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        Ok(translation::read(&self.0.pool, &ids, includes).await?)
    }

    /// Returns the first `limit` movies in `ids`, in their order, that pass `filter`.
    #[tracing::instrument(name = "service.listing.select", level = "debug", skip_all)]
    pub async fn select(
        &self,
        ids: &[MovieId],
        filter: &Filter,
        limit: usize,
        includes: Includes,
    ) -> Result<TranslatedMovies, ListError> {
        self.ready().await?;
        let passing: Vec<i64> = {
            let index = self.index();
            let selection = index.select(filter);
            let ids = ids.iter().map(|id| id.get());
            ids.filter(|id| selection.contains(*id))
                .take(limit)
                .collect()
        };
        Ok(translation::read(&self.0.pool, &passing, includes).await?)
    }

    /// Calls `read` with the movies that pass `filter`. The index cannot change meanwhile, so `read` must be brief.
    pub fn with_selection<T>(&self, filter: &Filter, read: impl FnOnce(&Selection<'_>) -> T) -> T {
        read(&self.index().select(filter))
    }

    /// The number of movies of each facet in `ids`, and the sum of their votes.
    pub fn movies_of(&self, kind: FacetKind, ids: &[i64]) -> Vec<(usize, u64)> {
        let index = self.index();
        ids.iter().map(|id| index.movies_of(kind, *id)).collect()
    }

    /// Returns a page of a list.
    #[tracing::instrument(name = "service.listing.list", level = "debug", skip_all)]
    pub async fn list(&self, request: &PageRequest) -> Result<MoviePage, ListError> {
        self.ready().await?;
        let size = usize::try_from(request.page_size).unwrap_or(1);
        let mut since = request.after.as_ref().map(|place| place.since);
        let mut start = match &request.after {
            Some(place) => Start::After(place.clone()),
            None => {
                let offset = (request.page - 1).saturating_mul(request.page_size);
                Start::Offset(usize::try_from(offset).unwrap_or(0))
            }
        };
        let mut movies = Vec::with_capacity(size);
        let mut language = None;
        let mut total = None;
        let mut next = None;
        for _ in 0..=MAX_REFILLS {
            let slice = {
                let index = self.index();
                since.get_or_insert_with(|| index.now());
                let selection = index.select(&request.filter);
                total.get_or_insert(selection.count());
                selection.slice(request.sort_by, request.order, &start, size - movies.len())
            };
            let read = translation::read(&self.0.pool, &slice.ids, request.includes).await?;
            movies.extend(read.movies);
            language = language.or(read.language);
            let last = slice.positions.last().filter(|_| slice.more).cloned();
            next = last.map(|position| WalkPlace {
                position,
                since: since.unwrap_or_default(),
            });
            match &next {
                // A movie was removed after the last change of the index.
                Some(place) if movies.len() < size => start = Start::After(place.clone()),
                _ => break,
            }
        }
        let total_results = i64::try_from(total.unwrap_or(0)).unwrap_or(i64::MAX);
        Ok(MoviePage {
            total_pages: total_pages(total_results, request.page_size),
            total_results,
            movies,
            language,
            next,
        })
    }

    async fn follow_changes(&self) {
        let mut arrivals = self.0.outbox.subscribe();
        let mut pause = Duration::ZERO;
        let mut last_read = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = arrivals.changed() => {}
            }
            pause = POLL_INTERVAL;
            let needs_load = self.0.progress.lock().await.is_none();
            let has_hidden = match needs_load {
                true => self.load().await.map(|()| false),
                false => self.apply_changes().await,
            };
            match has_hidden {
                Err(ReadError::Database(error)) => {
                    metrics::gauge!(FEED_AGE_SECONDS).set(last_read.elapsed().as_secs_f64());
                    tracing::debug!(%error, "cannot read the change feed, lists are outdated");
                    continue;
                }
                Err(ReadError::CursorExpired) => {
                    tracing::info!("the change feed has expired, reloading the list index");
                    *self.0.progress.lock().await = None;
                    pause = Duration::ZERO;
                }
                Ok(true) => pause = HIDDEN_POLL_INTERVAL,
                Ok(false) => {}
            }
            last_read = Instant::now();
        }
    }

    /// Loads the index and replaces the previous one.
    #[tracing::instrument(name = "service.listing.load", level = "debug", skip_all)]
    async fn load(&self) -> Result<(), ReadError> {
        let started = Instant::now();
        let mut progress = self.0.progress.lock().await;
        let position = changes::latest(&self.0.pool, &self.0.outbox).await?;
        let genres = listing::genres(&self.0.pool).await?;
        // Decoding blocks its thread for as long as Postgres sends rows.
        let (batches, rows) = mpsc::channel(LOAD_QUEUE);
        let building = tokio::task::spawn_blocking(move || build(rows, genres));
        listing::load(&self.0.pool, batches).await?;
        let index = building.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        let movies = index.count();
        // Freed outside of the lock: millions of small allocations take a while.
        let previous = std::mem::replace(&mut *self.index_mut(), index);
        tokio::task::spawn_blocking(move || drop(previous));
        *progress = Some(position);
        self.0.loaded.send_replace(true);
        let seconds = started.elapsed().as_secs_f64();
        metrics::gauge!(LIST_INDEX_LOAD_SECONDS).set(seconds);
        self.count();
        tracing::info!(movies, seconds, "list index loaded");
        Ok(())
    }

    /// Applies all changes committed until now, by this replica and by others, so that a writer sees its own changes
    /// in lists. Waits for a moment at most, since the follower applies them in any case.
    pub async fn catch_up(&self) {
        let caught_up = tokio::time::timeout(CATCH_UP_TIMEOUT, self.apply_changes());
        if !matches!(caught_up.await, Ok(Ok(_))) {
            tracing::debug!("lists do not show the latest changes yet");
        }
    }

    /// Applies pending changes; true if the feed still holds some back.
    async fn apply_changes(&self) -> Result<bool, ReadError> {
        let mut progress = self.0.progress.lock().await;
        let Some(progress) = progress.as_mut() else {
            return Ok(false);
        };
        loop {
            let batch = changes::read(&self.0.pool, &self.0.outbox, *progress).await?;
            self.apply(batch.versions).await?;
            *progress = batch.position;
            if !batch.more {
                break;
            }
        }
        let waiting = listing::waiting_after(&self.0.pool, progress.cursor).await?;
        metrics::gauge!(FEED_AGE_SECONDS).set(waiting.unwrap_or(0.0));
        Ok(waiting.is_some())
    }

    /// Applies the present state of the movies in `changed`, by id with their versions.
    async fn apply(&self, changed: HashMap<i64, i64>) -> sqlx::Result<()> {
        let ids: Vec<i64> = {
            let index = self.index();
            changed
                .into_iter()
                .filter(|(id, version)| index.version(*id).is_none_or(|known| known < *version))
                .map(|(id, _)| id)
                .collect()
        };
        if ids.is_empty() {
            return Ok(());
        }
        let rows = listing::rows_of(&self.0.pool, &ids).await?;
        let movies: Vec<FilmFacts<'_>> = rows.iter().filter_map(readable).collect();
        let genres = listing::genres(&self.0.pool).await?;
        for movies in movies.chunks(MOVIES_PER_LOCK) {
            let mut index = self.index_mut();
            for movie in movies {
                index.upsert(movie);
            }
        }
        let present: HashSet<i64> = movies.iter().map(|movie| movie.id).collect();
        let mut index = self.index_mut();
        for id in ids.iter().filter(|id| !present.contains(id)) {
            index.remove(*id);
        }
        index.set_genres(genres);
        drop(index);
        metrics::counter!(LIST_INDEX_CHANGES_TOTAL).increment(ids.len() as u64);
        self.count();
        Ok(())
    }

    fn count(&self) {
        #[expect(clippy::cast_precision_loss, reason = "a gauge of films")]
        metrics::gauge!(LIST_INDEX_FILMS).set(self.index().count() as f64);
    }
}

/// Builds an index from the rows in `batches`.
fn build(mut batches: mpsc::Receiver<Vec<PgRow>>, genres: Vec<Genre>) -> Index {
    let mut index = Index::default();
    index.set_genres(genres);
    while let Some(rows) = batches.blocking_recv() {
        for movie in rows.iter().filter_map(readable) {
            index.load(&movie);
        }
    }
    index.sort();
    index
}

/// Decodes `row`; an unreadable movie is left out, so that lists work without it.
fn readable(row: &PgRow) -> Option<FilmFacts<'_>> {
    listing::facts(row)
        .inspect_err(|error| tracing::error!(%error, "cannot decode a movie, lists omit it"))
        .ok()
}
