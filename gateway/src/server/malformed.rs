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
    middleware::{
        access_log::Outcome,
        request_target::{headers_too_large, too_long},
    },
    state::ThreadState,
};

/// Returns the head and body of the response with `status`, which hyper chose.
pub(super) fn response(state: &ThreadState, client: IpAddr, status: StatusCode) -> Bytes {
    write(state, client, &problem(status))
}

/// Returns the head and body of the response to a request in cleartext where TLS is required.
pub(super) fn not_tls(state: &ThreadState, client: IpAddr) -> Bytes {
    let problem = from_status(StatusCode::BAD_REQUEST)
        .error("TLS required")
        .detail("this port takes TLS alone: use an https URL");
    write(state, client, &problem)
}

fn write(state: &ThreadState, client: IpAddr, problem: &Problem) -> Bytes {
    let status = problem.status();
    let trace = TraceContext::from_headers(&HeaderMap::new());
    // The method is unknown; CONNECT counts as "other".
    let entry = state
        .access_log
        .begin(Instant::now(), &Method::CONNECT, None);
    let body = problem.body("/", &trace.request_id);
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
        cache: None,
    });
    let mut response = head.into_bytes();
    response.extend_from_slice(&body);
    Bytes::from(response)
}

fn problem(status: StatusCode) -> Problem {
    match status {
        StatusCode::URI_TOO_LONG => too_long().detail("shorten the path or its query"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => headers_too_large(),
        _ => from_status(status)
            .error("malformed request")
            .detail("the request line or a header is not valid HTTP/1.1; lines end with CR LF"),
    }
}
