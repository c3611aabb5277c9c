//! Keeping the search index up to date: opens or builds it, applies the changes of the feed, and switches to another
//! generation when one is built. [`super`] starts it and searches the index that it shows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use chassis::feed::outbox::{Outbox, ReadError};
use filter::FacetKind;
use search::{Document, IndexError, Kind, SearchIndex, Writer, index::LAYOUT};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use super::{
    build::{self, BuildError, keyword, movie, person},
    files::{Directory, Generation},
};
use crate::{
    repository::{self, search::NamesRow},
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
/// People and keywords of many changed movies are compared with the index at most this often.
const MEMBERS_INTERVAL: Duration = Duration::from_secs(1);
/// Those of fewer at once.
const FEW_MEMBERS: usize = 200;
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
        let (mut applied, mut members) = (Applied::default(), Members::default());
        loop {
            let batch = changes::read(&self.pool, &self.outbox, open.position).await;
            match batch {
                Ok(batch) => {
                    let ids = applied.take_new(batch.versions);
                    let has_changes = !ids.is_empty();
                    if has_changes {
                        self.apply(open, ids, &mut members).await?;
                    }
                    open.position = batch.position;
                    if members.are_due(has_changes) {
                        self.apply_members(open, std::mem::take(&mut members))
                            .await?;
                    }
                    if has_changes {
                        tokio::time::sleep(COMMIT_INTERVAL).await;
                    }
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

    /// Writes the present state of movies, and adds their people and keywords to `members`.
    async fn apply(
        &self,
        open: &Open,
        ids: Vec<i64>,
        members: &mut Members,
    ) -> Result<(), FollowError> {
        let rows = repository::search::rows_of(&self.pool, &ids).await?;
        let (writer, stamp) = (open.writer.clone(), encode(open.settled));
        let count = ids.len() as u64;
        let mut all = std::mem::take(members);
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            for id in ids {
                writer.delete(Kind::Movie, id);
            }
            for row in rows.iter().filter_map(build::readable) {
                writer.add(&movie(&row))?;
                all.add(&row);
            }
            // Movies are found before their people are compared, of which few have changed.
            writer.commit(&stamp)?;
            all.since.get_or_insert_with(Instant::now);
            Ok::<_, IndexError>(all)
        });
        *members = writing.await.map_err(|_| FollowError::Stopped)??;
        metrics::counter!(SEARCH_INDEX_CHANGES_TOTAL).increment(count);
        Ok(())
    }

    /// Writes the people and keywords that have changed with their movies.
    async fn apply_members(&self, open: &mut Open, members: Members) -> Result<(), FollowError> {
        // Numbers of movies of people are read from the list index.
        self.listing.catch_up().await;
        let listing = self.listing.clone();
        let (writer, index) = (open.writer.clone(), open.index.clone());
        let position = open.position;
        let writing = tokio::task::spawn_blocking(move || {
            let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
            let snapshot = index.snapshot();
            let counts = |kind, documents: &BTreeMap<i64, Document>| {
                let ids: Vec<i64> = documents.keys().copied().collect();
                listing.movies_of(kind, &ids)
            };
            let votes = counts(FacetKind::Person, &members.people);
            let people = members.people.into_values().zip(votes);
            let people = people.map(|(document, (_, votes))| Document {
                fame: build::person_fame(votes),
                ..document
            });
            let numbers = counts(FacetKind::Keyword, &members.keywords);
            let keywords = members.keywords.into_values().zip(numbers);
            let keywords = keywords.map(|(document, (count, _))| Document {
                fame: build::keyword_fame(count),
                ..document
            });
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
        open.settled = position;
        Ok(())
    }
}

/// People and keywords of changed movies, to be compared with the index.
#[derive(Default)]
struct Members {
    people: BTreeMap<i64, Document>,
    keywords: BTreeMap<i64, Document>,
    /// The time at which the first of the movies was written.
    since: Option<Instant>,
}

impl Members {
    fn add(&mut self, movie: &NamesRow<'_>) {
        for row in &movie.people {
            self.people.insert(row.id, person(row, 0));
        }
        for row in &movie.keywords {
            self.keywords.insert(row.id, keyword(row, 0));
        }
    }

    /// True if they are to be compared now: they are few, or no more movies change, or they have waited.
    fn are_due(&self, has_changes: bool) -> bool {
        let count = self.people.len() + self.keywords.len();
        self.since.is_some_and(|since| {
            !has_changes || count <= FEW_MEMBERS || since.elapsed() >= MEMBERS_INTERVAL
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of documents")]
fn count_documents(index: &SearchIndex) {
    metrics::gauge!(SEARCH_INDEX_DOCUMENTS).set(index.count() as f64);
}

/// The versions of movies that were applied recently: the feed repeats most changes that were read ahead of it.
#[derive(Default)]
struct Applied(HashMap<i64, i64>);

impl Applied {
    /// The movies whose versions are new, which count as applied from now on.
    fn take_new(&mut self, versions: HashMap<i64, i64>) -> Vec<i64> {
        const MAX_KEPT: usize = 20_000;
        if self.0.len() > MAX_KEPT {
            self.0.clear();
        }
        let mut is_new = |id, version| {
            let before = self.0.insert(id, version);
            before.is_none_or(|before| before < version)
        };
        let new = versions
            .into_iter()
            .filter(|(id, version)| is_new(*id, *version));
        new.map(|(id, _)| id).collect()
    }
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
    /// The end of the changes that were read.
    position: Position,
    /// The end of those whose people and keywords were written as well, where reading begins after a crash.
    settled: Position,
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
            settled: position,
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
