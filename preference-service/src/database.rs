//! The service's database: its migrations, and the pool. What is asked of it is in
//! [`crate::repository`].

use std::time::Duration;

use chassis::shutdown::Shutdown;
use sqlx::{PgPool, migrate::Migrator};

use crate::config::Config;

/// The migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// How long a starting process waits for Postgres.
const PATIENCE: Duration = Duration::from_secs(60);

/// Brings the schema up to date and opens the pool.
///
/// # Errors
/// A URL that is not one of Postgres, a migration that fails, or Postgres not there in time.
pub async fn open(config: &Config, shutdown: &Shutdown) -> anyhow::Result<PgPool> {
    chassis::postgres::migrate(&config.database_url, &MIGRATOR, PATIENCE, shutdown).await?;
    Ok(chassis::postgres::pool(
        &config.database_url,
        config.database_max_connections,
    )?)
}
