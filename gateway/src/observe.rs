//! What is known about a request afterwards: numbers by route, and a line in the log.

use std::{
    cell::RefCell,
    net::IpAddr,
    time::{Duration, Instant},
};

use chassis::metrics::{
    HTTP_REQUEST_DURATION_SECONDS, HTTP_REQUESTS_IN_FLIGHT, HTTP_REQUESTS_TOTAL,
};
use hyper::{Method, StatusCode};
use metrics::{Counter, Gauge, Histogram};

use crate::config::AccessLog;

/// The status under which a request is counted whose client went away before the answer.
const CLIENT_GONE: u16 = 499;
/// The label of paths that are not in the table.
const UNMATCHED: &str = "unmatched";
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];

fn method_index(method: &Method) -> usize {
    METHODS
        .iter()
        .position(|name| *name == method.as_str())
        .unwrap_or(METHODS.len() - 1)
}

/// Numbers, with the handles of those that were used: looking one up by its labels costs more than
/// everything else here.
pub struct Observer {
    in_flight: Gauge,
    /// By path of the table, the last for what is not in it, and then by method.
    rows: RefCell<Vec<Option<Row>>>,
    patterns: Vec<&'static str>,
    log: AccessLog,
    slow: Duration,
}

struct Row {
    duration: Histogram,
    by_status: Vec<(u16, Counter)>,
}

/// A request that is being counted.
pub struct Observed<'a> {
    observer: &'a Observer,
    started: Instant,
    row: usize,
    finished: bool,
}

impl Observer {
    /// For the paths `patterns`.
    #[must_use]
    pub fn new(patterns: Vec<&'static str>, log: AccessLog, slow: Duration) -> Self {
        let rows = (patterns.len() + 1) * METHODS.len();
        Self {
            in_flight: metrics::gauge!(HTTP_REQUESTS_IN_FLIGHT),
            rows: RefCell::new((0..rows).map(|_| None).collect()),
            patterns,
            log,
            slow,
        }
    }

    /// Begins to count a request for the table's path `path`.
    pub fn begin(&self, started: Instant, method: &Method, path: Option<usize>) -> Observed<'_> {
        self.in_flight.increment(1.0);
        let path = path.unwrap_or(self.patterns.len());
        Observed {
            observer: self,
            started,
            row: path * METHODS.len() + method_index(method),
            finished: false,
        }
    }

    fn route(&self, row: usize) -> &'static str {
        let path = row / METHODS.len();
        self.patterns.get(path).copied().unwrap_or(UNMATCHED)
    }

    fn record(&self, row: usize, status: u16, elapsed: Duration) {
        self.in_flight.decrement(1.0);
        let route = self.route(row);
        let method = METHODS[row % METHODS.len()];
        let mut rows = self.rows.borrow_mut();
        let numbers = rows[row].get_or_insert_with(|| Row {
            duration: metrics::histogram!(HTTP_REQUEST_DURATION_SECONDS, "method" => method, "route" => route),
            by_status: Vec::new(),
        });
        numbers.duration.record(elapsed.as_secs_f64());
        let known = numbers.by_status.iter().find(|(known, _)| *known == status);
        match known {
            Some((_, counter)) => counter.increment(1),
            None => {
                let counter = metrics::counter!(HTTP_REQUESTS_TOTAL, "method" => method, "route" => route, "status" => status.to_string());
                counter.increment(1);
                numbers.by_status.push((status, counter));
            }
        }
    }
}

/// What the log says about a request.
pub struct Line<'a> {
    /// Its id.
    pub request_id: &'a str,
    /// Its trace.
    pub trace_id: &'a str,
    /// Who sent it.
    pub client: IpAddr,
    /// What became of it.
    pub status: StatusCode,
    /// Why, where it failed by our fault or an upstream's.
    pub cause: Option<&'a str>,
}

impl Observed<'_> {
    /// Counts the request and writes its line, if it is to have one.
    pub fn finish(mut self, line: &Line<'_>) {
        self.finished = true;
        let elapsed = self.started.elapsed();
        let observer = self.observer;
        observer.record(self.row, line.status.as_u16(), elapsed);
        let failed = line.status.is_server_error();
        let wanted = match observer.log {
            AccessLog::All => true,
            AccessLog::Errors => failed || elapsed >= observer.slow,
            AccessLog::None => false,
        };
        if !wanted {
            return;
        }
        let method = METHODS[self.row % METHODS.len()];
        let route = observer.route(self.row);
        let status = line.status.as_u16();
        let duration_ms = elapsed.as_secs_f64() * 1000.0;
        let Line {
            request_id,
            trace_id,
            client,
            cause,
            ..
        } = line;
        if line.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id, trace_id, method, route, status, duration_ms, %client, cause, "failed");
        } else if failed {
            tracing::warn!(request_id, trace_id, method, route, status, duration_ms, %client, cause, "not answered");
        } else {
            tracing::info!(request_id, trace_id, method, route, status, duration_ms, %client, "answered");
        }
    }
}

impl Drop for Observed<'_> {
    fn drop(&mut self) {
        if !self.finished {
            let elapsed = self.started.elapsed();
            self.observer.record(self.row, CLIENT_GONE, elapsed);
        }
    }
}
