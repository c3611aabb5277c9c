//! The service's database: migrations and the connection pool. [`crate::repository`] holds the statements.

use std::time::Duration;

use chassis::shutdown::Shutdown;
use sqlx::{PgPool, migrate::Migrator};

use crate::config::Config;

/// The migrations.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// A starting process waits this long for Postgres.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Migrates the schema and opens the pool.
///
/// # Errors
/// Fails if the URL is invalid, Postgres is unreachable for a minute, or a migration fails.
pub async fn open(config: &Config, shutdown: &Shutdown) -> anyhow::Result<PgPool> {
    chassis::postgres::migrate(&config.database_url, &MIGRATOR, START_TIMEOUT, shutdown).await?;
    Ok(chassis::postgres::pool(
        &config.database_url,
        config.database_max_connections,
    )?)
}
