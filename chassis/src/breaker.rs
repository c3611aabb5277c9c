//! A circuit breaker for calls of a service that may fail for a while. Clients of services outside of the platform use it;
//! it measures outcomes and never sends anything.
//!
//! A response that is broken for one resource says little about the service. Such failures are counted by resource, each
//! once, so that only those of several resources open the breaker.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A circuit breaker: `Closed → Open` after a number of consecutive failures, `Open → HalfOpen` after a while; one probe
/// then decides between `Closed` and `Open`.
#[derive(Debug)]
pub struct Breaker {
    failures_to_open: u32,
    open_for: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// The number of failures of the service since the last success, and the resources that failed since.
    Closed {
        failures: u32,
        resources: Vec<u64>,
    },
    Open {
        until: Instant,
    },
    HalfOpen {
        probe_until: Instant,
    },
}

impl State {
    const CLOSED: Self = Self::Closed {
        failures: 0,
        resources: Vec::new(),
    };

    fn refuses_for(&self) -> Option<Duration> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { until } | Self::HalfOpen { probe_until: until } => {
                Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
            }
        }
    }
}

/// The outcome of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The service responded as documented, including 404.
    Success,
    /// No response of the service.
    Failure,
    /// No valid response for the resource with this hash; others may be well.
    FailureOf(u64),
    /// No information about the service's health: rate limited, or given up.
    Neutral,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(failures_to_open: u32, open_for: Duration) -> Self {
        Self {
            failures_to_open: failures_to_open.max(1),
            open_for,
            state: Mutex::new(State::CLOSED),
        }
    }

    /// The time until the next call is admitted; `None` if one is admitted now.
    pub fn refuses_for(&self) -> Option<Duration> {
        self.lock().refuses_for()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a call.
    ///
    /// # Errors
    /// Returns the time until the next call is admitted, if the breaker is open.
    pub fn enter(&self) -> Result<(), Duration> {
        let mut state = self.lock();
        if let Some(left) = state.refuses_for() {
            return Err(left);
        }
        if !matches!(*state, State::Closed { .. }) {
            // A probe that was never reported does not keep the breaker half-open.
            let probe_until = Instant::now() + self.open_for;
            *state = State::HalfOpen { probe_until };
        }
        Ok(())
    }

    /// Reports the outcome of an admitted call.
    pub fn report(&self, outcome: Outcome) {
        let mut state = self.lock();
        let is_open = match (&mut *state, outcome) {
            // The call began before the breaker opened.
            (State::Open { .. }, _) => return,
            (_, Outcome::Success) => {
                *state = State::CLOSED;
                return;
            }
            (State::Closed { .. }, Outcome::Neutral) => return,
            (State::HalfOpen { probe_until }, Outcome::Neutral) => {
                // The next call may probe.
                *probe_until = Instant::now();
                return;
            }
            (State::HalfOpen { .. }, Outcome::Failure | Outcome::FailureOf(_)) => true,
            (
                State::Closed {
                    failures,
                    resources,
                },
                failure,
            ) => {
                match failure {
                    Outcome::FailureOf(resource) if resources.contains(&resource) => {}
                    Outcome::FailureOf(resource) => resources.push(resource),
                    _ => *failures += 1,
                }
                let resources = u32::try_from(resources.len()).unwrap_or(u32::MAX);
                failures.saturating_add(resources) >= self.failures_to_open
            }
        };
        if is_open {
            let until = Instant::now() + self.open_for;
            *state = State::Open { until };
        }
    }

    /// A report of an admitted call that is sent when it is dropped, so that a call whose future is dropped is reported too.
    pub fn report_later(&self) -> Report<'_> {
        Report {
            breaker: self,
            outcome: Outcome::Neutral,
        }
    }

    /// The state as the metric shows it: 0 closed, 1 half-open, 2 open.
    pub fn level(&self) -> u8 {
        match *self.lock() {
            State::Closed { .. } => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }
}

/// A report that is sent when it is dropped.
#[derive(Debug)]
pub struct Report<'a> {
    breaker: &'a Breaker,
    /// The outcome; neutral until it is known.
    pub outcome: Outcome,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        self.breaker.report(self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_one_resource_count_once() {
        let breaker = Breaker::new(3, Duration::from_secs(60));
        for _ in 0..20 {
            breaker.report(Outcome::FailureOf(1));
        }
        breaker.report(Outcome::FailureOf(2));
        assert_eq!(breaker.level(), 0);
        breaker.report(Outcome::Success);
        breaker.report(Outcome::FailureOf(3));
        breaker.report(Outcome::Failure);
        assert_eq!(breaker.level(), 0, "a success restarts the count");
        breaker.report(Outcome::FailureOf(4));
        assert_eq!(breaker.level(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn breaker_opens_probes_once_and_closes() {
        let breaker = Breaker::new(5, Duration::from_secs(60));
        for _ in 0..4 {
            breaker.report(Outcome::Failure);
        }
        breaker.report(Outcome::Success);
        for _ in 0..5 {
            assert!(breaker.enter().is_ok(), "a success restarts the count");
            breaker.report(Outcome::Failure);
        }
        assert_eq!(breaker.enter(), Err(Duration::from_secs(60)));
        assert_eq!(breaker.refuses_for(), Some(Duration::from_secs(60)));
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(breaker.refuses_for(), None, "no probe yet");
        assert!(breaker.enter().is_ok(), "one probe");
        assert!(breaker.enter().is_err(), "no second probe");
        breaker.report(Outcome::Failure);
        assert_eq!(breaker.level(), 2);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(breaker.enter().is_ok());
        breaker.report(Outcome::Neutral);
        assert!(breaker.enter().is_ok(), "a neutral probe admits another");
        breaker.report(Outcome::Success);
        assert_eq!(breaker.level(), 0);
    }
}
