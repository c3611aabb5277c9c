//! Responses: documents and problems of the gateway's own, and bodies of all kinds.

mod encoded_body;
mod encoder;
mod service_body;

use std::borrow::Borrow;

use bytes::Bytes;
use chassis::{Problem, problem::CONTENT_TYPE_PROBLEM};
use http_body_util::{Either, Full};
use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;

pub(crate) use self::encoded_body::EncodedBody;
pub(crate) use self::encoder::Coding;
pub(crate) use self::service_body::ServiceBody;
use crate::{cache::tee::TeeBody, message::Response, proxy::ResponseBody};

/// The media type of the gateway's own documents.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// The `Cache-Control` of responses that no cache may store.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The body of a response: the gateway's own or a service's, as it is or compressed, which are large and therefore boxed.
pub(crate) type Body = Either<Full<Bytes>, Either<Box<ServiceBody>, Box<EncodedBody>>>;

/// The body of a service's response.
pub(crate) fn streamed(mut body: ResponseBody) -> Body {
    match body.take_whole() {
        Some(whole) => Either::Left(Full::new(whole)),
        None => Either::Right(Either::Left(Box::new(ServiceBody::Direct(body)))),
    }
}

/// The body of a service's response that is stored while it is read.
pub(crate) fn stored_body(body: TeeBody) -> Body {
    Either::Right(Either::Left(Box::new(ServiceBody::Stored(body))))
}

/// No body.
pub(crate) fn empty_body() -> Body {
    Either::Left(Full::default())
}

/// The response to the request for `path` that was refused with `problem`.
pub(crate) fn refusal(problem: &Problem, path: &str, request_id: &str) -> Response<Body> {
    let content_type = HeaderValue::from_static(CONTENT_TYPE_PROBLEM);
    let body = problem.body(path, request_id);
    let mut response = document(problem.status(), content_type, body);
    response.headers.insert(CACHE_CONTROL, NO_STORE);
    response.headers.extend(problem.headers());
    response
}

/// 429: the client may send the request again after `seconds`.
pub(crate) fn rate_limited(error: &'static str, seconds: u64) -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", error)
        .detail("retry after the seconds in Retry-After")
        .retry_after(seconds)
        .member("retry_after", seconds)
}

/// A response without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    Response::new(status, empty_body())
}

/// A JSON response that must not be stored.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // Reports are structs of text and flags, whose serialization cannot fail.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = document(status, JSON, Bytes::from(text));
    response.headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// A response with `body` of the media type `content_type`.
pub(crate) fn document(
    status: StatusCode,
    content_type: impl Borrow<HeaderValue>,
    body: Bytes,
) -> Response<Body> {
    let mut response = Response::new(status, Either::Left(Full::new(body)));
    response.headers.append(CONTENT_TYPE, content_type);
    response
}
