//! Redis as an accelerator that is never required: a pool of connections that replaces broken ones, responses within
//! a fraction of a second, and `None` while Redis is unavailable. One server, a Sentinel set or a Cluster.

mod config;
mod connection;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool::{
    Runtime,
    managed::{Pool, PoolError, Timeouts},
};
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, ScriptInvocation, ServerErrorKind};

pub use self::config::{RedisConfig, RedisMode};
use self::connection::{Connection, Manager};
use crate::{
    config::{ConfigError, Settings},
    health::NOT_CONFIGURED,
    metrics::{REDIS_REFUSED_TOTAL, REDIS_UNREACHABLE_TOTAL},
};

/// The pause after a failure in which no command is sent, so that requests do not queue behind Redis.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// The time limit of a connect, which takes several round trips with TLS, Sentinel or Cluster.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A pool of connections; cheap to clone. Belongs to the runtime on which it is first used.
///
/// Commands share connections: one is checked out for the moment in which a command is queued, not until its response.
/// Commands of many requests are therefore written together, as on a single connection. Commands that change the state
/// of a connection (`WATCH`, `SUBSCRIBE`, `SELECT`, blocking ones) must not be used.
#[derive(Clone)]
pub struct Redis {
    pool: Pool<Manager>,
    started: Instant,
    /// Milliseconds after `started` until which Redis is treated as unavailable.
    away_until: Arc<AtomicU64>,
    /// True if the latest failure was a refusal of the user or password.
    is_refused: Arc<AtomicBool>,
    timeout: Duration,
}

impl Redis {
    /// A pool that connects on first use, with or without a running Redis. A command fails after
    /// [`RedisConfig::redis_timeout_ms`].
    ///
    /// # Errors
    /// Returns [`ConfigError`] if a setting is invalid or a certificate cannot be read.
    pub fn lazy(config: &RedisConfig) -> Result<Self, ConfigError> {
        let timeout = Duration::from_millis(config.redis_timeout_ms);
        let pool = Pool::builder(Manager::new(config, timeout)?)
            .max_size(config.redis_max_connections)
            .timeouts(Timeouts {
                wait: Some(timeout),
                create: Some(CONNECT_TIMEOUT),
                recycle: Some(timeout),
            })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| ConfigError::Invalid(error.to_string()))?;
        Ok(Self {
            pool,
            started: Instant::now(),
            away_until: Arc::new(AtomicU64::new(0)),
            is_refused: Arc::default(),
            timeout,
        })
    }

    /// The pool of the process's settings; `None` if `REDIS_URL` is empty.
    ///
    /// # Errors
    /// As [`RedisConfig::read`].
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, ConfigError> {
        let config = RedisConfig::read(settings)?;
        config.as_ref().map(Self::lazy).transpose()
    }

    /// Runs `command`; `None` if Redis is unavailable, too slow, or returns an error, which is logged.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        self.guard(async {
            let mut connection = self.connection().await?;
            Ok(command.query_async(&mut connection).await?)
        })
        .await
    }

    /// Runs a script like [`Redis::run`] a command: by its hash, loading it if the server does not have it. All keys
    /// must share a hash tag, such as `{chart}`, so that a Cluster keeps them on one server.
    pub async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Option<T> {
        self.guard(async {
            let mut connection = self.connection().await?;
            Ok(script.invoke_async(&mut connection).await?)
        })
        .await
    }

    /// A connection of the pool. A new one is opened by a task of its own: if that takes longer than a command may, it
    /// serves later commands instead of being given up.
    #[expect(clippy::disallowed_methods, reason = "ends within CONNECT_TIMEOUT")]
    async fn connection(&self) -> Result<Connection, PoolError<RedisError>> {
        if self.pool.status().available > 0 {
            return Ok(self.pool.get().await?.clone());
        }
        let pool = self.pool.clone();
        match tokio::spawn(async move { pool.get().await }).await {
            Ok(connection) => Ok(connection?.clone()),
            // The runtime stops.
            Err(_) => Err(PoolError::Closed),
        }
    }

    async fn guard<T>(
        &self,
        response: impl Future<Output = Result<T, PoolError<RedisError>>>,
    ) -> Option<T> {
        if self.elapsed() < self.away_until.load(Ordering::Relaxed) {
            self.count_failure();
            return None;
        }
        let (failure, is_broken) = match tokio::time::timeout(self.timeout, response).await {
            Ok(Ok(value)) => {
                self.is_refused.store(false, Ordering::Relaxed);
                if self.away_until.swap(0, Ordering::Relaxed) != 0 {
                    tracing::info!("Redis is available again");
                }
                return Some(value);
            }
            Ok(Err(error)) => {
                self.is_refused.store(is_refusal(&error), Ordering::Relaxed);
                (error.to_string(), is_broken(&error))
            }
            Err(_) => ("no response in time".to_owned(), true),
        };
        if is_broken {
            self.pool
                .retain(|connection, _| connection.reconnects_itself());
        }
        self.count_failure();
        let until = self.elapsed() + millis(FAILURE_PAUSE);
        if self.away_until.swap(until, Ordering::Relaxed) == 0 {
            if self.is_refused.load(Ordering::Relaxed) {
                tracing::error!(
                    cause = failure,
                    "Redis refuses the user or password of REDIS_URL, continuing without it"
                );
            } else {
                tracing::warn!(
                    cause = failure,
                    "Redis is unavailable, continuing without it"
                );
            }
        }
        None
    }

    fn count_failure(&self) {
        metrics::counter!(REDIS_UNREACHABLE_TOTAL).increment(1);
        if self.is_refused.load(Ordering::Relaxed) {
            metrics::counter!(REDIS_REFUSED_TOTAL).increment(1);
        }
    }

    fn elapsed(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// The readiness check of Redis; of all masters of a Cluster.
    ///
    /// # Errors
    /// Returns the text of the health report if Redis does not respond.
    pub async fn check(self) -> Result<(), String> {
        match self.run::<String>(&redis::cmd("PING")).await {
            Some(_) => Ok(()),
            None if self.is_refused.load(Ordering::Relaxed) => {
                Err("refuses the user or password of REDIS_URL".to_owned())
            }
            None => Err("cannot be reached".to_owned()),
        }
    }

    /// As [`Redis::check`] of a Redis that may not be configured; `without` describes the service without one.
    ///
    /// # Errors
    /// Returns the text of the health report if Redis is not configured or does not respond.
    pub async fn check_optional(redis: Option<Self>, without: &'static str) -> Result<(), String> {
        match redis {
            Some(redis) => redis.check().await,
            None => Err(format!("{NOT_CONFIGURED}: {without}")),
        }
    }
}

/// True if Redis refuses the user or password, or requires one.
fn is_refusal(error: &PoolError<RedisError>) -> bool {
    match error {
        PoolError::Backend(error) => {
            error.kind() == ErrorKind::AuthenticationFailed
                || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
        }
        _ => false,
    }
}

/// True if other commands would fail on the same connection: it is lost, or its server is no longer the master.
fn is_broken(error: &PoolError<RedisError>) -> bool {
    match error {
        PoolError::Backend(error) => match error.kind() {
            ErrorKind::Server(kind) => matches!(
                kind,
                ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown
            ),
            ErrorKind::UnexpectedReturnType => false,
            _ => true,
        },
        _ => false,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
