//! Cookies of requests (RFC 6265), and the header that proves that a request with them comes from the page itself. Used by the
//! gateway and by services that set cookies.

use hyper::{
    HeaderMap,
    header::{COOKIE, HeaderName, HeaderValue, InvalidHeaderValue},
};

/// The cookie with the access token of a session of the page.
pub const ACCESS_COOKIE: &str = "marquee_access";
/// The cookie with the refresh token of a session of the page.
pub const REFRESH_COOKIE: &str = "marquee_refresh";

/// A header that other sites cannot send with cookies: a browser asks first, by a preflight request, which allows no
/// credentials. So it protects from cross-site request forgery, beside `SameSite` of the cookies.
const X_MARQUEE: HeaderName = HeaderName::from_static("x-marquee");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// True if a request with `headers` comes from our own page, so that its cookies may count.
#[must_use]
pub fn is_of_page(headers: &HeaderMap) -> bool {
    let is_same_origin = headers
        .get(SEC_FETCH_SITE)
        .is_none_or(|site| site == "same-origin");
    is_same_origin && headers.contains_key(X_MARQUEE)
}

/// The value of the cookie `name`, the first if there are several; `None` if it is empty.
#[must_use]
pub fn find<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let mut named = pairs.filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = named.find(|(own, _)| *own == name)?;
    Some(value).filter(|value| !value.is_empty())
}

/// The value of `Set-Cookie` in the response to a request with `headers`: a cookie for `seconds` and requests below `path`
/// that scripts cannot read and other sites cannot use; over TLS alone if the request came so.
///
/// # Errors
/// Returns an error if `value` has characters that a header must not have.
pub fn set(
    headers: &HeaderMap,
    cookie: (&str, &str),
    path: &str,
    seconds: u32,
) -> Result<HeaderValue, InvalidHeaderValue> {
    set_with(headers, cookie, path, seconds, "Strict")
}

/// As [`set`], but also sent when another site leads the browser here, as a login provider does; never with requests that the
/// other site's page makes itself.
///
/// # Errors
/// As [`set`].
pub fn set_for_return(
    headers: &HeaderMap,
    cookie: (&str, &str),
    path: &str,
    seconds: u32,
) -> Result<HeaderValue, InvalidHeaderValue> {
    set_with(headers, cookie, path, seconds, "Lax")
}

fn set_with(
    headers: &HeaderMap,
    (name, value): (&str, &str),
    path: &str,
    seconds: u32,
    same_site: &str,
) -> Result<HeaderValue, InvalidHeaderValue> {
    let is_secure = headers
        .get(X_FORWARDED_PROTO)
        .is_some_and(|protocol| protocol == "https");
    let secure = if is_secure { "; Secure" } else { "" };
    HeaderValue::try_from(format!(
        "{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite={same_site}{secure}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_in_any_line_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        for line in ["a=1; marquee_access2=x", "b; marquee_access=t=k; c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        assert_eq!(find(&headers, ACCESS_COOKIE), Some("t=k"));
        assert_eq!(find(&headers, REFRESH_COOKIE), None);
    }

    #[test]
    fn cookies_count_only_in_requests_of_the_page() {
        let of = |pairs: &[(HeaderName, &'static str)]| {
            let pairs = pairs.iter().cloned();
            is_of_page(
                &pairs
                    .map(|(name, value)| (name, HeaderValue::from_static(value)))
                    .collect(),
            )
        };
        assert!(of(&[(X_MARQUEE, "page")]));
        assert!(of(&[(X_MARQUEE, "page"), (SEC_FETCH_SITE, "same-origin")]));
        assert!(!of(&[(X_MARQUEE, "page"), (SEC_FETCH_SITE, "same-site")]));
        assert!(!of(&[(SEC_FETCH_SITE, "same-origin")]));
    }
}
