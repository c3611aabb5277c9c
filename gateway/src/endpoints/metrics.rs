//! `/metrics`: the metrics of all threads.

use bytes::Bytes;
use hyper::{StatusCode, header::HeaderValue};

use crate::{
    message::Response,
    response::{Body, document},
    state::ThreadState,
};

const PROMETHEUS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// `/metrics`, in the text format of Prometheus.
pub(crate) fn render(state: &ThreadState) -> Response<Body> {
    if let Some(cache) = &state.shared.cache {
        cache.report_size();
    }
    let text = state.shared.metrics.render();
    document(StatusCode::OK, PROMETHEUS, Bytes::from(text))
}
