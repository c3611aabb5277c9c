//! How a client wants to be answered: `Prefer` (RFC 7240) and `Idempotency-Key`.

use std::time::Duration;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use chassis::{Problem, extract::idempotency_key};

use crate::service::intake::Wish;

/// What the head of a request says of the answer.
#[derive(Debug)]
pub(super) struct Wanted(pub(super) Wish);

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let (respond_async, wait) = preferences(&parts.headers);
        Ok(Self(Wish {
            respond_async,
            wait,
            idempotency_key: idempotency_key(&parts.headers)?,
        }))
    }
}

/// `respond-async`, and the seconds of `wait`. What cannot be understood is no preference, as the RFC
/// asks.
fn preferences(headers: &HeaderMap) -> (bool, Option<Duration>) {
    let values = headers.get_all("prefer").iter();
    let mut respond_async = false;
    let mut wait = None;
    for preference in values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let preference = preference.split(';').next().unwrap_or_default().trim();
        let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
        if name.trim().eq_ignore_ascii_case("respond-async") {
            respond_async = true;
        } else if name.trim().eq_ignore_ascii_case("wait") {
            let seconds = value.trim().trim_matches('"').parse().ok();
            wait = wait.or(seconds.map(Duration::from_secs));
        }
    }
    (respond_async, wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read_as_the_rfc_writes_them() {
        for (text, expected) in [
            ("respond-async", (true, None)),
            ("Respond-Async, wait=10", (true, Some(10))),
            ("wait=\"3\"; x=y, handling=lenient", (false, Some(3))),
            ("wait=soon", (false, None)),
            ("", (false, None)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", text.parse().expect("header"));
            let (respond_async, wait) = preferences(&headers);
            assert_eq!(
                (respond_async, wait.map(|wait| wait.as_secs())),
                expected,
                "{text}"
            );
        }
    }
}
