//! How often something may be tried: a fixed window that begins with the first attempt, counted in
//! Redis, or, while that is away, here. What is counted is known by a hash, since names are nobody
//! else's business.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::redis::Redis;

use crate::models::SecretHash;

const SCRIPT: &str = include_str!("attempts.lua");
/// Counts kept here at most, while Redis is away; beyond that the oldest are forgotten.
const LOCAL_COUNTS: usize = 20_000;

/// Too often; again after so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts")]
pub struct TooMany {
    /// Seconds until the window ends, at least one.
    pub retry_after: u64,
}

/// Counts attempts of one kind; cheap to clone.
#[derive(Clone)]
pub struct Attempts {
    kind: &'static str,
    limit: u64,
    window: Duration,
    redis: Option<Redis>,
    script: Arc<redis::Script>,
    local: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    by_key: HashMap<String, (u64, Instant)>,
    /// Keys in the order in which their windows end.
    begun: VecDeque<(String, Instant)>,
}

impl Attempts {
    /// At most `limit` attempts in each window of `window_seconds`.
    #[must_use]
    pub fn new(kind: &'static str, limit: u64, window_seconds: u64, redis: Option<Redis>) -> Self {
        Self {
            kind,
            limit,
            window: Duration::from_secs(window_seconds.max(1)),
            redis,
            script: Arc::new(redis::Script::new(SCRIPT)),
            local: Arc::default(),
        }
    }

    /// Counts one attempt for `subject`, before it is made, so that many at once are no way around.
    ///
    /// # Errors
    /// There were too many.
    pub async fn take(&self, subject: &str) -> Result<(), TooMany> {
        let key = self.key(subject);
        let window = u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX);
        let counted = match &self.redis {
            Some(redis) => {
                let mut call = self.script.prepare_invoke();
                call.key(&key).arg(window);
                redis.invoke::<(u64, u64)>(&call).await
            }
            None => None,
        };
        let (count, left) = counted.unwrap_or_else(|| {
            let (count, left) = self.counts().take(&key, Instant::now(), self.window);
            (count, u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
        });
        if count <= self.limit {
            return Ok(());
        }
        Err(TooMany {
            retry_after: left.div_ceil(1000).max(1),
        })
    }

    /// Forgets the attempts for `subject`, the last of which succeeded.
    pub async fn forgive(&self, subject: &str) {
        let key = self.key(subject);
        self.counts().by_key.remove(&key);
        if let Some(redis) = &self.redis {
            let _: Option<u64> = redis.run(redis::cmd("DEL").arg(&key)).await;
        }
    }

    fn key(&self, subject: &str) -> String {
        let hash = SecretHash::of(subject.as_bytes());
        let hash = URL_SAFE_NO_PAD.encode(&hash.as_bytes()[..16]);
        format!("people:v1:attempts:{}:{hash}", self.kind)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A count is never half written, so a panic elsewhere does not spoil it.
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// The number of this attempt in its window, and how long that still runs.
    fn take(&mut self, key: &str, now: Instant, window: Duration) -> (u64, Duration) {
        self.make_room(now);
        let counted = self.by_key.get_mut(key).filter(|(_, ends)| *ends > now);
        if let Some((count, ends)) = counted {
            *count += 1;
            return (*count, *ends - now);
        }
        let ends = now + window;
        self.by_key.insert(key.to_owned(), (1, ends));
        self.begun.push_back((key.to_owned(), ends));
        (1, window)
    }

    /// Forgets windows that have ended, and, if that is not enough, the oldest.
    fn make_room(&mut self, now: Instant) {
        while let Some((key, ends)) = self.begun.front() {
            if *ends > now && self.begun.len() < LOCAL_COUNTS {
                return;
            }
            if self.by_key.get(key).is_some_and(|(_, own)| own == ends) {
                self.by_key.remove(key);
            }
            self.begun.pop_front();
        }
    }
}

/// Who is counted as one client: an IPv4 address, or an IPv6 network of 64 bits, since a household has
/// that many addresses. As the gateway counts them.
#[must_use]
pub fn client_subject(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{:x}/64", v6.to_bits() >> 64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_begins_with_the_first_attempt_and_ends() {
        let mut counts = Counts::default();
        let (start, window) = (Instant::now(), Duration::from_secs(10));
        assert_eq!(counts.take("a", start, window), (1, window));
        let later = start + Duration::from_secs(4);
        assert_eq!(counts.take("a", later, window), (2, Duration::from_secs(6)));
        assert_eq!(counts.take("b", later, window), (1, window));
        assert_eq!(counts.take("a", start + window, window), (1, window));
    }

    #[test]
    fn what_is_remembered_stays_within_bounds() {
        let mut counts = Counts::default();
        let now = Instant::now();
        for number in 0..3 * LOCAL_COUNTS {
            counts.take(&number.to_string(), now, Duration::from_secs(10));
        }
        assert!(counts.by_key.len() <= LOCAL_COUNTS && counts.begun.len() <= LOCAL_COUNTS);
    }

    #[test]
    fn a_household_is_one_client() {
        let subject = |text: &str| client_subject(text.parse().expect("an address"));
        assert_eq!(subject("2001:db8:1:2::1"), subject("2001:db8:1:2:ffff::9"));
        assert_ne!(subject("2001:db8:1:2::1"), subject("2001:db8:1:3::1"));
        assert_eq!(subject("::ffff:1.2.3.4"), subject("1.2.3.4"));
    }
}
