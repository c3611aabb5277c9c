//! What is so malformed that no request could be read from it: it never reaches the handler, yet its
//! answer is a problem like all others.

use std::{fmt::Write, net::IpAddr, time::Instant};

use bytes::Bytes;
use chassis::{
    Problem,
    problem::{CONTENT_TYPE_PROBLEM, from_status},
    trace::TraceContext,
};
use hyper::{HeaderMap, Method, StatusCode};

use crate::{observe::Line, worker::Worker};

/// The whole answer, head and body, to what was refused with `status` before it was a request.
#[must_use]
pub fn answer_malformed(worker: &Worker, client: IpAddr, status: StatusCode) -> Bytes {
    let context = TraceContext::from_headers(&HeaderMap::new());
    let observed = worker.observer.begin(Instant::now(), &unread(), None);
    let body = problem(status).body("/", &context.request_id);
    let mut answer = String::with_capacity(256 + body.len());
    // Writing to a String cannot fail.
    let _ = write!(
        answer,
        "HTTP/1.1 {} {}\r\ncontent-type: {CONTENT_TYPE_PROBLEM}\r\ncache-control: no-store\r\n\
         x-request-id: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        context.request_id,
        body.len(),
    );
    observed.finish(&Line {
        request_id: &context.request_id,
        trace_id: &context.trace_id,
        client,
        status,
        cause: None,
    });
    let mut answer = answer.into_bytes();
    answer.extend_from_slice(&body);
    Bytes::from(answer)
}

/// The method of a request that could not be read.
fn unread() -> Method {
    Method::CONNECT
}

fn problem(status: StatusCode) -> Problem {
    match status {
        StatusCode::URI_TOO_LONG => Problem::new(status, "uri-too-long", "request target too long")
            .detail("shorten the path or its query"),
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
            Problem::new(status, "headers-too-large", "request head too large")
                .detail("send fewer or shorter headers")
        }
        _ => from_status(status)
            .error("malformed request")
            .detail("the request line or a header is not valid HTTP/1.1"),
    }
}
