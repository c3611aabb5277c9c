//! Cross-origin requests: preflights are answered here, other answers get the headers that let a page
//! read them.

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Response, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
    },
};

use crate::answer::Body;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, HEAD, PUT, DELETE, PATCH");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, \
     X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id",
);
/// Browsers remember a preflight for ten minutes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ANY: HeaderValue = HeaderValue::from_static("*");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

/// Whose pages may call the API.
#[derive(Debug)]
pub enum Cors {
    /// Every origin's.
    Any,
    /// These origins'.
    Some(Vec<Bytes>),
}

impl Cors {
    /// From the setting: `*`, or origins such as `https://example.com`.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            return Self::Any;
        }
        Self::Some(
            origins
                .iter()
                .map(|origin| Bytes::from(origin.trim_end_matches('/').to_owned()))
                .collect(),
        )
    }

    /// The answer to a preflight; none where the request is not one.
    #[must_use]
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        let is_preflight = method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let answer = response.headers_mut();
        if let Some(allowed) = self.allowed(headers) {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            answer.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            if let Some(asked) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
            answer.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        answer.insert(VARY, VARY_PREFLIGHT);
        Some(response)
    }

    /// What the answer to a request with `headers` must say of its origin; none where the request
    /// does not come from a page.
    #[must_use]
    pub fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        match self {
            Self::Any => Some(ANY),
            Self::Some(origins) => origins
                .iter()
                .any(|known| known == origin.as_bytes())
                .then(|| origin.clone()),
        }
    }

    /// Adds the headers to an answer; `allowed` is what [`Cors::allowed`] said of its request.
    pub fn decorate(&self, allowed: Option<HeaderValue>, answer: &mut HeaderMap) {
        if matches!(self, Self::Some(_)) {
            answer.append(VARY, VARY_ORIGIN);
        }
        if let Some(origin) = allowed {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
