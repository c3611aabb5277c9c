//! Cross-origin resource sharing (Fetch standard, section 3.2): responds to preflight requests and adds the
//! headers that let a page read other responses.

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
    },
};

use crate::{
    message::{Headers, Response},
    response::{Body, empty},
};

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, HEAD, PUT, DELETE, PATCH");
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Link, Location, RateLimit, RateLimit-Policy, Retry-After, Server-Timing, \
     X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id",
);
/// Browsers cache a preflight response for ten minutes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
const ANY: HeaderValue = HeaderValue::from_static("*");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");
const VARY_PREFLIGHT: HeaderValue = HeaderValue::from_static(
    "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
);

/// The origins whose pages may call the API.
#[derive(Debug)]
pub(crate) enum Cors {
    /// Every origin.
    Any,
    Some(Vec<Bytes>),
}

impl Cors {
    /// Parses the setting: `*`, or origins such as `https://example.com`.
    pub(crate) fn new(origins: &[String]) -> Self {
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

    /// The response to a preflight request; `None` if the request is not one.
    pub(crate) fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<Response<Body>> {
        let is_preflight = method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        let mut response = empty(StatusCode::NO_CONTENT);
        let response_headers = &mut response.headers;
        if let Some(allowed) = self.allowed_origin(headers) {
            response_headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
            response_headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            if let Some(requested) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                response_headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested);
            }
            response_headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        response_headers.insert(VARY, VARY_PREFLIGHT);
        Some(response)
    }

    /// The `Access-Control-Allow-Origin` of the response to a request with `headers`; `None` if it has no origin
    /// or one that is not allowed.
    pub(crate) fn allowed_origin(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        match self {
            Self::Any => Some(ANY),
            Self::Some(origins) => origins
                .iter()
                .any(|known| known == origin.as_bytes())
                .then(|| origin.clone()),
        }
    }

    /// Adds the headers to a response; `origin` is the [`Cors::allowed_origin`] of its request.
    pub(crate) fn add_headers(&self, origin: Option<HeaderValue>, headers: &mut Headers) {
        if matches!(self, Self::Some(_)) {
            headers.append(VARY, VARY_ORIGIN);
        }
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}
