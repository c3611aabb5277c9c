//! Search of movies, people and keywords. The index ([`search`] crate) is built from Postgres and follows the service's
//! own change feed, so that every replica shows a change within a second; Postgres stays the truth, and the index may
//! be deleted. Handlers call it.

pub mod build;
pub mod evaluate;
mod files;
pub mod popular;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use anyhow::Context;
use chassis::{
    feed::outbox::{Outbox, ReadError},
    shutdown::Shutdown,
};
use filter::FacetKind;
use search::{IndexError, Kind, Place, Request, Results, SearchIndex, Writer};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use self::{
    build::{keyword, movie, person},
    files::{Directory, Generation},
};
use super::{
    changes::{self, Position},
    listing::{ListError, Listing},
};
use crate::{
    config::Config,
    database,
    models::Filter,
    repository::{self, SNAPSHOT},
};

/// Documents in the search index (gauge).
pub const SEARCH_INDEX_DOCUMENTS: &str = "search_index_documents";
/// Duration of the last build of the search index (gauge, seconds).
pub const SEARCH_INDEX_BUILD_SECONDS: &str = "search_index_build_seconds";
/// Changed movies that the search index took over (counter).
pub const SEARCH_INDEX_CHANGES_TOTAL: &str = "search_index_changes_total";
/// Duration of a search (histogram, seconds).
pub const SEARCH_SECONDS: &str = "search_seconds";

/// Changes are polled at least this often, since a notification can be lost.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest time between two commits: each makes a segment.
const COMMIT_INTERVAL: Duration = Duration::from_millis(150);
/// A build reads the position of the feed and expires nothing.
const RETENTION: Duration = Duration::from_secs(10 * 365 * 86_400);
/// The pause before a failed build or read is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Searches at the same time; more wait.
const MAX_CONCURRENT: usize = 8;
/// A search that waits longer is refused.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A failed search.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The index is not built yet.
    #[error("the search index is being built")]
    Loading,
    /// Too many searches run.
    #[error("too many searches at the same time")]
    Busy,
    /// The index cannot be read.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The list index, which evaluates filters, cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
}

/// A request for a page of results.
#[derive(Debug, Clone)]
pub struct SearchRequest {
    /// The query as it is typed.
    pub query: String,
    /// The kind of documents.
    pub kind: Kind,
    /// The conditions that movies meet; without effect on other kinds.
    pub filter: Filter,
    /// Results.
    pub limit: usize,
    /// The end of the previous page.
    pub after: Option<Place>,
    /// True to count movies by genre, year and language.
    pub facets: bool,
}

/// A suggestion.
pub type Suggestion = (Kind, search::Hit);

/// The search; cheap to clone.
#[derive(Clone)]
pub struct Search(Arc<Inner>);

struct Inner {
    pool: PgPool,
    outbox: Outbox,
    listing: Listing,
    directory: Option<Directory>,
    current: RwLock<Option<SearchIndex>>,
    slots: Semaphore,
}

impl Search {
    /// Searches the movies in `pool`, with their changes from `outbox`. The index lies in `directory`, or in memory.
    pub fn new(pool: PgPool, outbox: Outbox, listing: Listing, directory: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            pool,
            outbox,
            listing,
            directory: directory.map(Directory::new),
            current: RwLock::default(),
            slots: Semaphore::new(MAX_CONCURRENT),
        }))
    }

    /// Starts the task that opens or builds the index and applies changes, until the shutdown.
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
        self.current()
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    fn current(&self) -> Result<SearchIndex, SearchError> {
        let current = self
            .0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        current.clone().ok_or(SearchError::Loading)
    }

    /// Finds movies, people or keywords.
    #[tracing::instrument(name = "service.search.find", level = "debug", skip_all)]
    pub async fn find(&self, request: SearchRequest) -> Result<Results, SearchError> {
        self.run(move |index, listing| find(&index.snapshot(), listing, &request))
            .await
    }

    /// Finds movies, people and keywords as a user types, best first, at most `limit`.
    #[tracing::instrument(name = "service.search.suggest", level = "debug", skip_all)]
    pub async fn suggest(
        &self,
        query: String,
        limit: usize,
    ) -> Result<Vec<Suggestion>, SearchError> {
        self.run(move |index, _| {
            let snapshot = index.snapshot();
            let mut all = Vec::new();
            for kind in [Kind::Movie, Kind::Person, Kind::Keyword] {
                let request = Request {
                    query: &query,
                    kind,
                    limit,
                    after: None,
                    accept: None,
                    facets: false,
                };
                let hits = snapshot.search(&request)?.hits;
                all.extend(hits.into_iter().map(|hit| (kind, hit)));
            }
            Ok(choose(all, limit))
        })
        .await
    }

    /// Runs a search on a thread that may block, when one of the places is free.
    async fn run<T: Send + 'static>(
        &self,
        search: impl FnOnce(&SearchIndex, &Listing) -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let index = self.current()?;
        let slot = tokio::time::timeout(MAX_WAIT, self.0.slots.acquire()).await;
        let _slot = slot
            .map_err(|_| SearchError::Busy)?
            .map_err(|_| SearchError::Busy)?;
        self.0.listing.ready().await?;
        let listing = self.0.listing.clone();
        let started = Instant::now();
        let searching = tokio::task::spawn_blocking(move || search(&index, &listing));
        let result = searching.await.map_err(|_| SearchError::Busy)?;
        metrics::histogram!(SEARCH_SECONDS).record(started.elapsed().as_secs_f64());
        result
    }

    async fn follow_changes(&self) {
        loop {
            if let Err(error) = self.follow_generation().await {
                tracing::warn!(%error, "the search index cannot be kept up to date, trying again");
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Opens or builds an index and keeps it up to date until another one replaces it.
    async fn follow_generation(&self) -> Result<(), FollowError> {
        let mut generation = self.open_or_build().await?;
        loop {
            self.show(&generation);
            match self.keep_up(&mut generation).await {
                Ok(()) => tracing::info!("another search index was built, switching to it"),
                Err(FollowError::Read(ReadError::CursorExpired)) => {
                    tracing::info!("the change feed has expired, building the search index anew");
                    generation = self.build().await?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            drop(generation);
            generation = self.open_or_build().await?;
        }
    }

    fn show(&self, generation: &Open) {
        let mut current = self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Some(generation.index.clone());
        drop(current);
        count_documents(&generation.index);
    }

    async fn open_or_build(&self) -> Result<Open, FollowError> {
        if let Some(directory) = &self.0.directory {
            let directory = directory.clone();
            let opened = tokio::task::spawn_blocking(move || directory.open())
                .await
                .map_err(|_| FollowError::Stopped)?;
            match opened {
                Ok(Some((generation, index))) => match Open::new(generation, index) {
                    Ok(open) => return Ok(open),
                    Err(error) => {
                        tracing::warn!(%error, "the search index cannot be opened, building it anew")
                    }
                },
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the search index cannot be opened, building it anew")
                }
            }
        }
        self.build().await
    }

    async fn build(&self) -> Result<Open, FollowError> {
        let started = Instant::now();
        let position = changes::latest(&self.0.pool, &self.0.outbox).await?;
        let (generation, index) = match &self.0.directory {
            Some(directory) => {
                let directory = directory.clone();
                tokio::task::spawn_blocking(move || directory.create())
                    .await
                    .map_err(|_| FollowError::Stopped)?
                    .map(|(generation, index)| (Some(generation), index))?
            }
            None => (None, SearchIndex::in_memory()?),
        };
        build::build(&self.0.pool, &index, &encode(position)).await?;
        if let (Some(directory), Some(generation)) = (&self.0.directory, &generation) {
            directory.publish(generation)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        metrics::gauge!(SEARCH_INDEX_BUILD_SECONDS).set(seconds);
        tracing::info!(
            documents = index.snapshot().count(),
            seconds,
            "search index built"
        );
        Open::new(generation, index)
    }

    /// Applies changes until another generation is published.
    async fn keep_up(&self, open: &mut Open) -> Result<(), FollowError> {
        let mut arrivals = self.0.outbox.subscribe();
        loop {
            let batch = changes::read(&self.0.pool, &self.0.outbox, open.position).await;
            match batch {
                Ok(batch) => {
                    if !batch.versions.is_empty() {
                        let ids: Vec<i64> = batch.versions.into_keys().collect();
                        self.apply(open, ids, batch.position).await?;
                        tokio::time::sleep(COMMIT_INTERVAL).await;
                    }
                    open.position = batch.position;
                    if batch.more {
                        continue;
                    }
                }
                Err(ReadError::Database(error)) => {
                    tracing::debug!(%error, "cannot read the change feed, searches are outdated");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
                Err(error) => return Err(error.into()),
            }
            if let (Some(directory), Some(generation)) = (&self.0.directory, &open.generation)
                && directory.has_other_than(generation)
            {
                return Ok(());
            }
            let _ = tokio::time::timeout(POLL_INTERVAL, arrivals.changed()).await;
        }
    }

    /// Writes the present state of movies, and of their people and keywords.
    async fn apply(
        &self,
        open: &mut Open,
        ids: Vec<i64>,
        position: Position,
    ) -> Result<(), FollowError> {
        // Numbers of movies of people are read from the list index.
        self.0.listing.catch_up().await;
        let rows = repository::search::rows_of(&self.0.pool, &ids).await?;
        let listing = self.0.listing.clone();
        let (writer, index) = (open.writer.clone(), open.index.clone());
        let count = ids.len() as u64;
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let names: Vec<_> = rows.iter().filter_map(build::readable).collect();
            for id in ids {
                writer.delete(Kind::Movie, id);
            }
            let (mut people, mut keywords) = (BTreeMap::new(), BTreeMap::new());
            for row in &names {
                writer.add(&movie(row))?;
                people.extend(row.people.iter().map(|person| (person.id, person)));
                keywords.extend(row.keywords.iter().map(|keyword| (keyword.id, keyword)));
            }
            let ids: Vec<i64> = people.keys().copied().collect();
            for (row, (_, votes)) in people
                .values()
                .zip(listing.movies_of(FacetKind::Person, &ids))
            {
                writer.upsert(&person(row, votes))?;
            }
            let ids: Vec<i64> = keywords.keys().copied().collect();
            for (row, (count, _)) in keywords
                .values()
                .zip(listing.movies_of(FacetKind::Keyword, &ids))
            {
                writer.upsert(&keyword(row, count))?;
            }
            writer.commit(&encode(position))?;
            count_documents(&index);
            Ok::<_, IndexError>(())
        });
        writing.await.map_err(|_| FollowError::Stopped)??;
        metrics::counter!(SEARCH_INDEX_CHANGES_TOTAL).increment(count);
        Ok(())
    }
}

/// `movie-service search-rebuild`: builds the index anew; running services switch to it.
///
/// # Errors
/// Fails if Postgres is unreachable, or the directory is not set or cannot be written.
pub async fn rebuild(config: &Config) -> anyhow::Result<String> {
    let directory = config.search_directory();
    let directory = directory
        .context("SEARCH_INDEX_DIR is not set: an index in memory is built at each start")?;
    let pool = database::open(config, &Shutdown::default()).await?;
    let documents = rebuild_in(pool, directory).await?;
    Ok(format!("{documents} documents"))
}

/// Builds the index of the movies in `pool` anew in `directory` and returns its number of documents.
///
/// # Errors
/// Fails if Postgres is unreachable or the directory cannot be written.
pub async fn rebuild_in(pool: PgPool, directory: PathBuf) -> anyhow::Result<u64> {
    let shutdown = Shutdown::default();
    let outbox = Outbox::new(pool.clone(), SNAPSHOT, RETENTION, &shutdown);
    let listing = Listing::new(pool.clone(), outbox.clone());
    let open = Search::new(pool, outbox, listing, Some(directory))
        .build()
        .await?;
    Ok(open.index.snapshot().count())
}

/// Finds documents in `snapshot`, movies by the filter of the request.
fn find(
    snapshot: &search::Snapshot,
    listing: &Listing,
    request: &SearchRequest,
) -> Result<Results, SearchError> {
    let all = Request {
        query: &request.query,
        kind: request.kind,
        limit: request.limit,
        after: request.after,
        accept: None,
        facets: request.facets,
    };
    if request.filter == Filter::default() || request.kind != Kind::Movie {
        return Ok(snapshot.search(&all)?);
    }
    listing.with_selection(&request.filter, |passing| {
        let accept = |id| passing.contains(id);
        Ok(snapshot.search(&Request {
            accept: Some(&accept),
            ..all
        })?)
    })
}

/// Chooses among suggestions of all kinds. Movies are preferred among equals; people and keywords take part only if
/// their names match well, and leave most places to movies.
fn choose(mut all: Vec<Suggestion>, limit: usize) -> Vec<Suggestion> {
    /// The lowest quality of a person or keyword.
    const MIN_QUALITY: f32 = 0.6;
    let rank = |(kind, hit): &Suggestion| match kind {
        Kind::Movie => hit.score,
        Kind::Person => hit.score - 0.05,
        Kind::Keyword => hit.score - 0.12,
    };
    all.retain(|(kind, hit)| *kind == Kind::Movie || hit.quality >= MIN_QUALITY);
    all.sort_by(|one, two| {
        rank(two)
            .total_cmp(&rank(one))
            .then(one.0.cmp(&two.0))
            .then(one.1.id.cmp(&two.1.id))
    });
    let mut places = BTreeMap::from([(Kind::Movie, limit), (Kind::Person, 3), (Kind::Keyword, 2)]);
    all.retain(|(kind, _)| {
        let left = places.entry(*kind).or_default();
        let has_place = *left > 0;
        *left = left.saturating_sub(1);
        has_place
    });
    all.truncate(limit);
    all
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of documents")]
fn count_documents(index: &SearchIndex) {
    metrics::gauge!(SEARCH_INDEX_DOCUMENTS).set(index.snapshot().count() as f64);
}

fn encode(position: Position) -> String {
    serde_json::to_string(&position).unwrap_or_default()
}

/// An index that is open for writing.
struct Open {
    generation: Option<Generation>,
    index: SearchIndex,
    writer: Arc<std::sync::Mutex<Writer>>,
    position: Position,
}

impl Open {
    fn new(generation: Option<Generation>, index: SearchIndex) -> Result<Self, FollowError> {
        let position = index
            .position()?
            .and_then(|text| serde_json::from_str(&text).ok());
        let position = position.ok_or(FollowError::Incomplete)?;
        let writer = Arc::new(std::sync::Mutex::new(index.writer(1)?));
        Ok(Self {
            generation,
            index,
            writer,
            position,
        })
    }
}

/// A failure to keep the index up to date.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The change feed cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The directory failed.
    #[error("the directory of the search index failed: {0}")]
    Directory(#[from] std::io::Error),
    /// A build did not end.
    #[error("the search index is incomplete")]
    Incomplete,
    /// The process ends.
    #[error("the search index is not built, since the process ends")]
    Stopped,
}
