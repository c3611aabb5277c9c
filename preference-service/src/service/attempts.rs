//! Limits of attempts, such as logins per account: a fixed window from the first attempt, counted in
//! Redis, or in this process while Redis is unavailable. Called by the services of logins and users.
//! Subjects are hashed, so that neither Redis nor memory holds names or addresses.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::redis::Redis;
use moka::{future::Cache, policy::EvictionPolicy};

use crate::{error::Error, models::SecretHash};

const SCRIPT: &str = include_str!("attempts.lua");
/// Windows counted in this process; one more evicts the least recently used.
const MAX_LOCAL_WINDOWS: u64 = 20_000;

/// Limits attempts of one kind per subject; cheap to clone.
#[derive(Clone)]
pub struct AttemptLimiter {
    kind: &'static str,
    limit: u64,
    window: Duration,
    redis: Option<Redis>,
    script: Arc<redis::Script>,
    local: Cache<String, Arc<Window>>,
}

/// A window that is counted in this process.
struct Window {
    started: Instant,
    count: AtomicU64,
}

impl AttemptLimiter {
    /// A limiter of `limit` attempts per window of `window_seconds`; `kind` is part of the Redis key.
    pub fn new(kind: &'static str, limit: u64, window_seconds: u64, redis: Option<Redis>) -> Self {
        let window = Duration::from_secs(window_seconds.max(1));
        Self {
            kind,
            limit,
            window,
            redis,
            script: Arc::new(redis::Script::new(SCRIPT)),
            local: Cache::builder()
                .max_capacity(MAX_LOCAL_WINDOWS)
                .eviction_policy(EvictionPolicy::lru())
                .time_to_live(window)
                .build(),
        }
    }

    /// Counts an attempt of `subject`. Call it before the attempt, so that concurrent attempts cannot
    /// exceed the limit.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if the limit of the window is exceeded.
    pub async fn acquire(&self, subject: &str) -> Result<(), Error> {
        self.count(subject).await.map(|_| ())
    }

    /// As [`AttemptLimiter::acquire`]; returns the attempts in the window.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if the limit of the window is exceeded.
    pub async fn count(&self, subject: &str) -> Result<u64, Error> {
        let (count, remaining) = self.add(subject, 1).await;
        if count <= self.limit {
            return Ok(count);
        }
        Err(too_many(remaining))
    }

    /// Counts an attempt; returns the attempts in the window beyond the limit.
    pub async fn count_beyond_limit(&self, subject: &str) -> u64 {
        self.add(subject, 1).await.0.saturating_sub(self.limit)
    }

    /// Checks that another attempt is within the limit, without counting one.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] if the limit of the window is reached.
    pub async fn check(&self, subject: &str) -> Result<(), Error> {
        let (count, remaining) = self.add(subject, 0).await;
        if count < self.limit {
            return Ok(());
        }
        Err(too_many(remaining))
    }

    /// Adds attempts; returns those in the window and the milliseconds until it ends.
    async fn add(&self, subject: &str, attempts: u64) -> (u64, u64) {
        let key = self.key(subject);
        let counted = match &self.redis {
            Some(redis) => {
                let mut call = self.script.prepare_invoke();
                call.key(&key).arg(millis(self.window)).arg(attempts);
                redis.invoke::<(u64, u64)>(&call).await
            }
            None => None,
        };
        match counted {
            Some(counted) => counted,
            None => self.add_locally(key, attempts).await,
        }
    }

    /// Forgets the attempts of `subject`, after one that succeeded.
    pub async fn reset(&self, subject: &str) {
        let key = self.key(subject);
        self.local.invalidate(&key).await;
        if let Some(redis) = &self.redis {
            let _: Option<u64> = redis.run(redis::cmd("DEL").arg(&key)).await;
        }
    }

    /// Returns the attempts in the window and the milliseconds until it ends.
    async fn add_locally(&self, key: String, attempts: u64) -> (u64, u64) {
        let new = async {
            Arc::new(Window {
                started: Instant::now(),
                count: AtomicU64::new(0),
            })
        };
        let window = self.local.get_with(key, new).await;
        let count = window.count.fetch_add(attempts, Ordering::Relaxed) + attempts;
        let remaining = self.window.saturating_sub(window.started.elapsed());
        (count, millis(remaining))
    }

    fn key(&self, subject: &str) -> String {
        let hash = SecretHash::of(subject.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(&hash.as_bytes()[..16]);
        format!("people:v1:attempts:{}:{hash}", self.kind)
    }
}

fn too_many(remaining: u64) -> Error {
    Error::TooManyAttempts(remaining.div_ceil(1000).max(1))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The subject of a client address: an IPv4 address, or an IPv6 /64 network, which is the smallest that
/// is assigned to one customer. The gateway's rate limits use the same.
pub fn client_subject(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{:x}/64", v6.to_bits() >> 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_window_starts_with_the_first_attempt_and_ends() {
        let mut limiter = AttemptLimiter::new("test", 2, 1, None);
        limiter.window = Duration::from_millis(50);
        limiter.local = Cache::builder().time_to_live(limiter.window).build();
        for subject in ["a", "b"] {
            limiter.acquire(subject).await.expect("the first");
            limiter.acquire(subject).await.expect("the second");
            let refused = limiter.acquire(subject).await;
            assert!(matches!(refused, Err(Error::TooManyAttempts(1))));
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
        for _ in 0..2 {
            limiter.acquire("a").await.expect("the first");
            limiter.acquire("a").await.expect("the second");
            limiter.reset("a").await;
        }
    }

    #[tokio::test]
    async fn the_number_of_local_windows_is_bounded() {
        let limiter = AttemptLimiter::new("test", 1, 600, None);
        for number in 0..MAX_LOCAL_WINDOWS + 2000 {
            let _ = limiter.acquire(&number.to_string()).await;
        }
        limiter.local.run_pending_tasks().await;
        assert!(limiter.local.entry_count() <= MAX_LOCAL_WINDOWS);
        // The newest are kept.
        let newest = (MAX_LOCAL_WINDOWS + 1999).to_string();
        assert!(limiter.acquire(&newest).await.is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let subject = |text: &str| client_subject(text.parse().expect("an address"));
        assert_eq!(subject("2001:db8:1:2::1"), subject("2001:db8:1:2:ffff::9"));
        assert_ne!(subject("2001:db8:1:2::1"), subject("2001:db8:1:3::1"));
        assert_eq!(subject("::ffff:1.2.3.4"), subject("1.2.3.4"));
    }
}
