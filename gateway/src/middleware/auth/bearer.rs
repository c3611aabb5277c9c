//! The `Authorization` header (RFC 6750) or the cookie that stands for it, and the refusals of missing and invalid tokens.

use chassis::{
    Problem,
    cookie::{ACCESS_COOKIE, find, is_of_page},
};
use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE},
};

const SCHEME: &[u8] = b"Bearer";
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");
const CHALLENGE_INVALID: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

/// Returns the access token or API key of a request: the bearer token, or, if there is no such header, the cookie of a
/// session of the page.
///
/// # Errors
/// As [`bearer_token`].
pub(super) fn credential(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let cookie = || find(headers, ACCESS_COOKIE).filter(|_| is_of_page(headers));
    if !headers.contains_key(AUTHORIZATION)
        && let Some(token) = cookie()
    {
        return Ok(token.as_bytes());
    }
    bearer_token(headers)
}

/// Returns the bearer token. The name of the scheme is in any case (RFC 9110, 11.1).
///
/// # Errors
/// 401 if the header is missing, repeated, or not `Bearer <token>`.
fn bearer_token(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let refuse = |error| {
        let detail = "send the header `Authorization: Bearer <token>`";
        Err(unauthorized(error, detail, CHALLENGE))
    };
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return refuse("missing Authorization header");
    };
    // Trailing blanks are no part of a value (RFC 9110, 5.5), so an empty token leaves the scheme alone.
    let value = value.as_bytes();
    if value.eq_ignore_ascii_case(SCHEME) {
        return refuse("empty bearer token");
    }
    let token = value
        .split_at_checked(SCHEME.len())
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
        .and_then(|(_, rest)| rest.strip_prefix(b" "));
    match token {
        Some(token) if values.next().is_none() => match token.trim_ascii() {
            b"" => refuse("empty bearer token"),
            token => Ok(token),
        },
        _ => refuse("invalid Authorization header format, expected 'Bearer <token>'"),
    }
}

/// 401: a token that is not accepted, for the reason `detail`.
pub(super) fn invalid_token(detail: &'static str) -> Problem {
    unauthorized("invalid bearer token", detail, CHALLENGE_INVALID)
}

fn unauthorized(error: &'static str, detail: &'static str, challenge: HeaderValue) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", error)
        .detail(detail)
        .header(WWW_AUTHENTICATE, challenge)
}
