//! Errors as clients see them: RFC 9457 `application/problem+json`. The mapping of errors to
//! statuses belongs to each service's `handler/error.rs`; here is only the document.
//!
//! A [`Problem`] becomes a response without a body that carries the problem as an extension; the
//! outermost layer ([`crate::server`]) writes the body, since only it has the request id and
//! the path, and logs the cause.

use std::{borrow::Cow, error::Error as StdError, sync::Arc};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hyper::{
    HeaderMap, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use utoipa::ToSchema;

pub use crate::validate::FieldError;

/// The media type of a problem.
pub const CONTENT_TYPE_PROBLEM: &str = "application/problem+json";

/// The reason of a failed request. Boxed, since it is the rare error of every handler.
#[derive(Debug, Clone)]
#[must_use]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    status: StatusCode,
    slug: &'static str,
    error: Cow<'static, str>,
    detail: Option<Cow<'static, str>>,
    errors: Vec<FieldError>,
    headers: HeaderMap,
    members: serde_json::Map<String, serde_json::Value>,
    cause: Option<Arc<str>>,
}

impl Problem {
    /// A problem of type `/problems/{slug}`, whose one-line text is `error`.
    pub fn new(
        status: StatusCode,
        slug: &'static str,
        error: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            status,
            slug,
            error: error.into(),
            detail: None,
            errors: Vec::new(),
            headers: HeaderMap::new(),
            members: serde_json::Map::new(),
            cause: None,
        }))
    }

    /// 400 with a list of invalid fields, which must not be empty.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let error = errors.first().map_or_else(
            || "invalid request".to_owned(),
            |first| format!("invalid {}: {}", first.field, first.message),
        );
        Self::new(StatusCode::BAD_REQUEST, "invalid-request", error)
            .detail("correct the fields listed under errors and send the request again")
            .errors(errors)
    }

    /// 500: an internal error. `cause` goes into the log, never to the client.
    pub fn internal(cause: &(dyn StdError + 'static)) -> Self {
        from_status(StatusCode::INTERNAL_SERVER_ERROR)
            .detail("this is an internal error; report the request_id if it persists")
            .cause(cause)
    }

    /// 503: a dependency cannot be reached; `what` names it in words that reveal no internals.
    pub fn unavailable(what: &'static str) -> Self {
        let error = format!("{what} is unavailable");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error)
            .detail("try again after the seconds that Retry-After gives")
            .retry_after(1)
    }

    /// 413: the request body is larger than `limit` bytes.
    pub fn body_too_large(limit: u64) -> Self {
        const MIB: u64 = 1024 * 1024;
        let detail = match limit % MIB {
            0 => format!("send at most {} MiB", limit / MIB),
            _ => format!("send at most {limit} bytes"),
        };
        from_status(StatusCode::PAYLOAD_TOO_LARGE).detail(detail)
    }

    /// 504: the request exceeded its time limit.
    pub fn timed_out() -> Self {
        let error = "the request took too long";
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timed-out", error)
            .detail("request less data, or try again")
    }

    /// Sets the sentence that explains how to correct the request.
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Replaces the one-line text that the original's clients read.
    pub fn error(mut self, error: impl Into<Cow<'static, str>>) -> Self {
        self.0.error = error.into();
        self
    }

    /// The invalid fields.
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    /// A header of the response that the status requires, such as `Allow` of 405.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// The number of seconds after which a retry may succeed.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(RETRY_AFTER, seconds.into())
    }

    /// A member beyond those of the standard.
    pub fn member(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the cause, with its whole chain of sources; for the log only.
    pub fn cause(mut self, cause: &(dyn StdError + 'static)) -> Self {
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(inner) = source {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            source = inner.source();
        }
        self.0.cause = Some(text.into());
        self
    }

    /// The status of the response.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The last part of `type`.
    pub fn slug(&self) -> &'static str {
        self.0.slug
    }

    /// The cause, for the log.
    pub fn log_cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The headers of the response, without `Content-Type`.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The document itself.
    pub fn document(&self, instance: &str, request_id: &str) -> ProblemDocument {
        ProblemDocument {
            r#type: format!("/problems/{}", self.0.slug),
            title: title(self.0.slug),
            status: self.0.status.as_u16(),
            detail: self.0.detail.as_ref().unwrap_or(&self.0.error).to_string(),
            instance: instance.to_owned(),
            request_id: request_id.to_owned(),
            errors: self.0.errors.clone(),
            error: self.0.error.to_string(),
            members: self.0.members.clone(),
        }
    }

    /// The document as bytes.
    pub fn body(&self, instance: &str, request_id: &str) -> Bytes {
        serde_json::to_vec(&self.document(instance, request_id))
            .map(Bytes::from)
            .unwrap_or_default()
    }
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        Self::invalid(vec![error])
    }
}

impl From<Vec<FieldError>> for Problem {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::invalid(errors)
    }
}

fn title(slug: &str) -> String {
    let mut title = slug.replace('-', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

/// The body of every response that is not a success (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Problem, example = json!({
    "type": "/problems/invalid-request",
    "title": "Invalid request",
    "status": 400,
    "detail": "correct the fields listed under errors and send the request again",
    "instance": "/api/v1/movies",
    "request_id": "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d",
    "errors": [{"field": "page", "message": "must be a whole number from 1 to 100000"}],
    "error": "invalid page: must be a whole number from 1 to 100000"
}))]
pub struct ProblemDocument {
    /// The problem type: a stable relative URI.
    pub r#type: String,
    /// The problem type in words.
    pub title: String,
    /// The status of the response.
    pub status: u16,
    /// An explanation, and the correction of the request if there is one.
    pub detail: String,
    /// The requested path.
    pub instance: String,
    /// The id of the request in the logs.
    pub request_id: String,
    /// The invalid fields, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The problem in one line.
    pub error: String,
    /// Members of this problem type only.
    #[serde(flatten)]
    #[schema(ignore)]
    pub members: serde_json::Map<String, serde_json::Value>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.clone_from(&self.0.headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_PROBLEM));
        if self.0.status == StatusCode::UNAUTHORIZED {
            // Required with 401 (RFC 9110, 15.5.2).
            headers
                .entry(WWW_AUTHENTICATE)
                .or_insert(HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The problem for a bare `status`, such as one that a library responded with.
pub fn from_status(status: StatusCode) -> Problem {
    match status {
        StatusCode::NOT_FOUND => Problem::new(status, "not-found", "Not Found")
            .detail("nothing is served under this path; see /swagger/ for what is"),
        StatusCode::METHOD_NOT_ALLOWED => {
            Problem::new(status, "method-not-allowed", "Method Not Allowed")
                .detail("use a method that the Allow header names")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "body-too-large", "request body too large")
                .detail("send a smaller body")
        }
        StatusCode::SERVICE_UNAVAILABLE => Problem::unavailable("the service"),
        StatusCode::GATEWAY_TIMEOUT => Problem::timed_out(),
        _ if status.is_client_error() => Problem::new(status, "invalid-request", "invalid request"),
        _ => Problem::new(status, "internal", "internal error"),
    }
}
