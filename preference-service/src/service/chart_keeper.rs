//! Keeps the charts in Redis what Postgres says: builds them where there are none, moves them by our
//! own feed, and moves them on with the hour.
//!
//! Counts are set, never added: of each film that the feed names the present count is read and written,
//! together with the place in the feed. What is done twice therefore changes nothing, and whatever was
//! missed while one of the two was away is caught up with from that place.

use std::{collections::BTreeSet, time::Duration};

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
    models::{KEPT, Metric, Window},
    repository::{
        chart_mirror::{Aside, Away, ChartMirror, MirrorState},
        charts,
    },
};

/// Changes taken at once; each may move a film's nine counts.
const BATCH: i64 = 1000;
/// Counts written at once while charts are built.
const BUILD_BATCH: usize = 5000;
/// Whether the charts in Redis still stand is looked at this often at least.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// For how long one replica keeps the charts before another may.
const LEAD_SECONDS: u64 = 5;
/// Pages in which charts are compared.
const COMPARE_PAGE: usize = 5000;

/// Counts that were set (counter).
pub const CHART_COUNTS_SET_TOTAL: &str = "chart_counts_set_total";
/// How often charts were built anew, with why (counter).
pub const CHART_BUILDS_TOTAL: &str = "chart_builds_total";

/// Why the charts could not be moved.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Redis(#[from] Away),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Keeps the charts.
pub struct ChartKeeper {
    pool: PgPool,
    outbox: Outbox,
    mirror: ChartMirror,
    shutdown: Shutdown,
    me: Uuid,
}

/// What the feed says that moves charts.
#[derive(Deserialize)]
struct Moved {
    movie_id: Option<i64>,
    #[serde(default)]
    movie_ids: Vec<i64>,
}

impl ChartKeeper {
    /// Keeps the charts in `mirror` what those in `pool` are, as `outbox` tells.
    #[must_use]
    pub fn new(pool: PgPool, outbox: Outbox, mirror: ChartMirror, shutdown: &Shutdown) -> Self {
        Self {
            pool,
            outbox,
            mirror,
            shutdown: shutdown.clone(),
            me: Uuid::now_v7(),
        }
    }

    /// Keeps them until the shutdown.
    pub async fn run(self) {
        while !self.shutdown.is_started() {
            let pause = match self.step().await {
                Ok(true) => continue,
                Ok(false) => LOOK_AGAIN,
                Err(error) => {
                    tracing::debug!(%error, "cannot move the charts");
                    LOOK_AGAIN
                }
            };
            let jittered = pause.mul_f64(rand::rng().random_range(0.5..1.0));
            self.shutdown.sleep(jittered).await;
        }
        self.mirror.resign(self.me).await;
    }

    /// Moves the charts once; false: another replica does.
    async fn step(&self) -> Result<bool, KeepError> {
        if !self.mirror.lead(self.me, LEAD_SECONDS).await? {
            return Ok(false);
        }
        let hour = charts::present_hour(&self.pool).await?;
        let Some(state) = self.mirror.state().await? else {
            self.build(None, hour, "missing").await?;
            return Ok(true);
        };
        if state.hour != hour {
            self.slide(&state, hour).await?;
            return Ok(true);
        }
        match self
            .outbox
            .read(Some(state.cursor), BATCH, LOOK_AGAIN)
            .await
        {
            Ok(changes) => {
                let Ok(next) = changes.next.parse::<Cursor>() else {
                    return Ok(true);
                };
                if next == state.cursor {
                    return Ok(true);
                }
                let movies = moved(changes.changes.iter().map(|change| change.read().ok()));
                let counts = match movies.is_empty() {
                    true => Vec::new(),
                    false => charts::counts_of(&self.pool, &movies, hour).await?,
                };
                if self.mirror.apply(&state, &counts, next).await? {
                    let set = u64::try_from(counts.len()).unwrap_or_default();
                    metrics::counter!(CHART_COUNTS_SET_TOTAL).increment(set);
                }
            }
            Err(ReadError::CursorExpired) => self.build(Some(&state), hour, "expired").await?,
            Err(ReadError::Database(error)) => return Err(error.into()),
        }
        Ok(true)
    }

    async fn build(
        &self,
        from: Option<&MirrorState>,
        hour: DateTime<Utc>,
        why: &'static str,
    ) -> Result<(), KeepError> {
        // Before the counts are read: what happens meanwhile is then taken twice, not never.
        let cursor = self.outbox.current_cursor().await?;
        let aside = self.aside(hour, true).await?;
        let to = MirrorState { cursor, hour };
        if aside.swap(&Window::ALL, from, &to).await? {
            metrics::counter!(CHART_BUILDS_TOTAL, "why" => why).increment(1);
            tracing::info!(why, "charts built");
        }
        Ok(())
    }

    /// Goes on to `hour`: what is older than a window leaves it.
    async fn slide(&self, from: &MirrorState, hour: DateTime<Utc>) -> Result<(), KeepError> {
        charts::forget_before(&self.pool, hour - KEPT).await?;
        let aside = self.aside(hour, false).await?;
        let to = MirrorState {
            cursor: from.cursor,
            hour,
        };
        if aside
            .swap(&[Window::Day, Window::Week], Some(from), &to)
            .await?
        {
            metrics::counter!(CHART_BUILDS_TOTAL, "why" => "hour").increment(1);
        }
        Ok(())
    }

    async fn aside(&self, hour: DateTime<Utc>, all: bool) -> Result<Aside, KeepError> {
        let aside = self.mirror.aside();
        let mut connection = self.pool.acquire().await?;
        let mut rows = std::pin::pin!(charts::all_counts(&mut connection, hour, all));
        let mut batch = Vec::with_capacity(BUILD_BATCH);
        while let Some(counts) = rows.try_next().await? {
            batch.extend(counts);
            if batch.len() >= BUILD_BATCH {
                aside.add(&batch).await?;
                batch.clear();
                // Building takes longer than a lead lasts.
                self.mirror.lead(self.me, LEAD_SECONDS).await?;
            }
        }
        aside.add(&batch).await?;
        Ok(aside)
    }

    /// How many counts differ between Redis and Postgres, once Redis has taken all that is committed;
    /// none: it does not come to that, because others keep writing or there is no Redis.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn differences(&self) -> sqlx::Result<Option<u64>> {
        const TRIES: u32 = 10;
        for _ in 0..TRIES {
            match self.compare().await {
                Ok(Some(differences)) => return Ok(Some(differences)),
                Ok(None) | Err(KeepError::Redis(_)) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(KeepError::Database(error)) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn compare(&self) -> Result<Option<u64>, KeepError> {
        let Some(state) = self.mirror.state().await? else {
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
        let stands = self.mirror.state().await? == Some(state.clone());
        Ok((stands && self.is_present(&state).await).then_some(differences))
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
        let mut known: std::collections::HashMap<i64, i64> =
            charts::top(&self.pool, metric, window, hour, i64::MAX)
                .await?
                .into_iter()
                .map(|entry| (entry.movie_id.get(), entry.count))
                .collect();
        let mut differences = 0;
        let mut offset = 0;
        loop {
            let page = self
                .mirror
                .page(metric, window, offset, COMPARE_PAGE)
                .await?;
            for entry in &page {
                if known.remove(&entry.movie_id.get()) != Some(entry.count) {
                    differences += 1;
                }
            }
            if page.len() < COMPARE_PAGE {
                break;
            }
            offset += COMPARE_PAGE;
        }
        Ok(differences + u64::try_from(known.len()).unwrap_or_default())
    }
}

/// The films that changes name.
fn moved(changes: impl Iterator<Item = Option<Moved>>) -> Vec<i64> {
    let movies: BTreeSet<i64> = changes
        .flatten()
        .flat_map(|moved| moved.movie_id.into_iter().chain(moved.movie_ids))
        .collect();
    movies.into_iter().collect()
}
