//! Requests that no honest client sends: refused before anything else looks at them, since what two
//! programs in a row read differently is how attacks begin.

use chassis::{Problem, problem::from_status};
use hyper::{
    Method, StatusCode, Version,
    header::HOST,
    http::{request::Parts, uri::PathAndQuery},
};

/// The path and query that everything after this works with: sane, without the trailing slash.
///
/// # Errors
/// 400 or 414, saying what is wrong.
pub fn check(head: &Parts, target_limit: usize) -> Result<PathAndQuery, Problem> {
    if head.method == Method::CONNECT {
        return Err(invalid(
            "CONNECT is for forward proxies, which this is none of",
        ));
    }
    if head.uri.scheme().is_some() || head.uri.authority().is_some() {
        return Err(invalid(
            "name the path alone in the request line, and the host in Host",
        ));
    }
    let Some(target) = head.uri.path_and_query() else {
        return Err(invalid("the request line names no path"));
    };
    if target.as_str().len() > target_limit {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "uri-too-long",
            "request target too long",
        )
        .detail(format!(
            "path and query may have {target_limit} bytes together"
        )));
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let named = hosts.next().is_some();
    if hosts.next().is_some() || (!named && head.version == Version::HTTP_11) {
        return Err(invalid("give exactly one Host header"));
    }
    if let Some(reason) = wrong_path(target.path()) {
        return Err(invalid(reason));
    }
    Ok(without_trailing_slash(target))
}

fn invalid(detail: &'static str) -> Problem {
    from_status(StatusCode::BAD_REQUEST)
        .error("invalid request target")
        .detail(detail)
}

/// What is wrong with `path`, if anything is. A dot, slash, backslash or NUL behind a percent sign
/// has no use in any path of ours.
fn wrong_path(path: &str) -> Option<&'static str> {
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
    // Swagger UI's own links are relative to a slash.
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

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn checked(target: &str) -> Result<String, u16> {
        let (head, ()) = Request::get(target)
            .header(HOST, "x")
            .body(())
            .expect("a target that http takes")
            .into_parts();
        check(&head, 64)
            .map(|target| target.to_string())
            .map_err(|problem| problem.status().as_u16())
    }

    #[test]
    fn tricks_are_refused() {
        for trick in [
            "/api/../admin",
            "/..",
            "/api/.",
            "/api/./x",
            "/api//x",
            "//host/x",
            "/api/%2e%2e/admin",
            "/api/%2E./admin",
            "/api/a%2fb",
            "/api/a%5Cb",
            "/api/a%00",
            "/api/a%0d%0a",
            "/api/a%",
            "/api/a%4",
            "/api/a%zz",
            "http://host/api/v1/movies",
        ] {
            assert_eq!(checked(trick), Err(400), "{trick}");
        }
        assert_eq!(checked(&format!("/{}", "a".repeat(64))), Err(414));
    }

    #[test]
    fn ordinary_targets_pass_and_lose_their_trailing_slash() {
        for (given, kept) in [
            ("/api/v1/movies", "/api/v1/movies"),
            ("/api/v1/movies/", "/api/v1/movies"),
            ("/api/v1/movies/?page=2", "/api/v1/movies?page=2"),
            ("/a.b/..c/%C3%A9?x=%2f..//", "/a.b/..c/%C3%A9?x=%2f..//"),
            ("/swagger/", "/swagger/"),
            ("/", "/"),
        ] {
            assert_eq!(checked(given).as_deref(), Ok(kept), "{given}");
        }
    }
}
