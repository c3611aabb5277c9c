//! Postgres: opens pools, applies migrations, and classifies errors. Services own their statements; none is here.

use std::{io, str::FromStr, time::Duration};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    ConnectOptions, Connection, PgConnection, PgPool,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::Instant;

use crate::{Problem, config::ConfigError, shutdown::Shutdown};

/// The longest wait of a request for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// The time limit of a statement.
const STATEMENT_TIMEOUT: &str = "10s";
/// The longest wait of a starting process for Postgres.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(60);
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The pause between the first two log lines about an absent Postgres; it doubles with each line.
const FIRST_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Applies `migrator` to the database at `url`, the setting `database_url`, and opens a pool of it.
///
/// # Errors
/// [`ConfigError`] if the URL is empty; another error if it is invalid, a migration fails, or Postgres stays away for a
/// minute.
pub async fn open(
    url: &SecretString,
    max_connections: u32,
    migrator: &Migrator,
    shutdown: &Shutdown,
) -> anyhow::Result<PgPool> {
    prepare(url, migrator, shutdown).await?;
    Ok(pool(url, max_connections)?)
}

/// As [`open`], but returns the connections to be divided among the parts of the service.
///
/// # Errors
/// As [`open`].
pub async fn open_shares(
    url: &SecretString,
    max_connections: u32,
    migrator: &Migrator,
    shutdown: &Shutdown,
) -> anyhow::Result<Shares> {
    prepare(url, migrator, shutdown).await?;
    let options = PgConnectOptions::from_str(url.expose_secret())?;
    Ok(Shares::new(options, max_connections))
}

/// Migrates the database at `url`, which must be set.
async fn prepare(
    url: &SecretString,
    migrator: &Migrator,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    if url.expose_secret().is_empty() {
        return Err(ConfigError::missing("database_url").into());
    }
    migrate(url, migrator, STARTUP_TIMEOUT, shutdown).await
}

/// A pool that connects on first use, so that it can be made while Postgres is down.
///
/// # Errors
/// Returns [`sqlx::Error`] if `url` is not a Postgres URL.
pub fn pool(url: &SecretString, max_connections: u32) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(url.expose_secret())?;
    Ok(lazy(options, max_connections))
}

fn lazy(options: PgConnectOptions, max_connections: u32) -> PgPool {
    let options = options
        .options([
            ("statement_timeout", STATEMENT_TIMEOUT),
            ("idle_in_transaction_session_timeout", "60s"),
        ])
        .log_slow_statements(tracing::log::LevelFilter::Debug, Duration::from_secs(1));
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(options)
}

/// The connections of a service, divided among its parts: requests that wait for one table or that are heavy hold the
/// connections of their part alone, and the other parts keep working.
pub struct Shares {
    options: PgConnectOptions,
    max_connections: u32,
}

impl Shares {
    /// `max_connections` to the database of `options`.
    #[must_use]
    pub fn new(options: PgConnectOptions, max_connections: u32) -> Self {
        Self {
            options,
            max_connections,
        }
    }

    /// A pool of `percent` of the connections, but at least `min`. A statement waits for a lock of a table or row for at
    /// most `lock_timeout` (zero: as long as for its result).
    #[must_use]
    pub fn pool(&self, percent: u32, min: u32, lock_timeout: Duration) -> PgPool {
        let connections = (self.max_connections.saturating_mul(percent) / 100).max(min);
        let lock_timeout = format!("{}ms", lock_timeout.as_millis());
        let options = self
            .options
            .clone()
            .options([("lock_timeout", lock_timeout)]);
        lazy(options, connections)
    }
}

/// Applies the migrations; replicas that start at the same time wait for each other. Waits at most `timeout` for
/// Postgres.
///
/// # Errors
/// Returns an error if a migration fails or Postgres cannot be reached in time.
pub async fn migrate(
    url: &SecretString,
    migrator: &Migrator,
    timeout: Duration,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let mut connection = connect(url, timeout, shutdown).await?;
    migrator.run(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn connect(
    url: &SecretString,
    timeout: Duration,
    shutdown: &Shutdown,
) -> anyhow::Result<PgConnection> {
    let options = PgConnectOptions::from_str(url.expose_secret())?;
    let started = Instant::now();
    let mut log = BackoffLog::new(started);
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) if is_tls_failure(&error, &options) => {
                return Err(error).context(
                    "no TLS connection to Postgres; see sslmode and sslrootcert in DATABASE_URL",
                );
            }
            Err(error) if started.elapsed() < timeout && is_unreachable(&error) => {
                if log.is_due(Instant::now()) {
                    tracing::warn!(%error, "waiting for Postgres");
                }
                if shutdown.sleep(RETRY_INTERVAL).await {
                    anyhow::bail!("stopped while waiting for Postgres");
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// True if a connect failed for TLS, its certificates or their files, so that waiting does not help.
fn is_tls_failure(error: &sqlx::Error, options: &PgConnectOptions) -> bool {
    match error {
        sqlx::Error::Tls(_) => true,
        sqlx::Error::Io(error) => match error.kind() {
            // The kind with which rustls refuses a certificate.
            io::ErrorKind::InvalidData => true,
            // A certificate file, unless it is the socket of a server that has not started.
            io::ErrorKind::NotFound => options.get_socket().is_none(),
            _ => false,
        },
        _ => false,
    }
}

/// Limits the log lines of a lasting failure: immediately, then at doubling intervals.
struct BackoffLog {
    next: Instant,
    interval: Duration,
}

impl BackoffLog {
    fn new(now: Instant) -> Self {
        Self {
            next: now,
            interval: FIRST_LOG_INTERVAL,
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now + self.interval;
        self.interval *= 2;
        true
    }
}

/// True if `error` means that the server is absent, starting, stopping or out of connections, rather than that a
/// statement is wrong.
#[must_use]
pub fn is_unreachable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            // 08: connection exception, 53: insufficient resources, 57P: operator intervention,
            // 57014: statement timeout, 55P03: lock timeout, 25P03: idle session ended, 25006: a read-only standby.
            ["08", "53", "57P"]
                .iter()
                .any(|class| code.starts_with(class))
                || ["57014", "55P03", "25P03", "25006"].contains(&code.as_ref())
        }),
        _ => false,
    }
}

/// The name of the constraint that a write violated.
#[must_use]
pub fn violated_constraint(error: &sqlx::Error) -> Option<&str> {
    error
        .as_database_error()
        .and_then(|database| database.constraint())
}

/// The problem that a database error becomes: 503 if Postgres is unreachable, else 500.
pub fn problem(error: &sqlx::Error) -> Problem {
    if is_unreachable(error) {
        return Problem::unavailable("the database").cause(error);
    }
    Problem::internal(error)
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        problem(&error)
    }
}

/// The readiness check of Postgres.
///
/// # Errors
/// Returns the text of the health report if Postgres does not respond.
pub async fn check(pool: PgPool) -> Result<(), String> {
    sqlx::query("select 1")
        .execute(&pool)
        .await
        .map(|_| ())
        .map_err(|error| {
            tracing::debug!(%error, "Postgres does not respond");
            "cannot be reached".to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_url_is_a_configuration_error_that_names_the_setting() {
        let migrator = Migrator::with_migrations(Vec::new());
        let (url, shutdown) = (SecretString::default(), Shutdown::default());
        let opened = open(&url, 1, &migrator, &shutdown).await;
        let error = opened.expect_err("no URL");
        let error = error.downcast_ref::<ConfigError>().expect("settings");
        assert!(error.to_string().contains("DATABASE_URL"), "{error}");
    }

    #[test]
    fn an_absent_postgres_is_logged_at_growing_intervals() {
        let started = Instant::now();
        let mut log = BackoffLog::new(started);
        let logged: Vec<u64> = (0..120)
            .map(|half| started + RETRY_INTERVAL * half)
            .filter(|now| log.is_due(*now))
            .map(|now| (now - started).as_secs())
            .collect();
        assert_eq!(logged, [0, 5, 15, 35]);
    }
}
