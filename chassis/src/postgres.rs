//! Postgres: how a pool is opened and a schema brought up to date, and which of its errors are the
//! server's absence. What is asked of it belongs to the services.

use std::{str::FromStr, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, Connection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{Problem, shutdown::Shutdown};

/// How long a request waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a statement may run.
const STATEMENT_TIMEOUT: &str = "10s";

/// A pool that opens connections when they are needed, so that it can be made while Postgres is down.
///
/// # Errors
/// A URL that is not one of Postgres.
pub fn pool(url: &SecretString, max_connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(url.expose_secret())?
        .options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("idle_in_transaction_session_timeout", "60s"),
        ])
        .log_slow_statements(tracing::log::LevelFilter::Debug, Duration::from_secs(1));
    Ok(PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options))
}

/// Brings the schema up to date; replicas that start at once wait for each other. Waits for a
/// Postgres that is not there yet, at most `patience`.
///
/// # Errors
/// A migration that fails, or Postgres not there in time.
pub async fn migrate(
    url: &SecretString,
    migrator: &Migrator,
    patience: Duration,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let options = PgConnectOptions::from_str(url.expose_secret())?;
    let started = tokio::time::Instant::now();
    loop {
        match options.connect().await {
            Ok(mut connection) => {
                migrator.run(&mut connection).await?;
                connection.close().await?;
                return Ok(());
            }
            Err(error) if started.elapsed() < patience && is_unreachable(&error) => {
                tracing::warn!(%error, "waiting for Postgres");
                if shutdown.sleep(Duration::from_millis(500)).await {
                    anyhow::bail!("stopped while waiting for Postgres");
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether `error` says that the server is away, starting, stopping or has no connection left,
/// rather than that a statement was wrong.
#[must_use]
pub fn is_unreachable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            // 08: connection exception, 53: insufficient resources, 57P: operator intervention,
            // 57014: statement timeout, 25P03: idle session ended, 25006: a read-only standby.
            ["08", "53", "57P"]
                .iter()
                .any(|class| code.starts_with(class))
                || ["57014", "25P03", "25006"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// The name of the constraint that a write ran into, if it ran into one.
#[must_use]
pub fn violated_constraint(error: &sqlx::Error) -> Option<&str> {
    error
        .as_database_error()
        .and_then(|database| database.constraint())
}

/// What a client gets to see of a database error: 503 when Postgres is away, else 500.
#[must_use]
pub fn problem(error: &sqlx::Error) -> Problem {
    if is_unreachable(error) {
        return Problem::unavailable("the database").cause(error);
    }
    Problem::internal(error)
}

/// Whether Postgres answers, for a readiness check.
///
/// # Errors
/// Why it does not.
pub async fn check(pool: PgPool) -> Result<(), String> {
    sqlx::query("select 1")
        .execute(&pool)
        .await
        .map(|_| ())
        .map_err(|error| {
            tracing::debug!(%error, "Postgres does not answer");
            "cannot be reached".to_owned()
        })
}
