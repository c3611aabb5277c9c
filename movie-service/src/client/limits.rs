//! What keeps us a good guest of TMDB: a token bucket, and a breaker. Both know only time.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A token bucket: `rate` tokens a second, a tenth of a second's worth saved up at most, so that no
/// second sees noticeably more than `rate` calls.
#[derive(Debug)]
pub struct TokenBucket {
    rate: f64,
    capacity: f64,
    state: Mutex<Bucket>,
    /// Whose turn it is to wait.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Bucket {
    /// Negative while callers wait for tokens that are promised to them.
    tokens: f64,
    refilled: Instant,
}

impl TokenBucket {
    /// A full bucket of `rate` tokens a second.
    #[must_use]
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

    /// Waits for a token and takes it, each caller in turn; how long that took. A token counts from the
    /// moment in which it is taken: who wakes late finds no more than what may be saved up, so that
    /// callers who were all kept waiting do not come all at once.
    pub async fn take(&self) -> Duration {
        let began = Instant::now();
        let _turn = self.turn.lock().await;
        while self.reserve(Duration::ZERO).is_none() {
            tokio::time::sleep(Duration::from_secs_f64(1.0 / self.rate) / 4).await;
        }
        began.elapsed()
    }

    /// Promises a token and tells how long to wait for it; `None`, and no promise, where that is
    /// longer than `longest`.
    pub fn reserve(&self, longest: Duration) -> Option<Duration> {
        let mut bucket = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let gained = now.duration_since(bucket.refilled).as_secs_f64() * self.rate;
        bucket.tokens = (bucket.tokens + gained).min(self.capacity);
        bucket.refilled = now;
        let missing = (1.0 - bucket.tokens).max(0.0);
        let wait = Duration::from_secs_f64(missing / self.rate);
        if wait > longest {
            return None;
        }
        bucket.tokens -= 1.0;
        Some(wait)
    }
}

/// Whether TMDB may be asked. `Closed → Open` after so many failures one after another, `Open →
/// HalfOpen` after a while, then one probe decides: `→ Closed`, or `→ Open` again.
#[derive(Debug)]
pub struct Breaker {
    failures_to_open: u32,
    open_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Closed { failures: u32 },
    Open { until: Instant },
    HalfOpen { probe_until: Instant },
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// TMDB answered as it should, be it that there is no such film.
    Answered,
    /// TMDB did not answer, or answered nonsense.
    Failed,
    /// The call says nothing about TMDB's health: refused for its rate, or given up.
    Neither,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(failures_to_open: u32, open_for: Duration) -> Self {
        Self {
            failures_to_open: failures_to_open.max(1),
            open_for,
            state: Mutex::new(State::Closed { failures: 0 }),
        }
    }

    /// For how long nobody gets leave, if nobody does now.
    #[must_use]
    pub fn refuses_for(&self) -> Option<Duration> {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => None,
            State::Open { until } | State::HalfOpen { probe_until: until } => {
                Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
            }
        }
    }

    /// Asks for leave to call.
    ///
    /// # Errors
    /// How long the breaker stays open.
    pub fn enter(&self) -> Result<(), Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match *state {
            State::Closed { .. } => Ok(()),
            State::Open { until } | State::HalfOpen { probe_until: until } if now < until => {
                Err(until - now)
            }
            // A probe whose caller went away without a word does not keep the breaker half-open.
            State::Open { .. } | State::HalfOpen { .. } => {
                *state = State::HalfOpen {
                    probe_until: now + self.open_for,
                };
                Ok(())
            }
        }
    }

    /// Tells what became of a call that had leave.
    pub fn report(&self, outcome: Outcome) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let open = State::Open {
            until: Instant::now() + self.open_for,
        };
        *state = match (*state, outcome) {
            (State::Closed { .. } | State::HalfOpen { .. }, Outcome::Answered) => {
                State::Closed { failures: 0 }
            }
            (State::Closed { failures }, Outcome::Failed)
                if failures + 1 < self.failures_to_open =>
            {
                State::Closed {
                    failures: failures + 1,
                }
            }
            (State::Closed { .. } | State::HalfOpen { .. }, Outcome::Failed) => open,
            // The probe told nothing, so the next caller may probe.
            (State::HalfOpen { .. }, Outcome::Neither) => State::HalfOpen {
                probe_until: Instant::now(),
            },
            // A call that began before the breaker opened ends after it.
            (state, _) => state,
        };
    }

    /// 0 closed, 1 half-open, 2 open; as the metric shows it.
    #[must_use]
    pub fn level(&self) -> u8 {
        match *self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Closed { .. } => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_sees_more_than_the_rate_and_its_savings() {
        let bucket = TokenBucket::new(40.0);
        let mut admitted = Vec::new();
        let began = Instant::now();
        for _ in 0..200 {
            let wait = bucket.reserve(Duration::from_secs(60)).expect("patience");
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
            "no promise beyond patience"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_wakes_late_does_not_make_up_for_it() {
        let bucket = std::sync::Arc::new(TokenBucket::new(40.0));
        let takers = (0..60).map(|_| {
            let bucket = std::sync::Arc::clone(&bucket);
            tokio::spawn(async move {
                bucket.take().await;
                Instant::now()
            })
        });
        let takers: Vec<_> = takers.collect();
        // The process stands still three times a second.
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

    #[tokio::test(start_paused = true)]
    async fn the_breaker_opens_probes_once_and_closes() {
        let breaker = Breaker::new(5, Duration::from_secs(60));
        for _ in 0..4 {
            breaker.report(Outcome::Failed);
        }
        breaker.report(Outcome::Answered);
        for _ in 0..5 {
            assert!(
                breaker.enter().is_ok(),
                "an answer in between starts the count again"
            );
            breaker.report(Outcome::Failed);
        }
        assert_eq!(breaker.enter(), Err(Duration::from_secs(60)));
        assert_eq!(breaker.refuses_for(), Some(Duration::from_secs(60)));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(breaker.refuses_for(), None, "which is no probe yet");
        assert!(breaker.enter().is_ok(), "one probe");
        assert!(breaker.enter().is_err(), "and no second");
        breaker.report(Outcome::Failed);
        assert_eq!(breaker.level(), 2);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(breaker.enter().is_ok());
        breaker.report(Outcome::Neither);
        assert!(
            breaker.enter().is_ok(),
            "a probe that told nothing makes room for another"
        );
        breaker.report(Outcome::Answered);
        assert_eq!(breaker.level(), 0);
    }
}
