//! Metrics: the process's Prometheus recorder, and the names of the metrics of every service.

use std::sync::OnceLock;

use axum::http::Method;
use metrics::Unit;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Responses by method, route and status (counter).
pub const HTTP_REQUESTS_TOTAL: &str = "http_requests_total";
/// Time from the request's head to the response's head (histogram, seconds).
pub const HTTP_REQUEST_DURATION_SECONDS: &str = "http_request_duration_seconds";
/// Requests in flight (gauge).
pub const HTTP_REQUESTS_IN_FLIGHT: &str = "http_requests_in_flight";
/// The results of the latest checks, by dependency: 1 if it works, else 0 (gauge).
pub const DEPENDENCY_UP: &str = "dependency_up";
/// Commands that failed because Redis was unavailable (counter).
pub const REDIS_UNREACHABLE_TOTAL: &str = "redis_unreachable_total";
/// Commands that failed because Redis refuses the user or password (counter).
pub const REDIS_REFUSED_TOTAL: &str = "redis_refused_total";

/// The values of the label `method`. The last stands for all others, since clients may send any name as a method.
pub const METHOD_LABELS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other",
];

/// The label of `method`, one of [`METHOD_LABELS`].
pub fn method_label(method: &Method) -> &'static str {
    METHOD_LABELS
        .into_iter()
        .find(|label| *label == method.as_str())
        .unwrap_or("other")
}

const SECONDS: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// The process's recorder, set on the first call.
///
/// # Panics
/// If the process has set a recorder of another kind before.
pub fn recorder() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
                .and_then(PrometheusBuilder::install_recorder)
                .expect("the bounds are not empty and no other recorder is set");
            describe();
            recorder
        })
        .clone()
}

/// Sets the help texts of the metrics that every service has.
fn describe() {
    metrics::describe_counter!(HTTP_REQUESTS_TOTAL, "Responses by method, route and status");
    metrics::describe_histogram!(
        HTTP_REQUEST_DURATION_SECONDS,
        Unit::Seconds,
        "Time from the head of a request to the head of its response"
    );
    metrics::describe_gauge!(HTTP_REQUESTS_IN_FLIGHT, "Requests in flight");
    metrics::describe_gauge!(
        DEPENDENCY_UP,
        "Results of the latest readiness checks by dependency: 1 if it works, else 0"
    );
    metrics::describe_counter!(
        REDIS_UNREACHABLE_TOTAL,
        "Commands that failed because Redis was unavailable"
    );
    metrics::describe_counter!(
        REDIS_REFUSED_TOTAL,
        "Commands that failed because Redis refuses the user or password of REDIS_URL"
    );
}
