//! The endpoints that the gateway serves itself, called by [`crate::pipeline`].

pub(crate) mod health;
pub(crate) mod limits;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod swagger;

use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::message::Headers;

/// The headers of all files.
static FILE_HEADERS: [(HeaderName, HeaderValue); 5] = [
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    // The files change with the version of the gateway.
    (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

/// Adds the headers of a file whose page may load what the content security `policy` allows.
fn add_file_headers(headers: &mut Headers, policy: HeaderValue) {
    for (name, value) in &FILE_HEADERS {
        headers.insert(name, value);
    }
    headers.insert(CONTENT_SECURITY_POLICY, policy);
}
