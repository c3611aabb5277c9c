//! What goes back to the client: bodies, and problems made into responses.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use chassis::{Problem, problem::CONTENT_TYPE_PROBLEM};
use hyper::{
    Response, StatusCode,
    body::{Body as HttpBody, Frame, SizeHint},
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde::Serialize;

use crate::proxy::{BodyError, UpstreamBody};

/// The media type of our own answers.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// For what must not be kept by anybody on the way.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The body of an answer.
pub enum Body {
    /// Ours, whole.
    Full(Bytes),
    /// An upstream's, as it comes; large, so it has its own place.
    Upstream(Box<UpstreamBody>),
}

impl Body {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self::Full(Bytes::new())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Upstream(body) => Pin::new(body.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_empty(),
            Self::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Upstream(body) => body.size_hint(),
        }
    }
}

/// Why a request is not served: a problem, and a header that goes with it.
#[derive(Debug)]
pub struct Refusal {
    /// The problem.
    pub problem: Problem,
    /// What the status asks for, such as `Allow` of 405.
    pub header: Option<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// `problem` with the header that its status asks for.
    #[must_use]
    pub fn with(problem: Problem, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            problem,
            header: Some((name, value)),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            header: None,
        }
    }
}

/// The answer that says `refusal`.
#[must_use]
pub fn refuse(refusal: Refusal, path: &str, request_id: &str) -> Response<Body> {
    let Refusal { problem, header } = refusal;
    let mut response = Response::new(Body::Full(problem.body(path, request_id)));
    *response.status_mut() = problem.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_PROBLEM));
    headers.insert(CACHE_CONTROL, NO_STORE);
    if let Some(seconds) = problem.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some((name, value)) = header {
        headers.insert(name, value);
    }
    response
}

/// A JSON answer of our own.
#[must_use]
pub fn json(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    // Our reports are structs of text and flags, which always can be written.
    let text = serde_json::to_vec(document).unwrap_or_default();
    let mut response = of_type(JSON, Bytes::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// An answer of the media type `kind`.
#[must_use]
pub fn of_type(kind: HeaderValue, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Full(body));
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
