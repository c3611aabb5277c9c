//! Redis as something that makes things fast and is never needed: one connection that is shared and
//! reopens itself, an answer within a fraction of a second, and `None` where there is no Redis.

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

/// Commands that found no Redis (counter).
pub const REDIS_UNREACHABLE_TOTAL: &str = "redis_unreachable_total";

/// How long a command may take where nothing else is said; longer than any healthy Redis on the same
/// network needs.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_millis(250);
/// After a failure, for how long Redis is not asked at all, so that requests do not queue behind it.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// A shared connection; cheap to clone. Belongs to the runtime on which it was made.
#[derive(Clone)]
pub struct Redis {
    manager: ConnectionManager,
    started: Instant,
    /// Milliseconds after `started` until which Redis is taken to be away.
    away_until: Arc<AtomicU64>,
    timeout: Duration,
}

impl Redis {
    /// A connection to `url` that opens when first used; needs no Redis to be there. A command that
    /// is not answered within `timeout` finds no Redis.
    ///
    /// # Errors
    /// A URL that is not one of Redis.
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

    /// Runs `command`; `None` where Redis is away or slow, or answers an error, which is logged.
    pub async fn run<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let mut manager = self.manager.clone();
        self.guard(command.query_async(&mut manager)).await
    }

    /// Runs a script as [`Redis::run`] runs a command.
    pub async fn invoke<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Option<T> {
        let mut manager = self.manager.clone();
        self.guard(script.invoke_async(&mut manager)).await
    }

    async fn guard<T>(&self, answer: impl Future<Output = Result<T, RedisError>>) -> Option<T> {
        if self.elapsed() < self.away_until.load(Ordering::Relaxed) {
            metrics::counter!(REDIS_UNREACHABLE_TOTAL).increment(1);
            return None;
        }
        let failure = match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(value)) => {
                if self.away_until.swap(0, Ordering::Relaxed) != 0 {
                    tracing::info!("Redis is back");
                }
                return Some(value);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        metrics::counter!(REDIS_UNREACHABLE_TOTAL).increment(1);
        let until = self.elapsed() + millis(PAUSE_AFTER_FAILURE);
        if self.away_until.swap(until, Ordering::Relaxed) == 0 {
            tracing::warn!(cause = failure, "Redis is away, going on without it");
        }
        None
    }

    fn elapsed(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// Whether Redis answers, for the readiness report.
    ///
    /// # Errors
    /// Why it does not.
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
