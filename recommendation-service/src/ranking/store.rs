//! Stored lists: in memory immediately, in Postgres a moment later, so that every replica can show them. If the
//! queue is full or Postgres is away, a list may not be found again; it is served nonetheless.

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

/// The capacity of the queue for Postgres, in lists.
const MAX_QUEUED: usize = 1024;
/// The lists per batch of inserts.
const MAX_BATCH: usize = 64;
/// The memory of lists in bytes.
const MAX_MEMORY_BYTES: u64 = 48 * 1024 * 1024;
/// The time to live of a list in memory.
const MEMORY_TTL: Duration = Duration::from_secs(3600);
/// The interval at which expired lists are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);
/// The lists per batch of deletes.
const MAX_SWEPT: i64 = 5000;
/// The pause between look-ups of a list that another replica may be storing, and their number.
const LOOK_UP_INTERVAL: Duration = Duration::from_millis(150);
const MAX_LOOK_UPS: usize = 10;

/// The retention of lists.
#[derive(Debug, Clone, Copy)]
pub struct RetentionPolicy {
    /// The time to live of a list.
    pub ttl: TimeDelta,
    /// The number of lists that are kept.
    pub max_lists: i64,
}

/// The lists; cheap to clone.
#[derive(Clone)]
pub struct ListStore {
    pool: PgPool,
    clock: Clock,
    memory: Cache<Uuid, Arc<FilmList>>,
    queue: mpsc::Sender<Arc<FilmList>>,
}

impl ListStore {
    /// The lists in `pool`; starts the tasks that store and delete them until `shutdown`. Lists of users who are not in
    /// `users` are not stored.
    pub fn new(
        pool: PgPool,
        users: Shared<Users>,
        retention: RetentionPolicy,
        clock: Clock,
        shutdown: &Shutdown,
    ) -> Self {
        let (queue, queued) = mpsc::channel(MAX_QUEUED);
        let memory = Cache::builder()
            .weigher(|_, list: &Arc<FilmList>| u32::try_from(list.bytes()).unwrap_or(u32::MAX))
            .max_capacity(MAX_MEMORY_BYTES)
            .time_to_live(MEMORY_TTL)
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

    /// Stores `list`: in memory immediately, in Postgres asynchronously.
    pub fn store(&self, list: &Arc<FilmList>) {
        if self.memory.contains_key(&list.id) {
            return;
        }
        self.memory.insert(list.id, Arc::clone(list));
        if self.queue.try_send(Arc::clone(list)).is_err() {
            tracing::debug!("the queue of lists is full, a list is in memory only");
        }
    }

    /// The list `id`, if it has not expired.
    #[tracing::instrument(name = "service.lists.find", level = "debug", skip(self))]
    pub async fn find(&self, id: Uuid) -> sqlx::Result<Option<Arc<FilmList>>> {
        if let Some(list) = self.memory.get(&id) {
            return Ok(Some(list));
        }
        let now = self.clock.now();
        let mut found = repository::find(&self.pool, id, now).await?;
        for _ in 0..MAX_LOOK_UPS {
            if found.is_some() {
                break;
            }
            tokio::time::sleep(LOOK_UP_INTERVAL).await;
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
        let mut batch = Vec::with_capacity(MAX_BATCH);
        loop {
            let count = tokio::select! {
                count = queued.recv_many(&mut batch, MAX_BATCH) => count,
                () = shutdown.started() => {
                    queued.close();
                    queued.recv_many(&mut batch, MAX_BATCH).await
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
                tracing::debug!(%error, "cannot store lists, they are in memory only");
            }
            batch.clear();
        }
    }

    async fn sweep(self, shutdown: Shutdown) {
        while !shutdown.sleep(SWEEP_INTERVAL).await {
            let now = self.clock.now();
            let swept =
                repository::sweep(&self.pool, now, self.retention.max_lists, MAX_SWEPT).await;
            if let Err(error) = swept {
                tracing::debug!(%error, "cannot delete expired lists, trying again");
            }
        }
    }
}
