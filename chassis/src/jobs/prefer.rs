//! The `Prefer` header field (RFC 7240), as handlers of jobs extract it.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};

/// The preferences of a client that concern jobs. Preferences that are unknown or malformed are
/// ignored, as RFC 7240 requires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prefer {
    /// True if the client does not want to wait for the end of the job: `respond-async`.
    pub respond_async: bool,
    /// The time that the client is willing to wait: `wait`, in seconds.
    pub wait: Option<Duration>,
}

impl<S: Send + Sync> FromRequestParts<S> for Prefer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(&parts.headers))
    }
}

impl Prefer {
    fn parse(headers: &HeaderMap) -> Self {
        let mut prefer = Self::default();
        let values = headers.get_all("prefer").iter();
        for preference in values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
        {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let name = name.trim();
            if name.eq_ignore_ascii_case("respond-async") {
                prefer.respond_async = true;
            } else if name.eq_ignore_ascii_case("wait") {
                let seconds = value.trim().trim_matches('"').parse().ok();
                prefer.wait = prefer.wait.or(seconds.map(Duration::from_secs));
            }
        }
        prefer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_parsed_as_rfc_7240_defines_them() {
        for (text, expected) in [
            ("respond-async", (true, None)),
            ("Respond-Async, wait=10", (true, Some(10))),
            ("wait=\"3\"; x=y, handling=lenient", (false, Some(3))),
            ("wait=soon", (false, None)),
            ("", (false, None)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", text.parse().expect("header"));
            let prefer = Prefer::parse(&headers);
            assert_eq!(
                (prefer.respond_async, prefer.wait.map(|wait| wait.as_secs())),
                expected,
                "{text}"
            );
        }
    }
}
