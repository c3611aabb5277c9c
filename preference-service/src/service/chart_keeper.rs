//! Keeps the charts in Redis equal to Postgres: builds them if they are missing, updates them from our own feed, and
//! slides their windows every hour. Started by [`crate::app`]; the command `verify` compares both.
//!
//! Counts are set, never added: for each movie that the feed names, the present count is read and written together with
//! the position in the feed. Repeating an update therefore changes nothing, and updates missed during an outage of either
//! are caught up from that position.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use chassis::{
    feed::{
        Cursor,
        outbox::{Outbox, ReadError},
    },
    shutdown::Shutdown,
};
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use rand::Rng;
use serde::Deserialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    models::{CHART_RETENTION, Metric, Window},
    repository::{
        chart_mirror::{ChartMirror, MirrorState, RedisUnavailable, StagingChart},
        charts,
    },
};

/// The maximum number of changes per read; each may change nine counts of a movie.
const BATCH: i64 = 1000;
/// Counts per write while charts are built.
const BUILD_BATCH: usize = 5000;
/// The maximum time between two updates.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);
/// The duration of the lease of the replica that updates the charts, in seconds.
const LEASE_SECONDS: u64 = 5;
/// The page size in which charts are compared.
const COMPARE_PAGE: usize = 5000;

/// Counts that were set (counter).
pub const CHART_COUNTS_SET_TOTAL: &str = "chart_counts_set_total";
/// Builds of the charts, by reason (counter).
pub const CHART_BUILDS_TOTAL: &str = "chart_builds_total";

/// The reason why the charts were not updated.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Redis(#[from] RedisUnavailable),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Updates the charts in Redis.
pub struct ChartKeeper {
    pool: PgPool,
    outbox: Outbox,
    mirror: ChartMirror,
    shutdown: Shutdown,
    id: Uuid,
}

/// The movies whose counts a change record moves.
#[derive(Deserialize)]
struct MovedMovies {
    movie_id: Option<i64>,
    #[serde(default)]
    movie_ids: Vec<i64>,
}

impl ChartKeeper {
    /// A keeper that updates `mirror` from `pool` when `outbox` has changes.
    pub fn new(pool: PgPool, outbox: Outbox, mirror: ChartMirror, shutdown: &Shutdown) -> Self {
        Self {
            pool,
            outbox,
            mirror,
            shutdown: shutdown.clone(),
            id: Uuid::now_v7(),
        }
    }

    /// Updates the charts until the shutdown.
    pub async fn run(self) {
        while !self.shutdown.is_started() {
            match self.update().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "charts not updated"),
            }
            let jittered = UPDATE_INTERVAL.mul_f64(rand::rng().random_range(0.5..1.0));
            self.shutdown.sleep(jittered).await;
        }
        // Another replica then need not wait for the lease to expire.
        let _ = self.mirror.lease(self.id, 0).await;
    }

    /// Updates the charts once. Returns false if another replica does so.
    async fn update(&self) -> Result<bool, KeepError> {
        if !self.mirror.lease(self.id, LEASE_SECONDS).await? {
            return Ok(false);
        }
        let hour = charts::present_hour(&self.pool).await?;
        match self.mirror.find_state().await? {
            None => self.build(None, hour, "missing").await?,
            Some(state) if state.hour != hour => self.slide(&state, hour).await?,
            Some(state) => self.follow(&state).await?,
        }
        Ok(true)
    }

    /// Waits for changes after `state` and applies them.
    async fn follow(&self, state: &MirrorState) -> Result<(), KeepError> {
        let read = self
            .outbox
            .read(Some(state.cursor), BATCH, UPDATE_INTERVAL)
            .await;
        let changes = match read {
            Ok(changes) => changes,
            Err(ReadError::CursorExpired) => {
                return self.build(Some(state), state.hour, "expired").await;
            }
            Err(ReadError::Database(error)) => return Err(error.into()),
        };
        let Some(next) = changes.next.parse::<Cursor>().ok() else {
            return Ok(());
        };
        if next == state.cursor {
            return Ok(());
        }
        let movies: BTreeSet<i64> = changes
            .changes
            .iter()
            .filter_map(|change| change.read::<MovedMovies>().ok())
            .flat_map(|moved| moved.movie_id.into_iter().chain(moved.movie_ids))
            .collect();
        let counts = if movies.is_empty() {
            Vec::new()
        } else {
            let movies: Vec<i64> = movies.into_iter().collect();
            charts::list_counts(&self.pool, &movies, state.hour).await?
        };
        if self.mirror.apply(state, &counts, next).await? {
            let set = u64::try_from(counts.len()).unwrap_or_default();
            metrics::counter!(CHART_COUNTS_SET_TOTAL).increment(set);
        }
        Ok(())
    }

    async fn build(
        &self,
        from: Option<&MirrorState>,
        hour: DateTime<Utc>,
        why: &'static str,
    ) -> Result<(), KeepError> {
        // Read before the counts: changes made meanwhile are then applied twice rather than never.
        let cursor = self.outbox.current_cursor().await?;
        let staging = self.stage(hour, true).await?;
        let to = MirrorState { cursor, hour };
        if staging.swap(&Window::ALL, from, &to).await? {
            metrics::counter!(CHART_BUILDS_TOTAL, "why" => why).increment(1);
            tracing::info!(why, "charts built");
        }
        Ok(())
    }

    /// Slides the windows to `hour` and deletes the hours before all of them.
    async fn slide(&self, from: &MirrorState, hour: DateTime<Utc>) -> Result<(), KeepError> {
        charts::delete_before(&self.pool, hour - CHART_RETENTION).await?;
        let staging = self.stage(hour, false).await?;
        let to = MirrorState {
            cursor: from.cursor,
            hour,
        };
        let windows = [Window::Day, Window::Week];
        if staging.swap(&windows, Some(from), &to).await? {
            metrics::counter!(CHART_BUILDS_TOTAL, "why" => "hour").increment(1);
        }
        Ok(())
    }

    async fn stage(&self, hour: DateTime<Utc>, all: bool) -> Result<StagingChart, KeepError> {
        let staging = self.mirror.stage();
        let mut connection = self.pool.acquire().await?;
        let mut rows = std::pin::pin!(charts::stream_counts(&mut connection, hour, all));
        let mut batch = Vec::with_capacity(BUILD_BATCH);
        while let Some(counts) = rows.try_next().await? {
            batch.extend(counts);
            if batch.len() >= BUILD_BATCH {
                staging.add(&batch).await?;
                batch.clear();
                // A build may take longer than the lease.
                self.mirror.lease(self.id, LEASE_SECONDS).await?;
            }
        }
        staging.add(&batch).await?;
        Ok(staging)
    }

    /// Counts the entries that differ between Redis and Postgres, once Redis has caught up. Returns `None` if it does not
    /// within ten attempts, because of other writers or without Redis.
    pub async fn differences(&self) -> sqlx::Result<Option<u64>> {
        const MAX_ATTEMPTS: u32 = 10;
        for _ in 0..MAX_ATTEMPTS {
            match self.compare().await {
                Ok(Some(differences)) => return Ok(Some(differences)),
                Ok(None) | Err(KeepError::Redis(_)) => tokio::time::sleep(UPDATE_INTERVAL).await,
                Err(KeepError::Database(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn compare(&self) -> Result<Option<u64>, KeepError> {
        let Some(state) = self.mirror.find_state().await? else {
            return Ok(None);
        };
        if state.hour != charts::present_hour(&self.pool).await? || !self.is_present(&state).await {
            return Ok(None);
        }
        let mut differences = 0;
        for window in Window::ALL {
            for metric in Metric::ALL {
                differences += self.compare_chart(metric, window, state.hour).await?;
            }
        }
        let is_unchanged = self.mirror.find_state().await?.as_ref() == Some(&state);
        Ok((is_unchanged && self.is_present(&state).await).then_some(differences))
    }

    async fn is_present(&self, state: &MirrorState) -> bool {
        let changes = self
            .outbox
            .read(Some(state.cursor), 1, Duration::ZERO)
            .await;
        changes.is_ok_and(|changes| changes.changes.is_empty())
    }

    async fn compare_chart(
        &self,
        metric: Metric,
        window: Window,
        hour: DateTime<Utc>,
    ) -> Result<u64, KeepError> {
        let mut known: HashMap<i64, i64> =
            charts::list_top(&self.pool, metric, window, hour, i64::MAX)
                .await?
                .into_iter()
                .map(|entry| (entry.movie_id.get(), entry.count))
                .collect();
        let mut differences = 0;
        for page in 0.. {
            let offset = page * COMPARE_PAGE;
            let found = self
                .mirror
                .list(metric, window, offset, COMPARE_PAGE)
                .await?;
            let entries = found.map(|(_, entries)| entries).unwrap_or_default();
            for entry in &entries {
                if known.remove(&entry.movie_id.get()) != Some(entry.count) {
                    differences += 1;
                }
            }
            if entries.len() < COMPARE_PAGE {
                break;
            }
        }
        Ok(differences + u64::try_from(known.len()).unwrap_or_default())
    }
}
