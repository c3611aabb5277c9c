//! Two-tier movie cache: the process's memory, bounded in bytes, and the Redis that replicas share. Used by
//! [`super::hydration`] to read and by every writer to publish changes; the change feed invalidates both tiers. It
//! never loads a movie itself.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{
    feed::{Change, outbox::Outbox},
    language::Language,
    redis::Redis,
    shutdown::Shutdown,
};
use moka::future::Cache;
use redis::Script;
use tokio::sync::mpsc;

use super::page_cache::CachedResponse;
use crate::models::{Movie, MovieId, MovieVersion};

/// Movies served by source: memory, redis, postgres or tmdb (counter).
pub const MOVIE_READS_TOTAL: &str = "movie_reads_total";
/// Memory that cached movies take (gauge, bytes).
pub const MOVIE_CACHE_BYTES: &str = "movie_cache_bytes";

/// The longest time that a copy stays in memory without a change.
const MEMORY_TTL: Duration = Duration::from_secs(300);
/// Versions are remembered for longer than any read takes, so that a slow reader cannot cache an old copy.
const VERSION_TTL: Duration = Duration::from_secs(60);
/// Changes waiting for Redis; if the queue is full, copies in Redis expire instead.
const MAX_QUEUED_CHANGES: usize = 10_000;

/// Sets a copy unless a later one is stored, since a reader may be slower than a writer. The value is
/// `version:movie`, or `version:` alone to invalidate.
const SET_UNLESS_NEWER: &str = r"
local present = redis.call('GET', KEYS[1])
if present then
  local version = tonumber(string.match(present, '^(%d+):'))
  if version and version > tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return 1";

/// A movie in memory.
#[derive(Debug)]
pub struct CachedMovie {
    /// The movie.
    pub movie: Movie,
    /// The language of its texts, unless it is the catalogue's own.
    pub language: Option<Language>,
    /// The serialized response to a request without `include`, while the movie is not stale.
    response: OnceLock<CachedResponse>,
    /// The value of [`MovieCache::changes`] at the last check for a later version.
    checked: AtomicU64,
}

impl CachedMovie {
    /// Wraps `movie`, without a serialized response.
    pub fn new(movie: Movie) -> Self {
        Self {
            movie,
            language: None,
            response: OnceLock::new(),
            checked: AtomicU64::new(0),
        }
    }

    /// Wraps `movie`, whose texts are in `language`.
    pub fn translated(movie: Movie, language: Language) -> Self {
        Self {
            language: Some(language),
            ..Self::new(movie)
        }
    }

    /// True if this is `movie` as it was last synced, in whatever language.
    pub fn is_copy_of(&self, movie: &Movie) -> bool {
        (self.movie.version, self.movie.synced_at) == (movie.version, movie.synced_at)
    }

    /// Returns the serialized response, made by `serialize` on the first call.
    ///
    /// # Errors
    /// Returns the error of `serialize`; nothing is kept then.
    pub fn response<E>(
        &self,
        serialize: impl FnOnce() -> Result<CachedResponse, E>,
    ) -> Result<CachedResponse, E> {
        if let Some(response) = self.response.get() {
            return Ok(response.clone());
        }
        let response = serialize()?;
        Ok(self.response.get_or_init(|| response).clone())
    }
}

/// A cache of translated movies of at most `bytes`.
pub fn translated(bytes: u64) -> Cache<(MovieId, Language), Arc<CachedMovie>> {
    Cache::builder()
        .max_capacity(bytes)
        .weigher(|_, film: &Arc<CachedMovie>| weight(&film.movie))
        .time_to_live(MEMORY_TTL)
        .build()
}

/// Both tiers; cheap to clone.
#[derive(Clone)]
pub struct MovieCache {
    memory: Cache<MovieId, Arc<CachedMovie>>,
    /// Versions from recent changes.
    versions: Cache<MovieId, i64>,
    /// The number of recent changes, from 1.
    changes: Arc<AtomicU64>,
    redis: Redis,
    ttl: Duration,
    set_unless_newer: Arc<Script>,
    outbox: Outbox,
}

impl MovieCache {
    /// A cache of at most `bytes` in memory and for `ttl` in `redis`. Follows the changes of `outbox`, which include
    /// those of other replicas, until the shutdown.
    pub fn start(
        redis: Redis,
        bytes: u64,
        ttl: Duration,
        outbox: Outbox,
        shutdown: &Shutdown,
    ) -> Self {
        let memory = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, film: &Arc<CachedMovie>| weight(&film.movie))
            .time_to_live(MEMORY_TTL)
            .build();
        let versions = Cache::builder()
            .max_capacity(100_000)
            .time_to_live(VERSION_TTL)
            .build();
        let cache = Self {
            memory,
            versions,
            changes: Arc::new(AtomicU64::new(1)),
            redis,
            ttl,
            set_unless_newer: Arc::new(Script::new(SET_UNLESS_NEWER)),
            outbox,
        };
        let (queue, queued) = mpsc::channel(MAX_QUEUED_CHANGES);
        shutdown.spawn(cache.clone().follow_feed(queue));
        shutdown.spawn(cache.clone().invalidate_queued(queued, shutdown.clone()));
        cache
    }

    /// The memory tier; concurrent loads of one movie through `try_get_with` are one.
    pub fn memory(&self) -> &Cache<MovieId, Arc<CachedMovie>> {
        &self.memory
    }

    /// True if a later version than this copy is known. Costs two atomic reads while nothing changes.
    pub async fn is_outdated(&self, film: &CachedMovie) -> bool {
        let changes = self.changes.load(Ordering::Acquire);
        if film.checked.load(Ordering::Relaxed) == changes {
            return false;
        }
        let is_outdated = self.has_later(&film.movie).await;
        if !is_outdated {
            film.checked.store(changes, Ordering::Relaxed);
        }
        is_outdated
    }

    /// True if a later version than `movie` is known.
    pub async fn has_later(&self, movie: &Movie) -> bool {
        let version = self.versions.get(&movie.id).await;
        version.is_some_and(|version| version > movie.version)
    }

    /// Finds a movie in Redis.
    pub async fn find_shared(&self, id: MovieId) -> Option<Movie> {
        let text: Option<String> = self.redis.run(redis::cmd("GET").arg(key(id))).await?;
        let text = text?;
        let (_, movie) = text.split_once(':')?;
        serde_json::from_str(movie).ok()
    }

    /// Puts `movie` into Redis unless a later version is there.
    pub async fn share(&self, movie: &Movie) {
        if let Ok(text) = serde_json::to_string(movie) {
            self.set(movie.id, movie.version, &text).await;
        }
    }

    async fn set(&self, id: MovieId, version: i64, movie: &str) {
        let mut invocation = self.set_unless_newer.key(key(id));
        invocation
            .arg(version)
            .arg(movie)
            .arg(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX));
        let _: Option<i64> = self.redis.invoke(&invocation).await;
    }

    /// Publishes changes that this process has just committed: wakes readers of the feed, and invalidates the memory
    /// tier immediately, since the feed shows a change only after all older transactions have ended.
    pub async fn publish(&self, changed: &[MovieVersion]) {
        if !changed.is_empty() {
            self.outbox.notify_readers();
            self.invalidate(changed).await;
        }
    }

    async fn invalidate(&self, changed: &[MovieVersion]) {
        for MovieVersion { id, version } in changed {
            // Two writers may report out of order.
            let known = self.versions.get(id).await.unwrap_or(0);
            self.versions.insert(*id, known.max(*version)).await;
            self.changes.fetch_add(1, Ordering::Release);
            let cached = self.memory.get(id).await;
            if cached.is_some_and(|film| film.movie.version < *version) {
                self.memory.invalidate(id).await;
            }
        }
    }

    async fn follow_feed(self, queue: mpsc::Sender<MovieVersion>) {
        let take = |changes: &[Change]| {
            let movies = changes
                .iter()
                .filter(|change| change.name.starts_with("movie."));
            for changed in movies.filter_map(|change| change.read().ok()) {
                let _ = queue.try_send(changed);
            }
        };
        // Changes before the start were missed.
        let reset = || self.memory.invalidate_all();
        self.outbox.clone().follow(reset, take).await;
    }

    async fn invalidate_queued(self, mut queued: mpsc::Receiver<MovieVersion>, shutdown: Shutdown) {
        loop {
            let changed = tokio::select! {
                () = shutdown.started() => return,
                next = queued.recv() => match next {
                    Some(changed) => changed,
                    None => return,
                },
            };
            self.invalidate(&[changed]).await;
            self.set(changed.id, changed.version, "").await;
            #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
            metrics::gauge!(MOVIE_CACHE_BYTES).set(self.memory.weighted_size() as f64);
        }
    }
}

/// The Redis key; its version rises with the shape of [`Movie`].
fn key(id: MovieId) -> String {
    format!("movie:v3:{id}")
}

/// The approximate size of a movie in memory with its serialized response, in bytes.
fn weight(movie: &Movie) -> u32 {
    let strings = 2 * (movie.title.len() + movie.original_title.len() + movie.overview.len());
    let lists = movie.keywords.len() * 56
        + movie.people.len() * 80
        + movie
            .people
            .iter()
            .map(|person| person.names.len() * 80)
            .sum::<usize>()
        + movie.providers.len() * 200
        + movie.genres.len() * 40;
    u32::try_from(strings + lists + 1300).unwrap_or(u32::MAX)
}
