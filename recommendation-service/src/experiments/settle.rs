//! Counts the outcomes of impressions when their windows have ended, once for all replicas.

use std::time::Duration;

use chassis::{clock::Clock, feed::follow::FeedState, shutdown::Shutdown};
use chrono::TimeDelta;
use sqlx::PgPool;

use crate::experiments::repository::impressions;

/// The interval at which windows are checked.
const SETTLE_INTERVAL: Duration = Duration::from_secs(5);
/// The delay after the end of a window, for what the feed and the queue still bring.
pub const SETTLE_DELAY: TimeDelta = TimeDelta::seconds(60);
/// The impressions that are counted in one transaction.
const MAX_SETTLED: i64 = 1000;

/// Counts until the shutdown, while `users_feed` is caught up.
pub async fn settle(pool: PgPool, users_feed: FeedState, clock: Clock, shutdown: Shutdown) {
    while !shutdown.sleep(SETTLE_INTERVAL).await {
        if !users_feed.is_caught_up() {
            continue;
        }
        let step = tokio::select! {
            () = shutdown.started() => return,
            step = settle_due(&pool, &clock) => step,
        };
        if let Err(error) = step {
            tracing::debug!(%error, "cannot count outcomes, trying again");
        }
    }
}

/// Counts everything that is due now.
///
/// # Errors
/// Returns [`sqlx::Error`] if Postgres is unreachable; the rest is counted later.
pub async fn settle_due(pool: &PgPool, clock: &Clock) -> sqlx::Result<()> {
    let now = clock.now();
    let due = now - SETTLE_DELAY;
    while impressions::settle_users(pool, due, now, MAX_SETTLED).await? > 0 {}
    while impressions::settle_films(pool, due, now, MAX_SETTLED).await? > 0 {}
    Ok(())
}
