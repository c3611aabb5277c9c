//! The metrics of the requests to one group of instances of a service, with cached handles. Recorded by
//! [`super::forward`].

use std::time::{Duration, Instant};

use hyper::StatusCode;
use metrics::{Counter, Histogram, Unit};

use crate::routes::Service;

/// Requests to services, by service, group and result (counter).
const REQUESTS_TOTAL: &str = "upstream_requests_total";
/// Time from the choice of an instance to the head of its response, by service and group (histogram, seconds).
const DURATION_SECONDS: &str = "upstream_request_duration_seconds";
/// Requests that were sent again, by service, group and reason (counter).
const RETRIES_TOTAL: &str = "upstream_retries_total";
/// Retries that were not sent, since the budget was used up, by service and group (counter).
const RETRIES_REFUSED_TOTAL: &str = "upstream_retries_refused_total";

/// The values of `result`.
const RESULTS: [&str; 7] = ["1xx", "2xx", "3xx", "4xx", "5xx", "failed", "cancelled"];
const FAILED: usize = 5;
const CANCELLED: usize = 6;

/// Sets the help texts of this module's metrics.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        REQUESTS_TOTAL,
        "Requests to services by service, group of instances and result: the class of the status, failed (no usable \
         response) or cancelled (the time limit or the client ended it)"
    );
    metrics::describe_histogram!(
        DURATION_SECONDS,
        Unit::Seconds,
        "Time until the head of a service's response, by service and group, while routes to groups are in force"
    );
    metrics::describe_counter!(
        RETRIES_TOTAL,
        "Requests that were sent again, by service, group and reason: connect (no connection), reused (an idle \
         connection had been closed), failed (no usable response), refused (503, while there is another instance)"
    );
    metrics::describe_counter!(
        RETRIES_REFUSED_TOTAL,
        "Requests that were not sent again because the retry budget (0.18 per request and thread) was used up"
    );
}

/// The metrics of one group of instances in one thread.
pub(super) struct UpstreamMetrics {
    service: &'static str,
    group: String,
    /// In the order of [`RESULTS`].
    requests: [Counter; RESULTS.len()],
    duration: Histogram,
}

impl UpstreamMetrics {
    pub(super) fn new(service: Service, group: &str) -> Self {
        let (service, group) = (service.name(), group.to_owned());
        Self {
            requests: RESULTS.map(|result| {
                metrics::counter!(REQUESTS_TOTAL, "service" => service, "group" => group.clone(), "result" => result)
            }),
            duration: metrics::histogram!(DURATION_SECONDS, "service" => service, "group" => group.clone()),
            service,
            group,
        }
    }

    /// Begins a request, which counts as cancelled until its result is recorded.
    pub(super) fn begin(&self, with_duration: bool) -> RequestRecord<'_> {
        RequestRecord {
            metrics: self,
            started: with_duration.then(Instant::now),
            result: CANCELLED,
        }
    }

    /// Counts a retry.
    pub(super) fn count_retry(&self, reason: &'static str) {
        let (service, group) = (self.service, self.group.clone());
        metrics::counter!(RETRIES_TOTAL, "service" => service, "group" => group, "reason" => reason)
            .increment(1);
    }

    /// Counts a retry that the budget did not permit.
    pub(super) fn count_refused_retry(&self) {
        let (service, group) = (self.service, self.group.clone());
        metrics::counter!(RETRIES_REFUSED_TOTAL, "service" => service, "group" => group)
            .increment(1);
    }
}

/// A request whose result is not known; recorded when dropped.
pub(super) struct RequestRecord<'a> {
    metrics: &'a UpstreamMetrics,
    started: Option<Instant>,
    result: usize,
}

impl RequestRecord<'_> {
    /// Records the status of the response; `None`: there is no usable one.
    pub(super) fn finish(mut self, status: Option<StatusCode>) {
        let class = |status: StatusCode| usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.result = status.map_or(FAILED, class);
        if let Some(elapsed) = self.started.as_ref().map(Instant::elapsed) {
            self.metrics
                .duration
                .record(Duration::as_secs_f64(&elapsed));
        }
    }
}

impl Drop for RequestRecord<'_> {
    fn drop(&mut self) {
        self.metrics.requests[self.result].increment(1);
    }
}
