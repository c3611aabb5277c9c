//! Validates and normalizes request targets before anything else reads them: a target that the gateway and a
//! service parse differently could bypass the access rules (request smuggling, path traversal).

use chassis::{Problem, problem::from_status};
use hyper::{
    Method, StatusCode, Version,
    header::HOST,
    http::{request::Parts, uri::PathAndQuery},
};

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
    if hosts > 1 || (hosts == 0 && head.version == Version::HTTP_11) {
        return Err(invalid("send exactly one Host header"));
    }
    if let Some(reason) = path_error(target.path()) {
        return Err(invalid(reason));
    }
    Ok(without_trailing_slash(target))
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
