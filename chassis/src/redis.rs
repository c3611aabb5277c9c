//! Redis as an accelerator that is never required: one shared connection that
//! reconnects, responses within a fraction of a second, and `None` while Redis is unavailable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redis::{
    Client, Cmd, FromRedisValue, RedisError, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use secrecy::{ExposeSecret, SecretString};

/// Commands that failed because Redis was unavailable (counter).
pub const REDIS_UNREACHABLE_TOTAL: &str = "redis_unreachable_total";

/// The default time limit of a command; longer than any healthy Redis on the same
/// network needs.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(250);
/// The pause after a failure in which no command is sent, so that requests do not queue behind Redis.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);

/// A shared connection; cheap to clone. Belongs to the runtime on which it was made.
#[derive(Clone)]
pub struct Redis {
    manager: ConnectionManager,
    started: Instant,
    /// Milliseconds after `started` until which Redis is treated as unavailable.
    away_until: Arc<AtomicU64>,
    timeout: Duration,
}

impl Redis {
    /// A connection to `url` that opens on first use, with or without a running Redis. A command
    /// fails after `timeout`.
    ///
    /// # Errors
    /// Returns [`RedisError`] if `url` is not a Redis URL.
    pub fn lazy(url: &SecretString, timeout: Duration) -> Result<Self, RedisError> {
        let client = Client::open(url.expose_secret())?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout))
            .set_number_of_retries(1)
            .set_min_delay(Duration::from_millis(50));
        Ok(Self {
            manager: ConnectionManager::new_lazy_with_config(client, config)?,
            started: Instant::now(),
            away_until: Arc::new(AtomicU64::new(0)),
            timeout,
        })
    }

    /// Runs `command`; `None` if Redis is unavailable, too slow, or returns an error, which is logged.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let mut manager = self.manager.clone();
        self.guard(command.query_async(&mut manager)).await
    }

    /// Runs a script like [`Redis::run`] a command.
    pub async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Option<T> {
        let mut manager = self.manager.clone();
        self.guard(script.invoke_async(&mut manager)).await
    }

    async fn guard<T>(&self, response: impl Future<Output = Result<T, RedisError>>) -> Option<T> {
        if self.elapsed() < self.away_until.load(Ordering::Relaxed) {
            metrics::counter!(REDIS_UNREACHABLE_TOTAL).increment(1);
            return None;
        }
        let failure = match tokio::time::timeout(self.timeout, response).await {
            Ok(Ok(value)) => {
                if self.away_until.swap(0, Ordering::Relaxed) != 0 {
                    tracing::info!("Redis is available again");
                }
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no response in time".to_owned(),
        };
        metrics::counter!(REDIS_UNREACHABLE_TOTAL).increment(1);
        let until = self.elapsed() + millis(FAILURE_PAUSE);
        if self.away_until.swap(until, Ordering::Relaxed) == 0 {
            tracing::warn!(
                cause = failure,
                "Redis is unavailable, continuing without it"
            );
        }
        None
    }

    fn elapsed(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// The readiness check of Redis.
    ///
    /// # Errors
    /// Returns the text of the health report if Redis does not respond.
    pub async fn check(self) -> Result<(), String> {
        match self.run::<String>(&redis::cmd("PING")).await {
            Some(_) => Ok(()),
            None => Err("cannot be reached".to_owned()),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
