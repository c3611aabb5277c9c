//! Lists that were made, for who asks for them again: in memory at once, in Postgres a moment later, so
//! that every replica can show them. What is full or away costs a list its being found again, never an
//! answer its being given.

use std::{sync::Arc, time::Duration};

use chassis::{clock::Clock, shutdown::Shutdown};
use chrono::TimeDelta;
use moka::sync::Cache;
use sqlx::PgPool;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    ranking::{FilmList, repository},
    read_model::{Shared, UserId, Users},
};

/// Lists on their way to Postgres at most.
const QUEUE: usize = 1024;
/// Lists that are stored at once.
const BATCH: usize = 64;
/// How much memory lists take at most, in bytes.
const MEMORY_BYTES: u64 = 48 * 1024 * 1024;
/// A list stays in memory for so long.
const MEMORY_TIME: Duration = Duration::from_secs(3600);
/// How often lists that have had their time are deleted.
const SWEEP: Duration = Duration::from_secs(60);
/// How many are deleted at once.
const SWEEP_BATCH: i64 = 5000;
/// A list that another replica made may be on its way to Postgres: it is looked for again after this, so often.
const LOOK_AGAIN: Duration = Duration::from_millis(150);
const LOOKS: usize = 10;

/// How long lists are kept, and how many.
#[derive(Debug, Clone, Copy)]
pub struct RetentionPolicy {
    /// The time to live of a list.
    pub ttl: TimeDelta,
    /// The number of lists that are kept.
    pub max_lists: i64,
}

/// Keeps lists; cheap to clone.
#[derive(Clone)]
pub struct ListStore {
    pool: PgPool,
    clock: Clock,
    memory: Cache<Uuid, Arc<FilmList>>,
    queue: mpsc::Sender<Arc<FilmList>>,
}

impl ListStore {
    /// Keeps lists in `pool`, until `shutdown`; those of users who are not in `users` any more are not kept.
    pub fn new(
        pool: PgPool,
        users: Shared<Users>,
        retention: RetentionPolicy,
        clock: Clock,
        shutdown: &Shutdown,
    ) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE);
        let memory = Cache::builder()
            .weigher(|_, list: &Arc<FilmList>| u32::try_from(list.bytes()).unwrap_or(u32::MAX))
            .max_capacity(MEMORY_BYTES)
            .time_to_live(MEMORY_TIME)
            .build();
        let lists = Self {
            pool: pool.clone(),
            clock: clock.clone(),
            memory,
            queue,
        };
        let writer = Writer {
            pool,
            users,
            retention,
            clock,
        };
        shutdown.spawn(writer.clone().write(queued, shutdown.clone()));
        shutdown.spawn(writer.sweep(shutdown.clone()));
        lists
    }

    /// Keeps `list`.
    pub fn store(&self, list: &Arc<FilmList>) {
        if self.memory.contains_key(&list.id) {
            return;
        }
        self.memory.insert(list.id, Arc::clone(list));
        if self.queue.try_send(Arc::clone(list)).is_err() {
            tracing::debug!("too many lists at once, one is kept in memory alone");
        }
    }

    /// The list `id`, if it is still kept.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn find(&self, id: Uuid) -> sqlx::Result<Option<Arc<FilmList>>> {
        if let Some(list) = self.memory.get(&id) {
            return Ok(Some(list));
        }
        let now = self.clock.now();
        let mut found = repository::find(&self.pool, id, now).await?;
        for _ in 0..LOOKS {
            if found.is_some() {
                break;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
            found = repository::find(&self.pool, id, now).await?;
        }
        let found = found.map(Arc::new);
        if let Some(list) = &found {
            self.memory.insert(id, Arc::clone(list));
        }
        Ok(found)
    }
}

#[derive(Clone)]
struct Writer {
    pool: PgPool,
    users: Shared<Users>,
    retention: RetentionPolicy,
    clock: Clock,
}

impl Writer {
    async fn write(self, mut queued: mpsc::Receiver<Arc<FilmList>>, shutdown: Shutdown) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let count = tokio::select! {
                count = queued.recv_many(&mut batch, BATCH) => count,
                () = shutdown.started() => {
                    queued.close();
                    queued.recv_many(&mut batch, BATCH).await
                }
            };
            if count == 0 {
                return;
            }
            let lists: Vec<&FilmList> = {
                let users = self.users.read();
                let is_there = |list: &&Arc<FilmList>| {
                    UserId::new(list.user_id).is_some_and(|id| users.find(id).is_some())
                };
                let lists = batch.iter().filter(is_there);
                lists.map(AsRef::as_ref).collect()
            };
            let expires_at = self.clock.now() + self.retention.ttl;
            if let Err(error) = repository::insert(&self.pool, &lists, expires_at).await {
                tracing::debug!(%error, "cannot store lists, they are kept in memory alone");
            }
            batch.clear();
        }
    }

    async fn sweep(self, shutdown: Shutdown) {
        while !shutdown.sleep(SWEEP).await {
            let now = self.clock.now();
            let swept =
                repository::sweep(&self.pool, now, self.retention.max_lists, SWEEP_BATCH).await;
            if let Err(error) = swept {
                tracing::debug!(%error, "cannot delete old lists, trying again later");
            }
        }
    }
}
