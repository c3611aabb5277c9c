//! Ambiguous framing, invalid heads, and forged identities.

use super::*;

pub(super) fn framing(actors: &Actors) -> Vec<Case> {
    let body = b"{\"username\":\"bad1\",\"email\":\"a@b\"}";
    let length = body.len();
    let users = |headers: &str, body: &[u8]| {
        with_headers("POST", "/api/v1/users", &actors.admin, headers, body)
    };
    let smuggled = format!(
        "0\r\n\r\nPOST /api/v1/users HTTP/1.1\r\nHost: marquee\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n\r\n{}",
        actors.admin,
        String::from_utf8_lossy(body)
    );
    let mut cases = vec![
        case("two lengths that differ", users(&format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), body), Refusal),
        case("two lengths in one line", users(&format!("Content-Length: {length}, 5\r\n"), body), Refusal),
        case("the same length twice in one line", users("Content-Length: 2, 2\r\n", b"{}"), Refusal),
        case("the same length twice", users("Content-Length: 2\r\nContent-Length: 2\r\n", b"{}"), Refusal),
        case("a length below zero", users("Content-Length: -1\r\n", b""), Refusal),
        case("a length with a sign", users("Content-Length: +2\r\n", b"{}"), Refusal),
        case("a length in hexadecimal", users("Content-Length: 0x2\r\n", b"{}"), Refusal),
        case("a length beyond 64 bits", users("Content-Length: 99999999999999999999999\r\n", b""), Refusal),
        case("length and chunks", users("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", smuggled.as_bytes()), Refusal),
        case("chunks and length", users("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", smuggled.as_bytes()), Refusal),
        case("an unknown coding", users("Transfer-Encoding: gzip\r\n", body), Refusal),
        case("chunked before another coding", users("Transfer-Encoding: chunked, gzip\r\n", body), Refusal),
        case("a coding before chunked", users("Transfer-Encoding: gzip, chunked\r\n", smuggled.as_bytes()), Problem(&[501])),
        case("a coding in a line before chunked", users("Transfer-Encoding: deflate\r\nTransfer-Encoding: chunked\r\n", smuggled.as_bytes()), Problem(&[501])),
        case("chunked twice", users("Transfer-Encoding: chunked, chunked\r\n", smuggled.as_bytes()), Problem(&[400])),
        case("a request line that ends with a line feed", format!("GET /api/v1/movies HTTP/1.1\nHost: marquee\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", actors.anna).into_bytes(), Problem(&[400])),
        case("a header that ends with a line feed", users("Content-Length: 2\nX: y\r\n", b"{}"), Problem(&[400])),
        case("a head that ends with a line feed", format!("GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\n", actors.anna).into_bytes(), Problem(&[400])),
        case("a blank after the name Transfer-Encoding", users("Transfer-Encoding : chunked\r\n", smuggled.as_bytes()), Refusal),
        case("a coding whose name ends with chunked", users("Transfer-Encoding: xchunked\r\n", smuggled.as_bytes()), Refusal),
        case("a chunk without a size", users("Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n"), Refusal),
        case("a chunk size beyond 64 bits", users("Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\n"), Refusal),
        case("no host", format!("GET /api/v1/movies HTTP/1.1\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n", actors.anna).into_bytes(), Problem(&[400])),
        case("two hosts", with_headers("GET", "/api/v1/movies", &actors.anna, "Host: other\r\n", b""), Problem(&[400])),
        case("the absolute form", plain("GET", "http://marquee/api/v1/movies", &actors.anna, b""), Problem(&[400])),
        case("the absolute form of another host", plain("GET", "http://169.254.169.254/latest/meta-data/", &actors.anna, b""), Problem(&[400])),
        case("the absolute form with https", plain("GET", "https://evil.example/api/v1/movies", &actors.anna, b""), Problem(&[400])),
        case("the authority form", plain("CONNECT", "evil.example:443", &actors.anna, b""), Problem(&[400, 405])),
        case("the asterisk form", plain("OPTIONS", "*", &actors.anna, b""), Problem(&[400, 404, 405])),
        case("a path without a leading slash", plain("GET", "api/v1/movies", &actors.anna, b""), Refusal),
        case("TRACE", plain("TRACE", "/api/v1/movies", &actors.anna, b""), Problem(&[400, 405])),
        case("an unknown method", plain("BREW", "/api/v1/movies", &actors.anna, b""), Problem(&[400, 405])),
        case("a method in lower case", plain("get", "/api/v1/movies", &actors.anna, b""), Problem(&[400, 405])),
    ];
    for (name, ending, text) in [
        ("nothing", Ending::HalfClose, ""),
        ("a blank line", Ending::HalfClose, "\r\n\r\n"),
        (
            "garbage",
            Ending::Open,
            "\x16\x03\x01\x02\x00\x01\x00\x01\x7f\x03\x03garbage\r\n\r\n",
        ),
        ("HTTP/0.9", Ending::HalfClose, "GET /api/v1/movies\r\n\r\n"),
        (
            "HTTP/3.7",
            Ending::Open,
            "GET /api/v1/movies HTTP/3.7\r\nHost: marquee\r\n\r\n",
        ),
        (
            "no version",
            Ending::Open,
            "GET /api/v1/movies HTTP\r\nHost: marquee\r\n\r\n",
        ),
        (
            "a blank in the path",
            Ending::Open,
            "GET /api/v1/ movies HTTP/1.1\r\nHost: marquee\r\n\r\n",
        ),
        (
            "a NUL in the path",
            Ending::Open,
            "GET /api/v1/movies\0 HTTP/1.1\r\nHost: marquee\r\n\r\n",
        ),
        (
            "a header without a colon",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost marquee\r\n\r\n",
        ),
        (
            "a header name with a blank",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost : marquee\r\n\r\n",
        ),
        (
            "a header without a name",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\n: x\r\n\r\n",
        ),
        (
            "a NUL in a header",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nX: a\0b\r\n\r\n",
        ),
        (
            "a folded header",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nX: a\r\n b\r\n\r\n",
        ),
        (
            "a carriage return in a header",
            Ending::Open,
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nX: a\rY: b\r\n\r\n",
        ),
    ] {
        cases.push(Case {
            ending,
            ..case(name, text.as_bytes().to_vec(), Refusal)
        });
    }
    // Truncated in the middle of the body.
    for path in [
        "/api/v1/users".to_owned(),
        format!("/api/v1/users/{}/preferences", actors.user),
    ] {
        cases.push(Case {
            ending: Ending::HalfClose,
            ..case(
                format!("a body that breaks off, to {path}"),
                with_headers(
                    "POST",
                    &path,
                    &actors.admin,
                    "Content-Length: 1000\r\n",
                    b"{\"username\":\"bad1\"",
                ),
                Refusal,
            )
        });
        cases.push(Case {
            ending: Ending::HalfClose,
            ..case(
                format!("chunks that break off, to {path}"),
                with_headers(
                    "POST",
                    &path,
                    &actors.admin,
                    "Transfer-Encoding: chunked\r\n",
                    b"2\r\n{}\r\n",
                ),
                Refusal,
            )
        });
    }
    cases
}

/// A request of a user for a list, with more `headers`.
fn get(actors: &Actors, headers: &str) -> Vec<u8> {
    let target = "/api/v1/movies?page_size=1";
    with_headers("GET", target, &actors.anna, headers, b"")
}

pub(super) fn heads(actors: &Actors) -> Vec<Case> {
    let get = |headers: &str| get(actors, headers);
    let large = format!("X-Large: {}\r\n", "x".repeat(100_000));
    let many: String = (0..500)
        .map(|number| format!("X-{number}: x\r\n"))
        .collect();
    let bare = |headers: &str| {
        format!(
            "GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nConnection: close\r\n{headers}\r\n"
        )
        .into_bytes()
    };
    vec![
        case("a head of 100 kB", get(&large), Refusal),
        case("500 headers", get(&many), Refusal),
        case("two tokens", get(&format!("Authorization: Bearer {}\r\n", actors.admin)), Problem(&[400, 401])),
        case("no token", bare(""), Problem(&[401])),
        case("an empty token", bare("Authorization: Bearer \r\n"), Problem(&[401])),
        case("another scheme", bare("Authorization: Basic YTpi\r\n"), Problem(&[401])),
        case("a token of 20 kB", bare(&format!("Authorization: Bearer {}\r\n", "x".repeat(20_000))), Problem(&[401])),
        case("a token that is not UTF-8", b"GET /api/v1/movies HTTP/1.1\r\nHost: marquee\r\nConnection: close\r\nAuthorization: Bearer \xff\xfe\r\n\r\n".to_vec(), Problem(&[401])),
        case("a token with a tab", bare("Authorization: Bearer a\tb\r\n"), Problem(&[401])),
        case("a token of dots", bare("Authorization: Bearer ...\r\n"), Problem(&[401])),
        case("a token in the query", plain("GET", &format!("/api/v1/movies?access_token={}", actors.admin), "", b""), Problem(&[400, 401])),
        case("a malformed request id", get("X-Request-Id: a b{}<script>\r\n"), NoEffect(&[200])),
        case("a malformed trace context", get("traceparent: 00-xyz\r\ntracestate: \x7f\r\n"), NoEffect(&[200, 400])),
        case("a malformed entity tag", get("If-None-Match: \"\r\n"), NoEffect(&[200])),
        case("a range", get("Range: bytes=0-99999999999999999999\r\n"), NoEffect(&[200])),
        case("an unsupported expectation", with_headers("POST", "/api/v1/users", &actors.admin, "Expect: wonders\r\nContent-Length: 2\r\n", b"{}"), Problem(&[400, 417])),
        case("another method in a header", get("X-HTTP-Method-Override: DELETE\r\n"), NoEffect(&[200])),
        case("another path in a header", get("X-Original-URL: /internal/v1/changes\r\nX-Rewrite-URL: /internal/v1/changes\r\n"), NoEffect(&[200])),
        case("an upgrade to HTTP/2", get("Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"), NoEffect(&[200])),
        case("an upgrade to a web socket", get("Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"), NoEffect(&[200])),
    ]
}

/// Forged identity headers.
pub(super) fn forged_identities(actors: &Actors) -> Vec<Case> {
    let admin = json!({"sub": "1", "role": "admin", "roles": ["admin"]}).to_string();
    let mut cases = Vec::new();
    for principal in [&*admin, "admin", "1", "user:1;role=admin"] {
        let header = format!("X-Principal: {principal}\r\nContent-Length: 0\r\n");
        cases.push(case(
            format!("X-Principal: {principal} on /admin"),
            with_headers(
                "POST",
                "/api/v1/admin/sync?pages=1",
                &actors.anna,
                &header,
                b"",
            ),
            Problem(&[403]),
        ));
        let other = format!("/api/v1/users/{}/preferences", actors.user + 1);
        cases.push(case(
            format!("X-Principal: {principal} on another user"),
            with_headers("GET", &other, &actors.anna, &header, b""),
            Problem(&[403]),
        ));
    }
    let token = crate::stage::INTERNAL_TOKEN;
    let stranger = |target: &str, headers: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: marquee\r\nConnection: close\r\n{headers}\r\n")
            .into_bytes()
    };
    let internal = format!("X-Internal-Token: {token}\r\nX-Principal: {admin}\r\n");
    cases.push(case(
        "the internal token instead of an access token",
        stranger("/api/v1/movies", &internal),
        Problem(&[401]),
    ));
    cases.push(case(
        "the internal token on an internal path",
        stranger("/internal/v1/changes", &internal),
        Problem(&[401, 404]),
    ));
    let get = |headers: &str| get(actors, headers);
    // None of these may replace the gateway's own headers.
    cases.push(case(
        "a wrong internal token",
        get("X-Internal-Token: wrong\r\n"),
        NoEffect(&[200]),
    ));
    cases.push(case(
        "the internal token twice",
        get("X-Internal-Token: wrong\r\nx-internal-token: wrong\r\n"),
        NoEffect(&[200]),
    ));
    cases.push(case(
        "a Connection header that lists the gateway's own headers",
        get("Connection: X-Internal-Token, X-Principal, Authorization, X-Request-Id\r\n"),
        NoEffect(&[200, 400]),
    ));
    cases.push(case(
        "a Connection header that lists Host",
        get("Connection: Host\r\n"),
        NoEffect(&[200, 400]),
    ));
    cases.push(case(
        "another client's address",
        get("X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n"),
        NoEffect(&[200]),
    ));
    cases.push(case(
        "malformed client addresses",
        get("X-Forwarded-For: \x01, ::::, 999.1.1.1\r\nX-Forwarded-Proto: x\r\n"),
        NoEffect(&[200, 400]),
    ));
    cases
}
