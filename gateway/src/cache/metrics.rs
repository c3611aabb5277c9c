//! The metrics of the cache.

use std::cell::RefCell;

use metrics::Counter;

/// Requests for responses that may be stored, by route and result (counter).
const REQUESTS_TOTAL: &str = "cache_requests_total";
/// Responses that were removed to make room for others (counter).
const EVICTIONS_TOTAL: &str = "cache_evictions_total";
/// Removals after a change (counter).
const INVALIDATIONS_TOTAL: &str = "cache_invalidations_total";
/// Stored responses (gauge).
const ENTRIES: &str = "cache_entries";
/// The memory of the stored responses (gauge).
const STORED_BYTES: &str = "cache_stored_bytes";

/// Sets the help texts of this module's metrics.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        REQUESTS_TOTAL,
        "Requests for responses that the gateway may store, by route and result: hit, stale (a stale response: the \
         service failed, or it is being revalidated), collapsed (the response to another client's request), confirmed (the \
         service said that the stored response is current), stored, passed (forwarded, not stored), bypass (the request excludes a \
         stored response), failed"
    );
    metrics::describe_counter!(
        EVICTIONS_TOTAL,
        "Stored responses that were removed to make room for others"
    );
    metrics::describe_counter!(
        INVALIDATIONS_TOTAL,
        "Requests that changed something and so removed stored responses, by service"
    );
    metrics::describe_gauge!(ENTRIES, "Stored responses, those that are stale included");
    metrics::describe_gauge!(
        STORED_BYTES,
        metrics::Unit::Bytes,
        "Memory of the stored responses, at most CACHE_MAX_BYTES"
    );
}

/// The way in which a request was served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheResult {
    /// By a fresh stored response.
    Hit,
    /// By a stale one.
    Stale,
    /// By the response to another client's request.
    Collapsed,
    /// By a stored response that the service confirmed.
    Confirmed,
    /// By the service; the response is stored.
    Stored,
    /// By the service; the response is not stored.
    Passed,
    /// By the service, since the request excludes a stored response.
    Bypass,
    /// Not at all.
    Failed,
}

impl CacheResult {
    /// The number of results.
    const COUNT: usize = Self::Failed as usize + 1;

    /// Its name in metrics and log lines.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Collapsed => "collapsed",
            Self::Confirmed => "confirmed",
            Self::Stored => "stored",
            Self::Passed => "passed",
            Self::Bypass => "bypass",
            Self::Failed => "failed",
        }
    }
}

/// The counters of one thread, with cached handles.
pub(super) struct Results(RefCell<Vec<Option<Counter>>>);

impl Results {
    /// Counters for as many paths.
    pub(super) fn new(paths: usize) -> Self {
        let counters = (0..paths * CacheResult::COUNT).map(|_| None);
        Self(RefCell::new(counters.collect()))
    }

    /// Counts a request for `route`, whose path has the index `path`.
    pub(super) fn count(&self, path: usize, route: &'static str, result: CacheResult) {
        let mut counters = self.0.borrow_mut();
        if let Some(counter) = counters.get_mut(path * CacheResult::COUNT + result as usize) {
            let new =
                || metrics::counter!(REQUESTS_TOTAL, "route" => route, "result" => result.name());
            counter.get_or_insert_with(new).increment(1);
        }
    }
}

/// Counts an eviction.
pub(super) fn count_eviction() {
    metrics::counter!(EVICTIONS_TOTAL).increment(1);
}

/// Counts a request that changed something at `service`.
pub(super) fn count_invalidation(service: &'static str) {
    metrics::counter!(INVALIDATIONS_TOTAL, "service" => service).increment(1);
}

/// Sets the gauges.
pub(super) fn set_size((entries, bytes): (usize, u64)) {
    metrics::gauge!(ENTRIES).set(entries as f64);
    metrics::gauge!(STORED_BYTES).set(bytes as f64);
}
