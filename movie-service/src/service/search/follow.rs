//! Keeping the search index up to date: opens or builds it, applies the changes of the feed, and switches to another
//! generation when one is built. [`super`] starts it and searches the index that it shows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chassis::feed::outbox::{Outbox, ReadError};
use filter::FacetKind;
use search::{IndexError, Kind, SearchIndex, Writer, index::LAYOUT};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{
    build::{self, BuildError, keyword, movie, person},
    files::{Directory, Generation},
};
use crate::{
    repository,
    service::{
        changes::{self, Position},
        listing::Listing,
    },
};

/// Documents in the search index (gauge).
pub const SEARCH_INDEX_DOCUMENTS: &str = "search_index_documents";
/// Duration of the last build of the search index (gauge, seconds).
pub const SEARCH_INDEX_BUILD_SECONDS: &str = "search_index_build_seconds";
/// Changed movies that the search index took over (counter).
pub const SEARCH_INDEX_CHANGES_TOTAL: &str = "search_index_changes_total";

/// Changes are polled at least this often, since a notification can be lost.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest time between two commits: each makes a segment.
const COMMIT_INTERVAL: Duration = Duration::from_millis(150);
/// The pause before a failed build or read is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// The index that searches use, once there is one.
pub(super) type Current = Arc<RwLock<Option<SearchIndex>>>;

/// The task that keeps the index.
pub(super) struct Follower {
    /// The movies.
    pub(super) pool: PgPool,
    /// Their changes.
    pub(super) outbox: Outbox,
    /// The numbers of movies of people and keywords.
    pub(super) listing: Listing,
    /// The place of the index; `None` keeps it in memory.
    pub(super) directory: Option<Directory>,
    /// The index that it shows.
    pub(super) current: Current,
}

impl Follower {
    /// Opens or builds the index and applies changes, for ever.
    pub(super) async fn follow(mut self) {
        loop {
            if let Err(error) = self.follow_generation().await {
                tracing::warn!(%error, "the search index cannot be kept up to date, trying again");
            }
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
    }

    /// Opens or builds an index and keeps it up to date until another one replaces it.
    async fn follow_generation(&mut self) -> Result<(), FollowError> {
        let mut generation = self.open_or_build().await?;
        loop {
            self.show(&generation);
            match self.keep_up(&mut generation).await {
                Ok(()) => tracing::info!("another search index was built, switching to it"),
                Err(FollowError::Read(ReadError::CursorExpired)) => {
                    tracing::info!("the change feed has expired, building the search index anew");
                }
                Err(error) => return Err(error),
            }
            // Its lock is released before the next one is opened.
            drop(generation);
            generation = self.open_or_build().await?;
        }
    }

    fn show(&self, generation: &Open) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Some(generation.index.clone());
        drop(current);
        count_documents(&generation.index);
    }

    /// Opens the published index, or builds one. While another process writes to the directory, this one keeps its index
    /// in memory: two that share a directory would replace each other's for ever.
    async fn open_or_build(&mut self) -> Result<Open, FollowError> {
        if let Some(directory) = &self.directory {
            let directory = directory.clone();
            let opened = tokio::task::spawn_blocking(move || directory.open())
                .await
                .map_err(|_| FollowError::Stopped)?;
            let opened = opened.map_err(FollowError::Index);
            match opened.and_then(|opened| {
                opened
                    .map(|(name, index)| Open::new(name, index))
                    .transpose()
            }) {
                Ok(Some(open)) if self.belongs_here(&open).await => return Ok(open),
                Ok(Some(_)) => tracing::info!(
                    "the search index is of another database or too old, building it anew"
                ),
                Ok(None) => {}
                Err(FollowError::Index(IndexError::Locked)) => {
                    tracing::warn!(
                        "another process writes to SEARCH_INDEX_DIR, keeping the search index in memory"
                    );
                    self.directory = None;
                }
                Err(error) => {
                    tracing::warn!(%error, "the search index cannot be opened, building it anew");
                }
            }
        }
        let (generation, index) = self.build().await?;
        Open::new(generation, index)
    }

    /// True unless the position of the index is one of another database, or older than the retention of the feed.
    async fn belongs_here(&self, open: &Open) -> bool {
        let read = changes::read(&self.pool, &self.outbox, open.position).await;
        !matches!(read, Err(ReadError::CursorExpired))
    }

    /// Builds an index of the present movies and publishes it.
    pub(super) async fn build(&self) -> Result<(Option<Generation>, SearchIndex), FollowError> {
        let started = Instant::now();
        let position = changes::latest(&self.pool, &self.outbox).await?;
        let (generation, index) = match &self.directory {
            Some(directory) => {
                let directory = directory.clone();
                tokio::task::spawn_blocking(move || directory.create())
                    .await
                    .map_err(|_| FollowError::Stopped)?
                    .map(|(generation, index)| (Some(generation), index))?
            }
            None => (None, SearchIndex::in_memory()?),
        };
        build::build(&self.pool, &index, &encode(position)).await?;
        if let (Some(directory), Some(generation)) = (&self.directory, &generation) {
            directory.publish(generation)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        metrics::gauge!(SEARCH_INDEX_BUILD_SECONDS).set(seconds);
        tracing::info!(documents = index.count(), seconds, "search index built");
        Ok((generation, index))
    }

    /// Applies changes until another generation is published.
    async fn keep_up(&self, open: &mut Open) -> Result<(), FollowError> {
        let mut arrivals = self.outbox.subscribe();
        loop {
            let batch = changes::read(&self.pool, &self.outbox, open.position).await;
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
            if let (Some(directory), Some(generation)) = (&self.directory, &open.generation)
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
        self.listing.catch_up().await;
        let rows = repository::search::rows_of(&self.pool, &ids).await?;
        let listing = self.listing.clone();
        let (writer, index) = (open.writer.clone(), open.index.clone());
        let (count, before) = (ids.len() as u64, open.position);
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
            // Movies are found before their people are compared, of which few have changed.
            writer.commit(&encode(before))?;
            let snapshot = index.snapshot();
            let ids: Vec<i64> = people.keys().copied().collect();
            let counts = listing.movies_of(FacetKind::Person, &ids);
            let people = people.values().zip(counts);
            let people = people.map(|(row, (_, votes))| person(row, votes));
            let ids: Vec<i64> = keywords.keys().copied().collect();
            let counts = listing.movies_of(FacetKind::Keyword, &ids);
            let keywords = keywords.values().zip(counts);
            let keywords = keywords.map(|(row, (count, _))| keyword(row, count));
            for document in people.chain(keywords) {
                if !snapshot.has(&document)? {
                    writer.upsert(&document)?;
                }
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

#[expect(clippy::cast_precision_loss, reason = "a gauge of documents")]
fn count_documents(index: &SearchIndex) {
    metrics::gauge!(SEARCH_INDEX_DOCUMENTS).set(index.count() as f64);
}

/// The state of an index, stored with each commit.
#[derive(Serialize, Deserialize)]
struct Stamp {
    /// The layout of its documents and terms.
    layout: u32,
    /// The position in the change feed.
    position: Position,
}

fn encode(position: Position) -> String {
    let layout = LAYOUT;
    serde_json::to_string(&Stamp { layout, position }).unwrap_or_default()
}

/// An index that is open for writing.
pub(super) struct Open {
    generation: Option<Generation>,
    /// The index.
    pub(super) index: SearchIndex,
    writer: Arc<Mutex<Writer>>,
    position: Position,
}

impl Open {
    fn new(generation: Option<Generation>, index: SearchIndex) -> Result<Self, FollowError> {
        let stamp = index.position()?;
        let stamp = stamp.and_then(|text| serde_json::from_str(&text).ok());
        let Stamp { layout, position } = stamp.ok_or(FollowError::Incomplete)?;
        if layout != LAYOUT {
            return Err(IndexError::Layout.into());
        }
        let writer = Arc::new(Mutex::new(index.writer(1)?));
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
pub(super) enum FollowError {
    /// A build failed.
    #[error(transparent)]
    Build(#[from] BuildError),
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
    /// The build of the index did not end.
    #[error("the search index is incomplete")]
    Incomplete,
    /// The process ends.
    #[error("the search index is not built, since the process ends")]
    Stopped,
}
