//! The service's database: its migrations and the pools. Statements are in [`crate::repository`].

use std::time::Duration;

use chassis::{
    postgres::{self, Shares},
    shutdown::Shutdown,
};
use sqlx::{PgPool, migrate::Migrator};

use crate::config::Config;

/// The migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// The connections of the service, divided by what they are used for: a locked table or heavy work of one part leaves
/// the others theirs.
#[derive(Clone)]
pub struct Pools {
    /// Logins and API keys.
    pub logins: PgPool,
    /// Users and their preferences.
    pub users: PgPool,
    /// The actions of users: interactions, viewings, tastes, and the writer.
    pub activity: PgPool,
    /// Charts and statistics.
    pub aggregates: PgPool,
    /// Imports, exports, erasure, the change feed.
    pub background: PgPool,
}

impl Pools {
    /// Divides `shares` among the parts, each of which has at least two connections. Statements of requests wait for
    /// locks for at most `lock_timeout`.
    #[must_use]
    pub fn divide(shares: &Shares, lock_timeout: Duration) -> Self {
        Self {
            logins: shares.pool(15, 2, lock_timeout),
            users: shares.pool(15, 2, lock_timeout),
            activity: shares.pool(30, 3, lock_timeout),
            aggregates: shares.pool(10, 2, lock_timeout),
            background: shares.pool(30, 4, Duration::ZERO),
        }
    }
}

impl From<PgPool> for Pools {
    /// One pool for all parts.
    fn from(pool: PgPool) -> Self {
        Self {
            logins: pool.clone(),
            users: pool.clone(),
            activity: pool.clone(),
            aggregates: pool.clone(),
            background: pool,
        }
    }
}

/// Applies the migrations and opens the pools of the running service.
///
/// # Errors
/// As [`open`].
pub async fn open_pools(config: &Config, shutdown: &Shutdown) -> anyhow::Result<Pools> {
    let (url, connections) = (&config.database_url, config.database_max_connections);
    let shares = postgres::open_shares(url, connections, &MIGRATOR, shutdown).await?;
    let lock_timeout = Duration::from_millis(config.database_lock_timeout_ms);
    Ok(Pools::divide(&shares, lock_timeout))
}

/// Applies the migrations and opens the pool of a command.
///
/// # Errors
/// Returns an error if `database_url` is missing or invalid, a migration fails, or Postgres cannot be reached.
pub async fn open(config: &Config, shutdown: &Shutdown) -> anyhow::Result<PgPool> {
    let (url, connections) = (&config.database_url, config.database_max_connections);
    postgres::open(url, connections, &MIGRATOR, shutdown).await
}
