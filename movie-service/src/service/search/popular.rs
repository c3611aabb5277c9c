//! Popular queries: counts by day, and marks of searchers, which do not tell who they are. A query is counted once a day for
//! each user and only if it found something. It is shown from a number of searches and of users on, so that no single user's
//! is, however often they search on however many days and replicas.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chassis::{clock::Clock, shutdown::Shutdown};
use chrono::{Days, NaiveDate};
use search::text::Text;
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::repository::search::{self as counts, PopularQuery, SearchCount};

/// The interval at which counts are written.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// Queries whose counts wait to be written; further ones are not counted.
const MAX_WAITING: usize = 10_000;
/// Pairs of users and queries that are remembered for a day; further searches are not counted.
const MAX_SEEN: usize = 200_000;
/// Days over which searches are counted.
const WINDOW_DAYS: u64 = 7;
/// Longer queries are not counted: they may be messages.
const MAX_CHARS: usize = 60;
/// The users that a query must have at most. About 44 users have so many different ones of 64 marks.
const MAX_SEARCHERS: i64 = 32;

/// The counts; cheap to clone.
#[derive(Clone)]
pub struct Popular(Arc<Inner>);

struct Inner {
    pool: PgPool,
    clock: Clock,
    /// Searches, and users, below which a query is not shown.
    floor: i64,
    /// Makes the hashes of users meaningless outside of this process.
    hasher: RandomState,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    day: NaiveDate,
    waiting: HashMap<String, SearchCount>,
    seen: HashSet<u64>,
}

/// The mark of a searcher: one of 64 bits, the same in every process and on every day. It says that two searches are of
/// different users, but not whose they are; that of another query is another one.
fn mark(query: &str, user: Option<&str>) -> i64 {
    let hash = Sha256::new().chain_update(query).chain_update([0]);
    let hash = hash.chain_update(user.unwrap_or_default()).finalize();
    1 << (hash[0] % 64)
}

impl Popular {
    /// Counts queries in `pool`; those with less than `floor` searches or users are never shown.
    pub fn start(pool: PgPool, clock: Clock, floor: i64, shutdown: &Shutdown) -> Self {
        let popular = Self(Arc::new(Inner {
            pool,
            clock,
            floor: floor.max(1),
            hasher: RandomState::new(),
            counts: Mutex::default(),
        }));
        let (writing, until) = (popular.clone(), shutdown.clone());
        shutdown.spawn(async move {
            while !until.sleep(WRITE_INTERVAL).await {
                writing.write().await;
            }
            writing.write().await;
        });
        popular
    }

    /// Counts a search of `user` that found something.
    pub fn count(&self, query: &str, user: Option<&str>) {
        let words: Vec<String> = query.split_whitespace().map(str::to_lowercase).collect();
        let query = words.join(" ");
        if query.chars().count() > MAX_CHARS || Text::new(&query).joined().chars().count() < 2 {
            return;
        }
        let today = self.0.clock.now().date_naive();
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.day != today {
            counts.day = today;
            counts.seen.clear();
        }
        let pair = self.0.hasher.hash_one((user, &query));
        if counts.seen.len() >= MAX_SEEN || !counts.seen.insert(pair) {
            return;
        }
        if counts.waiting.len() < MAX_WAITING || counts.waiting.contains_key(&query) {
            let searcher = mark(&query, user);
            let waiting = counts.waiting.entry(query).or_default();
            waiting.count += 1;
            waiting.searchers |= searcher;
        }
    }

    async fn write(&self) {
        let (day, waiting): (NaiveDate, Vec<(String, SearchCount)>) = {
            let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
            (counts.day, counts.waiting.drain().collect())
        };
        if waiting.is_empty() {
            return;
        }
        let expired = day.checked_sub_days(Days::new(WINDOW_DAYS)).unwrap_or(day);
        let written = async {
            counts::count(&self.0.pool, day, &waiting).await?;
            counts::expire(&self.0.pool, expired).await
        };
        if let Err(error) = written.await {
            tracing::warn!(%error, queries = waiting.len(), "cannot count searches");
        }
    }

    /// Lists the most frequent queries of the last days, at most `limit`.
    #[tracing::instrument(name = "service.search.popular", level = "debug", skip(self))]
    pub async fn list(&self, limit: i64) -> sqlx::Result<Vec<PopularQuery>> {
        let today = self.0.clock.now().date_naive();
        let since = today
            .checked_sub_days(Days::new(WINDOW_DAYS))
            .unwrap_or(today);
        let (floor, searchers) = (self.0.floor, self.0.floor.min(MAX_SEARCHERS));
        counts::popular(&self.0.pool, since, (floor, searchers), limit).await
    }
}
