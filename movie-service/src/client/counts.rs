//! The requests to a host since the start of the process. Used by the clients of TMDB and of its image host.

use std::sync::atomic::{AtomicU64, Ordering};

use chassis::breaker::Breaker;

use crate::models::{Circuit, HostState};

/// The requests to one host.
#[derive(Debug, Default)]
pub(super) struct RequestCounts {
    requests: AtomicU64,
    failures: AtomicU64,
}

impl RequestCounts {
    /// Counts a request that was sent; `is_valid` if its response was, also 404.
    pub(super) fn add(&self, is_valid: bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        if !is_valid {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The state of the host behind `breaker`.
    pub(super) fn state(&self, breaker: &Breaker) -> HostState {
        HostState {
            circuit: Circuit::of_level(breaker.level()),
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}
