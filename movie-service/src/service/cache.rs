//! Films in reach: in the process's memory, bounded in bytes, and in the Redis that replicas share.
//! Both hold copies that can be thrown away; the change feed keeps them from growing old.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::{
    feed::{Change, outbox::Outbox},
    redis::Redis,
    shutdown::Shutdown,
};
use moka::future::Cache;
use redis::Script;
use tokio::sync::mpsc;

use super::page_cache::Answer;
use crate::models::{MovieDetail, MovieId, MovieVersion};

/// Films served, by where they were found: memory, redis, postgres or tmdb (counter).
pub const MOVIE_READS_TOTAL: &str = "movie_reads_total";
/// How much memory films take (gauge, bytes).
pub const MOVIE_CACHE_BYTES: &str = "movie_cache_bytes";

/// A copy in memory that no change has thrown out is read again after this long.
const MEMORY_TTL: Duration = Duration::from_secs(300);
/// For how long a change is remembered, so that who read the film before it cannot keep it after.
const CHANGE_TTL: Duration = Duration::from_secs(60);
/// Changes on their way to Redis; what does not fit is left to the time limit of the copies.
const QUEUE: usize = 10_000;

/// A later copy is not overwritten by an earlier one: a reader may be slower than a writer. The value
/// is the version, a colon, and the film, or nothing where only the version is known.
const SET_UNLESS_NEWER: &str = r"
local present = redis.call('GET', KEYS[1])
if present then
  local version = tonumber(string.match(present, '^(%d+):'))
  if version and version > tonumber(ARGV[1]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', ARGV[3])
return 1";

/// A film in memory.
#[derive(Debug)]
pub struct CachedMovie {
    /// The film.
    pub detail: MovieDetail,
    /// What is answered with it to those who ask for nothing beside it, as long as it is not stale.
    answer: OnceLock<Answer>,
    /// How many changes had been told of when it was last found to be of the latest version.
    checked: AtomicU64,
}

impl CachedMovie {
    /// `detail`, with which nothing was answered yet.
    #[must_use]
    pub fn new(detail: MovieDetail) -> Self {
        Self {
            detail,
            answer: OnceLock::new(),
            checked: AtomicU64::new(0),
        }
    }

    /// The answer that was kept, or that `answer` makes, to be kept.
    ///
    /// # Errors
    /// What `answer` says.
    pub fn answer<E>(&self, answer: impl FnOnce() -> Result<Answer, E>) -> Result<Answer, E> {
        if let Some(kept) = self.answer.get() {
            return Ok(kept.clone());
        }
        let made = answer()?;
        Ok(self.answer.get_or_init(|| made).clone())
    }
}

/// The copies; cheap to clone.
#[derive(Clone)]
pub struct MovieCache {
    memory: Cache<MovieId, Arc<CachedMovie>>,
    /// The versions that the feed, or a writer of this process, told of lately.
    changed: Cache<MovieId, i64>,
    /// How many were told of, from 1.
    changes: Arc<AtomicU64>,
    redis: Redis,
    ttl: Duration,
    set_unless_newer: Arc<Script>,
}

impl MovieCache {
    /// Copies of at most `bytes` in memory, for `ttl` in `redis`.
    #[must_use]
    pub fn new(redis: Redis, bytes: u64, ttl: Duration) -> Self {
        let memory = Cache::builder()
            .max_capacity(bytes)
            .weigher(|_, film: &Arc<CachedMovie>| size(&film.detail))
            .time_to_live(MEMORY_TTL)
            .build();
        let changed = Cache::builder()
            .max_capacity(100_000)
            .time_to_live(CHANGE_TTL)
            .build();
        Self {
            memory,
            changed,
            changes: Arc::new(AtomicU64::new(1)),
            redis,
            ttl,
            set_unless_newer: Arc::new(Script::new(SET_UNLESS_NEWER)),
        }
    }

    /// The films in memory; loading one through it happens once however many ask.
    #[must_use]
    pub fn memory(&self) -> &Cache<MovieId, Arc<CachedMovie>> {
        &self.memory
    }

    /// Whether there is a later version of `film` than this, as far as was told.
    pub async fn is_outdated(&self, film: &CachedMovie) -> bool {
        let changes = self.changes.load(Ordering::Acquire);
        if film.checked.load(Ordering::Relaxed) == changes {
            return false;
        }
        let is_outdated = self.has_later(&film.detail).await;
        if !is_outdated {
            film.checked.store(changes, Ordering::Relaxed);
        }
        is_outdated
    }

    /// Whether there is a later version of `film` than this, as far as was told.
    pub async fn has_later(&self, film: &MovieDetail) -> bool {
        self.changed
            .get(&film.movie.id)
            .await
            .is_some_and(|version| version > film.version)
    }

    /// The film `id` in Redis.
    pub async fn find_shared(&self, id: MovieId) -> Option<MovieDetail> {
        let text: Option<String> = self.redis.run(redis::cmd("GET").arg(key(id))).await?;
        let text = text?;
        let (_, film) = text.split_once(':')?;
        // Nothing, or a film as another version of this program wrote it.
        serde_json::from_str(film).ok()
    }

    /// Puts `film` into Redis unless a later one is there.
    pub async fn share(&self, film: &MovieDetail) {
        if let Ok(text) = serde_json::to_string(film) {
            self.set(film.movie.id, film.version, &text).await;
        }
    }

    async fn set(&self, id: MovieId, version: i64, film: &str) {
        let mut invocation = self.set_unless_newer.key(key(id));
        invocation
            .arg(version)
            .arg(film)
            .arg(u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX));
        let _: Option<i64> = self.redis.invoke(&invocation).await;
    }

    /// Follows the service's own changes, those of other replicas included, and throws out what they
    /// make old.
    pub fn follow(&self, outbox: &Outbox, shutdown: &Shutdown) {
        let (changed, queue) = mpsc::channel(QUEUE);
        let (memory, cache) = (self.memory.clone(), self.clone());
        // Changes before the start are unknown, so nothing from before is kept.
        shutdown.spawn(outbox.clone().follow(
            move || memory.invalidate_all(),
            move |changes| cache.throw_out(changes, &changed),
        ));
        let (cache, until) = (self.clone(), shutdown.clone());
        shutdown.spawn(async move { cache.tell_redis(queue, until).await });
    }

    /// Hears of changes that this process has just committed, so that none of its clients is served what
    /// was before. The feed tells of them as well, but later: it waits for older transactions to end.
    pub async fn learn(&self, changed: &[MovieVersion]) {
        for MovieVersion { id, version } in changed {
            // One of two writers may come later than the other with what is older.
            let known = self.changed.get(id).await.unwrap_or(0);
            self.changed.insert(*id, known.max(*version)).await;
            self.changes.fetch_add(1, Ordering::Release);
            let is_old = self
                .memory
                .get(id)
                .await
                .is_some_and(|film| film.detail.version < *version);
            if is_old {
                self.memory.invalidate(id).await;
            }
        }
    }

    fn throw_out(&self, changes: &[Change], queue: &mpsc::Sender<MovieVersion>) {
        for change in changes
            .iter()
            .filter(|change| change.name.starts_with("movie."))
        {
            if let Ok(versioned) = change.read::<MovieVersion>() {
                // A full queue costs no more than a copy that lives out its time.
                let _ = queue.try_send(versioned);
            }
        }
    }

    async fn tell_redis(&self, mut queue: mpsc::Receiver<MovieVersion>, until: Shutdown) {
        loop {
            let changed = tokio::select! {
                () = until.started() => return,
                next = queue.recv() => match next {
                    Some(versioned) => versioned,
                    None => return,
                },
            };
            self.learn(&[changed]).await;
            self.set(changed.id, changed.version, "").await;
            #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
            metrics::gauge!(MOVIE_CACHE_BYTES).set(self.memory.weighted_size() as f64);
        }
    }
}

fn key(id: MovieId) -> String {
    format!("movie:v1:{id}")
}

/// About how many bytes a film takes in memory, with the answer that is made of it.
fn size(film: &MovieDetail) -> u32 {
    let strings =
        2 * (film.movie.title.len() + film.movie.original_title.len() + film.movie.overview.len());
    let lists = film.keywords.len() * 56
        + film.people.len() * 80
        + film.providers.len() * 200
        + film.movie.genres.len() * 40;
    u32::try_from(strings + lists + 1300).unwrap_or(u32::MAX)
}
