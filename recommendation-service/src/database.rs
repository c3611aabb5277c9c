//! The service's database: its migrations and the pool. Statements are in the `repository` of each feature.

use chassis::{postgres, shutdown::Shutdown};
use sqlx::{PgPool, migrate::Migrator};

use crate::config::Config;

/// The migrations, compiled in.
pub static MIGRATOR: Migrator = sqlx::migrate!();

/// Applies the migrations and opens the pool.
///
/// # Errors
/// Returns an error if `database_url` is missing or invalid, a migration fails, or Postgres cannot be reached.
pub async fn open(config: &Config, shutdown: &Shutdown) -> anyhow::Result<PgPool> {
    let (url, connections) = (&config.database_url, config.database_max_connections);
    postgres::open(url, connections, &MIGRATOR, shutdown).await
}
