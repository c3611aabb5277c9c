//! The response to a message that is not a valid HTTP request: a problem, like all other refusals. Called by
//! the connection, since such a message never reaches the pipeline.

use std::{fmt::Write, net::IpAddr, time::Instant};

use bytes::Bytes;
use chassis::{
    Problem,
    problem::{CONTENT_TYPE_PROBLEM, from_status},
    trace::TraceContext,
};
use hyper::{HeaderMap, Method, StatusCode};

use crate::{
    middleware::{access_log::Outcome, request_target::too_long},
    state::ThreadState,
};

/// Returns the head and body of the response with `status`, which hyper chose.
pub(super) fn response(state: &ThreadState, client: IpAddr, status: StatusCode) -> Bytes {
    let trace = TraceContext::from_headers(&HeaderMap::new());
    // The method is unknown; CONNECT counts as "other".
    let entry = state
        .access_log
        .begin(Instant::now(), &Method::CONNECT, None);
    let body = problem(status).body("/", &trace.request_id);
    let mut head = String::with_capacity(256 + body.len());
    // Writing to a String cannot fail.
    let _ = write!(
        head,
        "HTTP/1.1 {} {}\r\ncontent-type: {CONTENT_TYPE_PROBLEM}\r\ncache-control: no-store\r\n\
         x-request-id: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        trace.request_id,
        body.len(),
    );
    entry.finish(&Outcome {
        trace: &trace,
        client,
        status,
        is_upstream_failure: false,
        cause: None,
    });
    let mut response = head.into_bytes();
    response.extend_from_slice(&body);
    Bytes::from(response)
}

fn problem(status: StatusCode) -> Problem {
    match status {
        StatusCode::URI_TOO_LONG => too_long().detail("shorten the path or its query"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            Problem::new(status, "headers-too-large", "request head too large")
                .detail("send fewer or shorter headers")
        }
        _ => from_status(status)
            .error("malformed request")
            .detail("the request line or a header is not valid HTTP/1.1; lines end with CR LF"),
    }
}
