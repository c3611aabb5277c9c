//! The client-side rate limit for TMDB: a token bucket. Used by [`super::tmdb`] and for reads of unknown movies. It measures
//! time; it never sends anything.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A token bucket: `rate` tokens a second, and a burst of a tenth of a second's worth, so that no second sees
/// noticeably more than `rate` calls.
///
/// `governor` has no reservations, which [`TokenBucket::reserve`] needs to refuse immediately instead of after a wait.
#[derive(Debug)]
pub struct TokenBucket {
    rate: f64,
    capacity: f64,
    state: Mutex<Bucket>,
    /// Held by the caller whose turn it is, first come first served.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    /// Negative while reserved tokens are outstanding.
    tokens: f64,
    refilled: Instant,
}

impl TokenBucket {
    /// A full bucket of `rate` tokens a second.
    pub fn new(rate: f64) -> Self {
        let rate = rate.max(0.001);
        let capacity = (rate / 10.0).max(1.0);
        Self {
            rate,
            capacity,
            state: Mutex::new(Bucket {
                tokens: capacity,
                refilled: Instant::now(),
            }),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for a token and takes it, in the order of calls; returns the time waited. A token counts from the moment
    /// at which it is taken, so that callers that wake late do not exceed the burst.
    pub async fn take(&self) -> Duration {
        let began = Instant::now();
        let _turn = self.turn.lock().await;
        while self.reserve(Duration::ZERO).is_none() {
            tokio::time::sleep(Duration::from_secs_f64(1.0 / self.rate) / 4).await;
        }
        began.elapsed()
    }

    /// Reserves a token and returns the time until it may be used; `None`, without a reservation, if that is longer
    /// than `max_delay`.
    pub fn reserve(&self, max_delay: Duration) -> Option<Duration> {
        let mut bucket = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(bucket.refilled).as_secs_f64() * self.rate;
        bucket.tokens = (bucket.tokens + gained).min(self.capacity);
        bucket.refilled = now;
        let missing = (1.0 - bucket.tokens).max(0.0);
        let wait = Duration::from_secs_f64(missing / self.rate);
        if wait > max_delay {
            return None;
        }
        bucket.tokens -= 1.0;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_exceeds_the_rate_and_the_burst() {
        let bucket = TokenBucket::new(40.0);
        let mut admitted = Vec::new();
        let began = Instant::now();
        for _ in 0..200 {
            let wait = bucket
                .reserve(Duration::from_secs(60))
                .expect("within the limit");
            admitted.push(began.elapsed() + wait);
        }
        for (first, at) in admitted.iter().enumerate() {
            let within = admitted[first..]
                .iter()
                .take_while(|later| **later < *at + Duration::from_secs(1))
                .count();
            assert!(within <= 45, "{within} in the second after {at:?}");
        }
        assert!(admitted[199] > Duration::from_millis(4800));
        assert!(
            bucket.reserve(Duration::from_secs(1)).is_none(),
            "no reservation beyond the limit"
        );
    }

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods, reason = "a test has no shutdown")]
    async fn late_wakers_do_not_exceed_the_burst() {
        let bucket = std::sync::Arc::new(TokenBucket::new(40.0));
        let takers = (0..60).map(|_| {
            let bucket = std::sync::Arc::clone(&bucket);
            tokio::spawn(async move {
                bucket.take().await;
                Instant::now()
            })
        });
        let takers: Vec<_> = takers.collect();
        // The process is suspended three times a second.
        while takers.iter().any(|taker| !taker.is_finished()) {
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            tokio::time::advance(Duration::from_millis(300)).await;
        }
        let taken = futures_util::future::join_all(takers).await;
        let taken: Vec<Instant> = taken.into_iter().map(|at| at.expect("no panic")).collect();
        for at in &taken {
            let within = taken
                .iter()
                .filter(|later| (*at..*at + Duration::from_secs(1)).contains(later));
            assert!(within.count() <= 45);
        }
    }
}
