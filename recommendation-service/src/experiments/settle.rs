//! Counts the outcomes of impressions when their windows have ended, once for all replicas.

use std::time::Duration;

use chassis::{clock::Clock, feed::follow::FeedState, shutdown::Shutdown};
use chrono::TimeDelta;
use sqlx::PgPool;

use crate::experiments::repository::impressions;

/// The interval at which windows are checked.
const LOOK: Duration = Duration::from_secs(5);
/// The delay after the end of a window, for what the feed and the queue still bring.
pub const GRACE: TimeDelta = TimeDelta::seconds(60);
/// The impressions that are counted in one transaction.
const AT_ONCE: i64 = 1000;

/// Counts until the shutdown, while `users_feed` is caught up.
pub async fn settle(pool: PgPool, users_feed: FeedState, clock: Clock, shutdown: Shutdown) {
    while !shutdown.sleep(LOOK).await {
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
    let due = now - GRACE;
    while impressions::settle_users(pool, due, now, AT_ONCE).await? > 0 {}
    while impressions::settle_films(pool, due, now, AT_ONCE).await? > 0 {}
    Ok(())
}
