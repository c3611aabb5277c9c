//! Validates and normalizes request targets before anything else reads them: a target that the gateway and a
//! service parse differently could bypass the access rules (request smuggling, path traversal).

use bytes::Bytes;
use chassis::{Problem, problem::from_status};
use hyper::{
    Method, StatusCode, Uri, Version,
    header::{COOKIE, HOST, HeaderValue},
    http::{request::Parts, uri::PathAndQuery},
};

/// The most headers of a request, the same as hyper's limit for HTTP/1.1.
const MAX_HEADERS: usize = 100;

/// Returns the path and query without the trailing slash.
///
/// # Errors
/// 400 if the target or `Host` is invalid, 414 if the target has more than `max_bytes`.
pub(crate) fn normalize(head: &Parts, max_bytes: usize) -> Result<PathAndQuery, Problem> {
    if head.method == Method::CONNECT {
        return Err(invalid("CONNECT is not supported"));
    }
    if head.uri.scheme().is_some() || head.uri.authority().is_some() {
        return Err(invalid(
            "send the path alone in the request line, and the host in Host",
        ));
    }
    let Some(target) = head.uri.path_and_query() else {
        return Err(invalid("the request line has no path"));
    };
    if target.as_str().len() > max_bytes {
        return Err(too_long().detail(format!(
            "path and query may have {max_bytes} bytes together"
        )));
    }
    let hosts = head.headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && head.version != Version::HTTP_10) {
        return Err(invalid("send exactly one Host header"));
    }
    if let Some(reason) = path_error(target.path()) {
        return Err(invalid(reason));
    }
    Ok(without_trailing_slash(target))
}

/// Gives the head of a request of HTTP/2 the form of HTTP/1.1 (RFC 9113, 8.3.1 and 8.2.3): the authority becomes `Host`, and
/// lines of `Cookie` become one. The parser of HTTP/2 limits neither the number of headers nor, exactly, their size.
///
/// # Errors
/// 400 if `Host` contradicts the authority, 431 if there are more headers than HTTP/1.1 may have, or more than `max_bytes`.
pub(crate) fn adapt_http2(head: &mut Parts, max_bytes: usize) -> Result<(), Problem> {
    let uri = std::mem::take(&mut head.uri).into_parts();
    if let Some(target) = uri.path_and_query {
        head.uri = Uri::from(target);
    }
    let headers = &mut head.headers;
    // Each line of HTTP/1.1 has a colon, a space and an end.
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if headers.len() > MAX_HEADERS || bytes > max_bytes {
        return Err(headers_too_large());
    }
    if let Some(authority) = uri.authority {
        if authority.as_str().contains('@') {
            return Err(invalid("the authority has a user"));
        }
        let host = HeaderValue::try_from(authority.as_str())
            .map_err(|_| invalid("the authority is not a host"))?;
        let is_other = |own: &HeaderValue| !own.as_bytes().eq_ignore_ascii_case(host.as_bytes());
        if headers.get_all(HOST).iter().any(is_other) {
            return Err(invalid("Host and :authority are different"));
        }
        headers.insert(HOST, host);
    }
    let mut cookies = headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let mut joined = first.as_bytes().to_vec();
        for line in std::iter::once(second).chain(cookies) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(line.as_bytes());
        }
        let joined = HeaderValue::from_maybe_shared(Bytes::from(joined));
        headers.insert(
            COOKIE,
            joined.map_err(|_| invalid("a cookie is malformed"))?,
        );
    }
    Ok(())
}

/// 431.
pub(crate) fn headers_too_large() -> Problem {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Problem::new(status, "headers-too-large", "request head too large")
        .detail("send fewer or shorter headers")
}

/// 414.
pub(crate) fn too_long() -> Problem {
    let error = "request target too long";
    Problem::new(StatusCode::URI_TOO_LONG, "uri-too-long", error)
}

fn invalid(detail: &'static str) -> Problem {
    from_status(StatusCode::BAD_REQUEST)
        .error("invalid request target")
        .detail(detail)
}

/// The reason why `path` is invalid, if it is. No path of the platform needs a percent-encoded dot, slash,
/// backslash or control character.
fn path_error(path: &str) -> Option<&'static str> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Some("the path must begin with a slash");
    }
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z' | b'-' | b'_' => {}
            b'/' => match &bytes[at + 1..] {
                [b'/', ..] => return Some("the path has two slashes in a row"),
                [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..] => {
                    return Some("the path has a segment of dots");
                }
                _ => {}
            },
            b'%' => match bytes.get(at + 1..at + 3) {
                Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    match (high, low.to_ascii_lowercase()) {
                        (b'2', b'e' | b'f') | (b'5', b'c') | (b'0' | b'1', _) | (b'7', b'f') => {
                            return Some(
                                "the path has an escaped dot, slash, backslash or control character",
                            );
                        }
                        _ => {}
                    }
                }
                _ => return Some("the path has a percent sign without two hexadecimal digits"),
            },
            b'\\' => return Some("the path has a backslash"),
            0..=0x20 | 0x7f.. => return Some("the path has a byte that must be percent-encoded"),
            _ => {}
        }
    }
    None
}

fn without_trailing_slash(target: &PathAndQuery) -> PathAndQuery {
    let path = target.path();
    // Links in Swagger UI's page are relative to this path.
    if path.len() < 2 || !path.ends_with('/') || path == "/swagger/" {
        return target.clone();
    }
    let shorter = &path[..path.len() - 1];
    let text = match target.query() {
        Some(query) => format!("{shorter}?{query}"),
        None => shorter.to_owned(),
    };
    PathAndQuery::try_from(text).unwrap_or_else(|_| target.clone())
}
