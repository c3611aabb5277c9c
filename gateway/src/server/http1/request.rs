//! Heads of requests that [`super`] serves. It takes none that another parser could read otherwise: hyper decides on those.

use std::mem::MaybeUninit;

use bytes::Bytes;
use httparse::{Header, ParserConfig, Status};
use hyper::{
    HeaderMap, Request, Uri, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, HeaderName, HeaderValue, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE,
    },
    http::request::Parts,
};

/// The most headers of a request, as in hyper.
const MAX_HEADERS: usize = 100;

/// A request without a body.
pub(super) struct PlainRequest {
    pub(super) head: Parts,
    /// The bytes of the head.
    pub(super) length: usize,
    /// `Connection: close`.
    pub(super) is_last: bool,
}

/// The request at the beginning of `bytes`. `None` unless that is the complete head, of at most `limit` bytes, of a GET request
/// without a body, each line of which ends with CR LF.
pub(super) fn parse(bytes: &Bytes, limit: usize) -> Option<PlainRequest> {
    if !bytes.starts_with(b"GET /") {
        return None;
    }
    let mut lines = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let result =
        ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, bytes, &mut lines);
    let Ok(Status::Complete(length)) = result else {
        return None;
    };
    let (target, lines) = (parsed.path?, &*parsed.headers);
    if parsed.version != Some(1) || length > limit || !ends_with_crlf(bytes, lines, length) {
        return None;
    }
    let target = bytes.slice_ref(target.as_bytes());
    let uri = Uri::from_maybe_shared(target).ok()?;
    let mut headers = HeaderMap::with_capacity(lines.len());
    let mut is_last = false;
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        match name {
            CONTENT_LENGTH | EXPECT | TE | TRAILER | TRANSFER_ENCODING | UPGRADE => return None,
            CONNECTION if line.value.eq_ignore_ascii_case(b"close") => is_last = true,
            CONNECTION if !line.value.eq_ignore_ascii_case(b"keep-alive") => return None,
            _ => {}
        }
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
        headers.append(name, value);
    }
    let (mut head, ()) = Request::new(()).into_parts();
    head.uri = uri;
    head.version = Version::HTTP_11;
    head.headers = headers;
    Some(PlainRequest {
        head,
        length,
        is_last,
    })
}

/// True if the request line, each of `lines` and the empty line after them end with CR LF within the head, which has `length`
/// bytes.
fn ends_with_crlf(bytes: &[u8], lines: &[Header<'_>], length: usize) -> bool {
    let ends_before = |at: usize| {
        let before = at.checked_sub(2).and_then(|from| bytes.get(from..at));
        before == Some(b"\r\n")
    };
    let start = bytes.as_ptr().addr();
    let mut names = lines.iter().map(|line| line.name.as_ptr().addr());
    // The line before each name, and the last two.
    names.all(|name| ends_before(name.wrapping_sub(start)))
        && ends_before(length)
        && ends_before(length.saturating_sub(2))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "GET /a?b=c HTTP/1.1\r\nHost: x\r\nCONNECTION: Keep-Alive\r\nCookie: \ta=b \r\nX-Empty:\r\ncookie: c\r\n\r\n";

    fn parsed(text: &str) -> Option<PlainRequest> {
        parse(&Bytes::copy_from_slice(text.as_bytes()), 200)
    }

    #[test]
    fn a_complete_head_is_parsed_whatever_comes_after_it() {
        for rest in ["", "GET /", "\0"] {
            let request = parsed(&format!("{VALID}{rest}")).expect("a plain request");
            assert_eq!((request.length, request.is_last), (VALID.len(), false));
            let head = request.head;
            assert_eq!(head.uri.path_and_query().expect("a path"), "/a?b=c");
            assert_eq!(head.version, Version::HTTP_11);
            let cookies = head.headers.get_all("cookie").iter();
            assert!(cookies.eq(["a=b", "c"]));
            assert_eq!(head.headers["x-empty"], "");
            assert_eq!(head.headers.len(), 5);
        }
    }

    #[test]
    fn connection_close_tells_of_the_last_request() {
        for value in ["close", "keep-alive\r\nConnection: Close"] {
            let text = VALID.replacen("Keep-Alive", value, 1);
            assert!(parsed(&text).expect("a plain request").is_last);
        }
    }

    #[test]
    fn an_incomplete_head_is_not_parsed() {
        for length in 0..VALID.len() {
            assert!(parsed(&VALID[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn a_line_that_ends_with_lf_alone_is_not_parsed() {
        for (at, _) in VALID.match_indices('\r') {
            let text = format!("{}{}", &VALID[..at], &VALID[at + 1..]);
            assert!(parsed(&text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_request_of_another_kind_is_not_parsed() {
        for (from, to) in [
            ("GET", "HEAD"),
            ("GET", "POST"),
            ("GET", "get"),
            ("GET ", "GET  "),
            ("GET", "\r\nGET"),
            ("/a", "http://x/a"),
            ("/a", "*"),
            ("/a", "/ö<"),
            ("HTTP/1.1", "HTTP/1.0"),
            ("HTTP/1.1", "HTTP/1.1 "),
            ("Host", "Content-Length: 0\r\nHost"),
            ("Host", "Transfer-Encoding: chunked\r\nHost"),
            ("Host", "Expect: 100-continue\r\nHost"),
            ("Host", "upgrade: websocket\r\nHost"),
            ("Host", "TE: trailers\r\nHost"),
            ("Host", "Trailer: x\r\nHost"),
            ("Host", "Host "),
            ("Host", " Host"),
            ("x\r\n", "x\r\n y\r\n"),
            ("x\r\n", "x\ry\r\n"),
            ("x\r\n", "x\0\r\n"),
            ("Keep-Alive", "close, cookie"),
            ("a=b", &"a".repeat(200)),
        ] {
            assert!(VALID.contains(from));
            let text = VALID.replacen(from, to, 1);
            assert!(parsed(&text).is_none(), "{text:?}");
        }
        let many = "X: y\r\n".repeat(MAX_HEADERS + 1);
        let text = format!("GET / HTTP/1.1\r\n{many}\r\n");
        assert!(parse(&Bytes::from(text), 10_000).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..VALID.len()) {
            let text = [&VALID.as_bytes()[..at], &bytes, &VALID.as_bytes()[at..]].concat();
            parse(&Bytes::from(text), 1000);
        }
    }
}
