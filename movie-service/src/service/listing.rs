//! Lists of films: which films a page has is decided in memory, by the list [`index`]; the films of
//! the page are then read by their ids. The index is loaded at the start and follows the service's
//! own changes, so that every replica shows a change some milliseconds after its commit.

pub mod collation;
pub mod index;
pub mod moves;
pub mod position;
pub mod query;
pub mod sorted;

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::{
    feed::{
        Change, Changes, Cursor,
        outbox::{Outbox, ReadError},
    },
    paging::total_pages,
    shutdown::Shutdown,
};
use filter::UnknownGenre;
use serde::Deserialize;
use sqlx::{PgPool, postgres::PgRow};
use tokio::sync::{Mutex, mpsc, watch};

use self::{index::Index, moves::Moment, position::Position, query::Start};
use crate::{
    models::{FilmFacts, Filter, Genre, Includes, ListedMovie, MovieId, Order, SortBy},
    repository::listing,
};

/// Films in the list index (gauge).
pub const LIST_INDEX_FILMS: &str = "list_index_films";
/// How long loading the list index took (gauge, seconds).
pub const LIST_INDEX_LOAD_SECONDS: &str = "list_index_load_seconds";
/// How long the oldest change that the feed has not told of yet has waited (gauge, seconds); 0: there is
/// none. While the feed cannot be read, for how long that has been so.
pub const FEED_AGE_SECONDS: &str = "feed_age_seconds";
/// Films taken over into the list index since it was loaded (counter).
pub const LIST_INDEX_CHANGES_TOTAL: &str = "list_index_changes_total";

/// How long a request waits for an index that is being loaded.
const LOAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a writer waits for its changes to be in the lists.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(2);
/// The index looks for changes after this long even if nobody told of one.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// While the feed holds a change back, it looks this often.
const HIDDEN_LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Changes that are read at once.
const CHANGES: i64 = 1000;
/// Films that are put into the index at once: readers wait for no longer than these take.
const FILMS_AT_ONCE: usize = 8;
/// Batches of rows between Postgres and the index that is being built.
const BATCHES: usize = 4;
/// A page whose films vanish while it is made is filled up this often.
const REFILLS: usize = 3;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The index is not loaded yet.
    #[error("the list index is being loaded")]
    Loading,
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq)]
pub enum PageStart {
    /// At this page, from 1.
    Number(i64),
    /// After this film, on this page.
    After {
        /// The page's number.
        page: i64,
        /// Where the walk stands.
        place: WalkPlace,
    },
}

/// Where a walk along a list stands.
#[derive(Debug, Clone, PartialEq)]
pub struct WalkPlace {
    /// The last film that was met.
    pub position: Position,
    /// When the walk began.
    pub since: Moment,
}

/// Which page of which list.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// Which films the list has.
    pub filter: Filter,
    /// What it is ordered by.
    pub sort_by: SortBy,
    /// Which way.
    pub order: Order,
    /// Where the page begins.
    pub start: PageStart,
    /// How many films a page has.
    pub page_size: i64,
    /// What comes with them.
    pub includes: Includes,
}

/// A page of films.
#[derive(Debug)]
pub struct MoviePage {
    /// Its number, from 1.
    pub page: i64,
    /// How many pages there are.
    pub total_pages: i64,
    /// How many films there are.
    pub total_results: i64,
    /// The films.
    pub movies: Vec<ListedMovie>,
    /// Where the next page begins; none: this is the last.
    pub next: Option<WalkPlace>,
}

/// Lists films; cheap to clone.
#[derive(Clone)]
pub struct Listing(Arc<Inner>);

struct Inner {
    pool: PgPool,
    outbox: Outbox,
    /// Held for memory work alone, never across an await.
    index: RwLock<Index>,
    /// Rises with every change of the index, under its lock.
    generation: AtomicU64,
    loaded: watch::Sender<bool>,
    /// How far the feed is read. Held while changes are read and taken over, so that what is read
    /// later is taken over later.
    progress: Mutex<Option<Progress>>,
}

struct Progress {
    cursor: Cursor,
    /// The last change that was looked at ahead of the feed.
    sequence: i64,
}

#[derive(Deserialize)]
struct Versioned {
    id: i64,
    version: i64,
}

impl Listing {
    /// Lists the films in `pool`, whose changes `outbox` tells.
    #[must_use]
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

    /// Loads the index beside the requests and keeps it until the shutdown.
    pub fn follow(&self, shutdown: &Shutdown) {
        let (this, until) = (self.clone(), shutdown.clone());
        shutdown.spawn(async move {
            tokio::select! {
                () = until.started() => {}
                () = this.keep() => {}
            }
        });
    }

    /// Whether the index is loaded, as a readiness check.
    ///
    /// # Errors
    /// When it is not.
    pub async fn check(self) -> Result<(), String> {
        if *self.0.loaded.borrow() {
            Ok(())
        } else {
            Err("still loading".to_owned())
        }
    }

    /// Returns when the index is loaded.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn ready(&self) -> Result<(), ListError> {
        let mut loaded = self.0.loaded.subscribe();
        let wait = tokio::time::timeout(LOAD_PATIENCE, loaded.wait_for(|loaded| *loaded));
        match wait.await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(ListError::Loading),
        }
    }

    fn index(&self) -> RwLockReadGuard<'_, Index> {
        // A writer that panicked leaves an index that the next change goes on mending.
        self.0.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        let index = self.0.index.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: who sees this generation reads the index after the change that made it.
        self.0.generation.fetch_add(1, Ordering::Release);
        index
    }

    /// Which state of the catalogue lists show: whatever is read from here on is of this one or of a
    /// later one, and each change makes another.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Genres in `filter` that do not exist.
    #[must_use]
    pub fn unknown_genres(&self, filter: &Filter) -> Vec<UnknownGenre> {
        self.index().unknown_genres(filter)
    }

    /// All genres and how many films have each, in the order of their names.
    ///
    /// # Errors
    /// When the index is not loaded.
    pub async fn genres(&self) -> Result<Vec<(Genre, usize)>, ListError> {
        self.ready().await?;
        let index = self.index();
        Ok(index
            .genres()
            .map(|(genre, count)| (genre.clone(), count))
            .collect())
    }

    /// The films in `ids` that are in the catalogue, in the order of `ids`.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn batch(
        &self,
        ids: &[MovieId],
        includes: Includes,
    ) -> Result<Vec<ListedMovie>, ListError> {
        let ids: Vec<i64> = ids.iter().map(|id| id.get()).collect();
        Ok(listing::page(&self.0.pool, &ids, includes).await?)
    }

    /// The first `limit` films of `ids`, in their order, that pass `filter`.
    ///
    /// # Errors
    /// When the index is not loaded, or Postgres fails.
    pub async fn select(
        &self,
        ids: &[MovieId],
        filter: &Filter,
        limit: usize,
        includes: Includes,
    ) -> Result<Vec<ListedMovie>, ListError> {
        self.ready().await?;
        let passing: Vec<i64> = {
            let index = self.index();
            let selection = index.select(filter);
            let ids = ids.iter().map(|id| id.get());
            ids.filter(|id| selection.contains(*id))
                .take(limit)
                .collect()
        };
        Ok(listing::page(&self.0.pool, &passing, includes).await?)
    }

    /// A page of films in order.
    ///
    /// # Errors
    /// When the index is not loaded, or Postgres fails.
    pub async fn list(&self, request: &PageRequest) -> Result<MoviePage, ListError> {
        self.ready().await?;
        let size = usize::try_from(request.page_size).unwrap_or(1);
        let (page, mut start, mut since) = match &request.start {
            PageStart::Number(page) => {
                let offset = (page - 1).saturating_mul(request.page_size);
                let offset = usize::try_from(offset).unwrap_or(0);
                (*page, Start::Offset(offset), None)
            }
            PageStart::After { page, place } => {
                let start = Start::After {
                    position: place.position.clone(),
                    since: place.since,
                };
                (*page, start, Some(place.since))
            }
        };
        let mut movies = Vec::with_capacity(size);
        let mut total = None;
        let mut next = None;
        for _ in 0..=REFILLS {
            let slice = {
                let index = self.index();
                since.get_or_insert_with(|| index.now());
                let selection = index.select(&request.filter);
                total.get_or_insert(selection.count());
                selection.slice(request.sort_by, request.order, &start, size - movies.len())
            };
            movies.extend(listing::page(&self.0.pool, &slice.ids, request.includes).await?);
            let last = slice.positions.last().filter(|_| slice.more).cloned();
            next = last.map(|position| WalkPlace {
                position,
                since: since.unwrap_or_default(),
            });
            match &next {
                // A film that is gone, which the index has not heard of yet, leaves a gap.
                Some(place) if movies.len() < size => {
                    start = Start::After {
                        position: place.position.clone(),
                        since: place.since,
                    };
                }
                _ => break,
            }
        }
        let total_results = i64::try_from(total.unwrap_or(0)).unwrap_or(i64::MAX);
        Ok(MoviePage {
            page,
            total_pages: total_pages(total_results, request.page_size),
            total_results,
            movies,
            next,
        })
    }

    async fn keep(&self) {
        let mut arrivals = self.0.outbox.subscribe();
        let mut pause = Duration::ZERO;
        let mut read = Instant::now();
        loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = arrivals.changed() => {}
            }
            pause = LOOK_AGAIN;
            let step = match *self.0.loaded.borrow() {
                true => Step::CatchUp,
                false => Step::Load,
            };
            let done = match step {
                Step::Load => self.load().await.map(|()| false),
                Step::CatchUp => self.take_changes().await,
            };
            match &done {
                Err(ReadError::Database(_)) => {
                    metrics::gauge!(FEED_AGE_SECONDS).set(read.elapsed().as_secs_f64());
                }
                _ => read = Instant::now(),
            }
            match done {
                Ok(true) => pause = HIDDEN_LOOK_AGAIN,
                Ok(false) => {}
                Err(ReadError::CursorExpired) => {
                    tracing::info!(
                        "changes are gone that the list index has not seen, loading it anew"
                    );
                    if let Err(error) = self.load().await {
                        tracing::warn!(%error, "cannot load the list index, trying again");
                        *self.0.progress.lock().await = None;
                    }
                }
                Err(ReadError::Database(error)) => {
                    tracing::debug!(%error, "cannot read our own changes, lists grow old");
                }
            }
        }
    }

    /// Loads the index and puts it in the place of the one before.
    async fn load(&self) -> Result<(), ReadError> {
        let started = Instant::now();
        let mut progress = self.0.progress.lock().await;
        let sequence = listing::last_sequence(&self.0.pool).await?;
        let cursor = self.0.outbox.current_cursor().await?;
        let genres = listing::genres(&self.0.pool).await?;
        // A thread of its own: it is busy for as long as Postgres has rows.
        let (batches, rows) = mpsc::channel(BATCHES);
        let building = tokio::task::spawn_blocking(move || build(rows, genres));
        listing::load(&self.0.pool, batches).await?;
        let index = building.await.map_err(|_| sqlx::Error::WorkerCrashed)?;
        let films = index.len();
        // Outside of the lock, since millions of small pieces take a while to give back.
        let before = std::mem::replace(&mut *self.index_mut(), index);
        tokio::task::spawn_blocking(move || drop(before));
        *progress = Some(Progress { cursor, sequence });
        self.0.loaded.send_replace(true);
        let seconds = started.elapsed().as_secs_f64();
        metrics::gauge!(LIST_INDEX_LOAD_SECONDS).set(seconds);
        self.count();
        tracing::info!(films, seconds, "list index loaded");
        Ok(())
    }

    /// Takes over what was committed until now, by this replica and by others, so that whoever wrote
    /// it finds it in the lists. Waits for a moment at most: it comes in any case.
    pub async fn catch_up(&self) {
        let caught_up = tokio::time::timeout(CATCH_UP_PATIENCE, self.take_changes());
        if !matches!(caught_up.await, Ok(Ok(_))) {
            tracing::debug!("lists do not show the latest changes yet");
        }
    }

    /// Takes over the changes that are there; whether the feed still holds some back.
    ///
    /// The feed shows a change only when every older transaction has ended, which may take as long as
    /// somebody's import. So the latest changes are looked at ahead of it, and the feed brings those
    /// that were missed by that, for certain.
    async fn take_changes(&self) -> Result<bool, ReadError> {
        let mut progress = self.0.progress.lock().await;
        let Some(progress) = progress.as_mut() else {
            return Ok(false);
        };
        loop {
            let changes = listing::changes_after(&self.0.pool, progress.sequence, CHANGES).await?;
            let count = changes.len();
            let films = changes.iter().map(|(_, id, version)| (*id, *version));
            self.take(films.collect()).await?;
            if let Some((sequence, ..)) = changes.last() {
                progress.sequence = *sequence;
            }
            if count < usize::try_from(CHANGES).unwrap_or(0) {
                break;
            }
        }
        loop {
            let outbox = &self.0.outbox;
            let Changes { changes, next } = outbox
                .read(Some(progress.cursor), CHANGES, Duration::ZERO)
                .await?;
            self.take(versions(&changes)).await?;
            progress.cursor = next.parse().unwrap_or(progress.cursor);
            if changes.len() < usize::try_from(CHANGES).unwrap_or(0) {
                break;
            }
        }
        let waiting = listing::waiting_after(&self.0.pool, progress.cursor).await?;
        metrics::gauge!(FEED_AGE_SECONDS).set(waiting.unwrap_or(0.0));
        Ok(waiting.is_some())
    }

    /// Takes over the films that changed, as they are now.
    async fn take(&self, changed: HashMap<i64, i64>) -> sqlx::Result<()> {
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
        let films: Vec<FilmFacts<'_>> = rows.iter().filter_map(readable).collect();
        let genres = listing::genres(&self.0.pool).await?;
        for films in films.chunks(FILMS_AT_ONCE) {
            let mut index = self.index_mut();
            for film in films {
                index.upsert(film);
            }
        }
        let there: std::collections::HashSet<i64> = films.iter().map(|film| film.id).collect();
        let mut index = self.index_mut();
        for id in ids.iter().filter(|id| !there.contains(id)) {
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
        metrics::gauge!(LIST_INDEX_FILMS).set(self.index().len() as f64);
    }
}

/// An index of the films in `batches`.
fn build(mut batches: mpsc::Receiver<Vec<PgRow>>, genres: Vec<Genre>) -> Index {
    let mut index = Index::default();
    index.set_genres(genres);
    while let Some(rows) = batches.blocking_recv() {
        for film in rows.iter().filter_map(readable) {
            index.load(&film);
        }
    }
    index.sort();
    index
}

/// What `row` says; a film that cannot be read is missing from the lists, not the lists with it.
fn readable(row: &PgRow) -> Option<FilmFacts<'_>> {
    listing::facts(row)
        .inspect_err(|error| tracing::error!(%error, "a film cannot be read, lists go without it"))
        .ok()
}

/// What the keeper of the index does next.
enum Step {
    Load,
    CatchUp,
}

/// The films that `changes` are about, and the latest version that each is said to have.
fn versions(changes: &[Change]) -> HashMap<i64, i64> {
    let mut versions = HashMap::new();
    for change in changes
        .iter()
        .filter(|change| change.name.starts_with("movie."))
    {
        if let Ok(Versioned { id, version }) = change.read() {
            let known = versions.entry(id).or_insert(version);
            *known = version.max(*known);
        }
    }
    versions
}
