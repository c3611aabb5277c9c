//! Search of movies, people and keywords. The index ([`search`] crate) is built from Postgres and follows the service's
//! own change feed, so that every replica shows a change within a second; Postgres stays the truth, and the index may
//! be deleted. Handlers call it.

pub mod build;
pub mod evaluate;
mod files;
pub mod follow;
pub mod popular;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use chassis::{feed::outbox::Outbox, shutdown::Shutdown};
use search::{Effort, IndexError, Kind, Place, Request, Results, SearchIndex};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use self::{
    files::Directory,
    follow::{Current, Follower},
};
use super::listing::{ListError, Listing};
use crate::{config::Config, database, models::Filter, repository::SNAPSHOT};

/// Duration of a search (histogram, seconds).
pub const SEARCH_SECONDS: &str = "search_seconds";

/// The retention of the feed of a rebuild, which reads its position and expires nothing: ten years.
const RETENTION: Duration = Duration::from_secs(10 * 365 * 86_400);
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
    listing: Listing,
    current: Current,
    slots: Semaphore,
}

impl Search {
    /// Searches the movies in `pool`, with their changes from `outbox`, until the shutdown. The index lies in `directory`,
    /// or in memory.
    pub fn start(
        pool: PgPool,
        outbox: Outbox,
        listing: Listing,
        directory: Option<PathBuf>,
        shutdown: &Shutdown,
    ) -> Self {
        let current = Current::default();
        let follower = Follower {
            pool,
            outbox,
            listing: listing.clone(),
            directory: directory.map(Directory::new),
            current: current.clone(),
        };
        let until = shutdown.clone();
        shutdown.spawn(async move {
            tokio::select! {
                () = until.started() => {}
                () = follower.follow() => {}
            }
        });
        Self(Arc::new(Inner {
            listing,
            current,
            slots: Semaphore::new(MAX_CONCURRENT),
        }))
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
            let all = index.snapshot().suggest(&query, limit)?;
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
    let follower = Follower {
        pool,
        outbox,
        listing,
        directory: Some(Directory::new(directory)),
        current: Current::default(),
    };
    let (_, index) = follower.build().await?;
    Ok(index.count())
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
        effort: Effort::default(),
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
