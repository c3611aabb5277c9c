//! Metrics and log lines of finished requests. One [`AccessLog`] per thread, called by [`crate::pipeline`].

use std::{
    cell::RefCell,
    net::IpAddr,
    time::{Duration, Instant},
};

use chassis::{
    metrics::{
        HTTP_REQUEST_DURATION_SECONDS, HTTP_REQUESTS_IN_FLIGHT, HTTP_REQUESTS_TOTAL, METHOD_LABELS,
    },
    trace::TraceContext,
};
use hyper::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};

use crate::config::AccessLogMode;

/// The status of requests whose client closed the connection before the response (nginx's convention).
const CLIENT_CLOSED_REQUEST: u16 = 499;
/// The `route` label of paths that match no route.
const UNMATCHED: &str = "unmatched";

/// The metrics of one thread, and the choice of the requests to log. Handles of metrics are cached: finding
/// one by its labels costs more than everything else here.
pub(crate) struct AccessLog {
    in_flight: Gauge,
    /// Indexed by path, then by method; the last index is for paths that match no route.
    series: RefCell<Vec<Option<Series>>>,
    patterns: Vec<&'static str>,
    mode: AccessLogMode,
    slow: Duration,
    /// The share of the requests with neither failure nor slowness that are logged, 0 to 1.
    sample: f64,
}

struct Series {
    duration: Histogram,
    by_status: Vec<(u16, Counter)>,
}

/// A request in flight. Dropped before [`Entry::finish`], it counts as closed by the client.
pub(crate) struct Entry<'a> {
    log: &'a AccessLog,
    started: Instant,
    series: usize,
    is_finished: bool,
}

/// The result of a request, as it is logged.
pub(crate) struct Outcome<'a> {
    pub(crate) trace: &'a TraceContext,
    pub(crate) client: IpAddr,
    pub(crate) status: StatusCode,
    /// True if a service, not the gateway, is the origin of a failure.
    pub(crate) is_upstream_failure: bool,
    pub(crate) cause: Option<&'a str>,
    /// The way in which the cache served it; `None`: the route has none.
    pub(crate) cache: Option<&'static str>,
}

impl AccessLog {
    /// An access log of requests for the paths `patterns`; those that take at least `slow` are slow. Of those that are
    /// logged without failure or slowness, `sample_percent` of a hundred are, at random.
    pub(crate) fn new(
        patterns: Vec<&'static str>,
        mode: AccessLogMode,
        slow: Duration,
        sample_percent: f64,
    ) -> Self {
        let series = (patterns.len() + 1) * METHOD_LABELS.len();
        Self {
            in_flight: metrics::gauge!(HTTP_REQUESTS_IN_FLIGHT),
            series: RefCell::new((0..series).map(|_| None).collect()),
            patterns,
            mode,
            slow,
            sample: sample_percent / 100.0,
        }
    }

    /// Begins the entry of a request for the path with the index `path`; `None`: it matches no route.
    pub(crate) fn begin(
        &self,
        started: Instant,
        method: &Method,
        path: Option<usize>,
    ) -> Entry<'_> {
        self.in_flight.increment(1.0);
        let path = path.unwrap_or(self.patterns.len());
        let method = METHOD_LABELS
            .iter()
            .position(|name| *name == method.as_str());
        Entry {
            log: self,
            started,
            series: path * METHOD_LABELS.len() + method.unwrap_or(METHOD_LABELS.len() - 1),
            is_finished: false,
        }
    }
}

impl Entry<'_> {
    fn method(&self) -> &'static str {
        METHOD_LABELS[self.series % METHOD_LABELS.len()]
    }

    fn route(&self) -> &'static str {
        let path = self.series / METHOD_LABELS.len();
        self.log.patterns.get(path).copied().unwrap_or(UNMATCHED)
    }

    fn record(&self, status: u16, elapsed: Duration) {
        self.log.in_flight.decrement(1.0);
        let (method, route) = (self.method(), self.route());
        let mut series = self.log.series.borrow_mut();
        let series = series[self.series].get_or_insert_with(|| Series {
            duration: metrics::histogram!(HTTP_REQUEST_DURATION_SECONDS, "method" => method, "route" => route),
            by_status: Vec::new(),
        });
        series.duration.record(elapsed.as_secs_f64());
        match series.by_status.iter().find(|(known, _)| *known == status) {
            Some((_, counter)) => counter.increment(1),
            None => {
                let counter = metrics::counter!(HTTP_REQUESTS_TOTAL, "method" => method, "route" => route, "status" => status.to_string());
                counter.increment(1);
                series.by_status.push((status, counter));
            }
        }
    }

    /// Counts the request and logs it if the mode requires so.
    pub(crate) fn finish(mut self, outcome: &Outcome<'_>) {
        self.is_finished = true;
        let elapsed = self.started.elapsed();
        self.record(outcome.status.as_u16(), elapsed);
        let is_failure = outcome.status.is_server_error();
        let is_notable = is_failure || elapsed >= self.log.slow;
        let is_logged = match self.log.mode {
            // The end of a WebSocket is logged, too.
            AccessLogMode::All if outcome.status == StatusCode::SWITCHING_PROTOCOLS => true,
            AccessLogMode::All => is_notable || rand::random::<f64>() < self.log.sample,
            AccessLogMode::Errors => is_notable,
            AccessLogMode::None => false,
        };
        if !is_logged {
            return;
        }
        let (method, route) = (self.method(), self.route());
        let status = outcome.status.as_u16();
        let duration_ms = elapsed.as_secs_f64() * 1000.0;
        let Outcome {
            client,
            cause,
            cache,
            ..
        } = outcome;
        let request_id = &outcome.trace.request_id;
        let trace_id = outcome.trace.trace_id();
        if outcome.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id, trace_id, method, route, status, duration_ms, %client, cause, cache, "request failed");
        } else if is_failure && outcome.is_upstream_failure {
            tracing::warn!(request_id, trace_id, method, route, status, duration_ms, %client, cause, cache, "upstream request failed");
        } else if is_failure {
            tracing::warn!(request_id, trace_id, method, route, status, duration_ms, %client, cause, cache, "request not served");
        } else {
            tracing::info!(request_id, trace_id, method, route, status, duration_ms, %client, cache, "request served");
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            self.record(CLIENT_CLOSED_REQUEST, self.started.elapsed());
        }
    }
}
