//! `Cache-Control` of requests and responses (RFC 9111, section 5.2; RFC 5861), as far as a shared cache reads it.

use std::time::Duration;

use hyper::{
    HeaderMap,
    header::{CACHE_CONTROL, HeaderValue},
};

use crate::message::{Headers, Value};

/// The largest number of seconds that is kept: larger ones mean the same (RFC 9111, section 1.2.2).
const MAX_SECONDS: u64 = 1 << 31;

/// The directives of a response.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ResponseControl {
    /// True if the response says that a shared cache may store it: `public` or `s-maxage`.
    pub(crate) is_shared: bool,
    /// True if it must not be stored, or only for one user, or not used without validation: `no-store`, `private`, `no-cache`.
    pub(crate) forbids: bool,
    /// True if it must not be used when it is stale: `must-revalidate`, `proxy-revalidate`, or `s-maxage`, which includes it.
    pub(crate) must_revalidate: bool,
    /// The freshness lifetime: `s-maxage`, else `max-age`. One that is malformed or contradicts itself is 0.
    pub(crate) lifetime: Option<Duration>,
    /// The time after the lifetime in which it may be used while it is fetched anew.
    pub(crate) stale_while_revalidate: Duration,
    /// The time after the lifetime in which it may be used if the service fails.
    pub(crate) stale_if_error: Duration,
}

impl ResponseControl {
    /// The directives of `headers`.
    pub(crate) fn of(headers: &Headers) -> Self {
        let mut control = Self::default();
        let (mut max_age, mut s_maxage) = (None, None);
        for line in headers.get_all(&CACHE_CONTROL) {
            let Some(line) = line.to_str() else {
                // Unreadable directives may forbid anything.
                control.forbids = true;
                continue;
            };
            for (name, value) in directives(line) {
                if name.eq_ignore_ascii_case("public") {
                    control.is_shared = true;
                } else if ["no-store", "private", "no-cache"]
                    .iter()
                    .any(|word| name.eq_ignore_ascii_case(word))
                {
                    control.forbids = true;
                } else if name.eq_ignore_ascii_case("must-revalidate")
                    || name.eq_ignore_ascii_case("proxy-revalidate")
                {
                    control.must_revalidate = true;
                } else if name.eq_ignore_ascii_case("s-maxage") {
                    control.is_shared = true;
                    control.must_revalidate = true;
                    s_maxage = Some(shorter(s_maxage, value));
                } else if name.eq_ignore_ascii_case("max-age") {
                    max_age = Some(shorter(max_age, value));
                } else if name.eq_ignore_ascii_case("stale-while-revalidate") {
                    control.stale_while_revalidate = seconds(value).unwrap_or_default();
                } else if name.eq_ignore_ascii_case("stale-if-error") {
                    control.stale_if_error = seconds(value).unwrap_or_default();
                }
            }
        }
        control.lifetime = s_maxage.or(max_age);
        control
    }
}

/// The directives of a request. `max-stale` is not honoured: a client cannot make this cache use what is stale.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestControl {
    pub(crate) no_cache: bool,
    pub(crate) no_store: bool,
    pub(crate) only_if_cached: bool,
    pub(crate) max_age: Option<Duration>,
    pub(crate) min_fresh: Duration,
}

impl RequestControl {
    /// The directives of `headers`.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let lines = headers.get_all(CACHE_CONTROL).iter();
        for (name, value) in lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(directives)
        {
            match name.to_ascii_lowercase().as_str() {
                "no-cache" => control.no_cache = true,
                "no-store" => control.no_store = true,
                "only-if-cached" => control.only_if_cached = true,
                "max-age" => control.max_age = Some(shorter(control.max_age, value)),
                "min-fresh" => control.min_fresh = seconds(value).unwrap_or_default(),
                _ => {}
            }
        }
        control
    }
}

/// The `Cache-Control` that clients get for a response to authenticated callers: caches beyond the gateway do not
/// authenticate, so that only those of one client may store it. `None` if that is what `headers` say already.
pub(crate) fn for_one_client(headers: &Headers) -> Option<HeaderValue> {
    let control = ResponseControl::of(headers);
    if !control.is_shared || control.forbids {
        return None;
    }
    let lines = headers.get_all(&CACHE_CONTROL).filter_map(Value::to_str);
    let mut text = String::from("private");
    for (name, value) in lines.flat_map(directives) {
        let is_left_out = ["public", "s-maxage", "proxy-revalidate"]
            .iter()
            .any(|word| name.eq_ignore_ascii_case(word));
        if !is_left_out {
            text.push_str(", ");
            text.push_str(name);
            if let Some(value) = value {
                text.push('=');
                text.push_str(value);
            }
        }
    }
    // Made of parts of a header.
    Some(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("private")))
}

/// The names and values of the directives of a line; commas within quotes separate nothing.
fn directives(line: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    let mut is_quoted = false;
    line.split(move |character: char| {
        is_quoted ^= character == '"';
        character == ',' && !is_quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .map(|part| match part.split_once('=') {
        Some((name, value)) => (name.trim(), Some(value.trim())),
        None => (part, None),
    })
}

/// A number of seconds, perhaps in quotes, of at most [`MAX_SECONDS`]; `None` if it is none.
pub(super) fn seconds(value: Option<&str>) -> Option<Duration> {
    let digits = value?.trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Duration::from_secs(digits.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS)))
}

/// The shorter of a lifetime that was `known` and the next one; 0 if that is malformed.
fn shorter(known: Option<Duration>, value: Option<&str>) -> Duration {
    let next = seconds(value).unwrap_or_default();
    known.map_or(next, |known| known.min(next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> Headers {
        let mut headers = Headers::default();
        for line in lines {
            headers.append(CACHE_CONTROL, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn the_directives_of_responses() {
        let seconds = Duration::from_secs;
        let public = ResponseControl {
            is_shared: true,
            ..ResponseControl::default()
        };
        for (lines, expected) in [
            (&[][..], ResponseControl::default()),
            (
                &["Public, MAX-AGE=5 , stale-if-error=\"7\""],
                ResponseControl {
                    lifetime: Some(seconds(5)),
                    stale_if_error: seconds(7),
                    ..public
                },
            ),
            (
                &["public", "max-age=5, s-maxage=9, stale-while-revalidate=3"],
                ResponseControl {
                    lifetime: Some(seconds(9)),
                    must_revalidate: true,
                    stale_while_revalidate: seconds(3),
                    ..public
                },
            ),
            (
                &["max-age=9, max-age=5, public"],
                ResponseControl {
                    lifetime: Some(seconds(5)),
                    ..public
                },
            ),
            (
                &["public, max-age=-1"],
                ResponseControl {
                    lifetime: Some(seconds(0)),
                    ..public
                },
            ),
            (
                &["public, max-age=99999999999999999999"],
                ResponseControl {
                    lifetime: Some(seconds(MAX_SECONDS)),
                    ..public
                },
            ),
            (
                &["public, private=\"x, max-age=7\""],
                ResponseControl {
                    forbids: true,
                    ..public
                },
            ),
            (&["public, extension=\"no-store, private\""], public),
            (
                &["public, no-cache=\"set-cookie\""],
                ResponseControl {
                    forbids: true,
                    ..public
                },
            ),
            (
                &["public, proxy-revalidate"],
                ResponseControl {
                    must_revalidate: true,
                    ..public
                },
            ),
        ] {
            assert_eq!(ResponseControl::of(&headers(lines)), expected, "{lines:?}");
        }
    }

    #[test]
    fn clients_are_told_that_the_response_is_private() {
        for (lines, expected) in [
            (
                &["public, max-age=5, s-maxage=9, stale-if-error=7"][..],
                Some("private, max-age=5, stale-if-error=7"),
            ),
            (&["max-age=5", "s-maxage=9"], Some("private, max-age=5")),
            (&["private, max-age=5"], None),
            (&["public, no-store"], None),
            (&[], None),
        ] {
            let changed = for_one_client(&headers(lines));
            assert_eq!(
                changed.as_ref().map(|value| value.to_str().expect("ASCII")),
                expected
            );
        }
    }
}
