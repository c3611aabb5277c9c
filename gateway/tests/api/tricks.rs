//! Malformed and ambiguous requests, written byte for byte, in cleartext and over TLS: each is refused with a problem and does
//! not reach a service.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::Request};
use chassis::testing::eventually;
use gateway::Role;
use http_body_util::BodyExt;

use crate::{
    stage::{MAX_WAIT, echo, endless_service, read_rest, serve, status_of},
    wire::{Wire, wires, wires_to},
};

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_targets_are_refused() {
    for wire in wires(&[]).await {
        for target in [
            "/api/v1/../admin/sync",
            "/api/v1/movies/..",
            "/api/v1/movies/./1",
            "/api/v1//movies",
            "//api/v1/movies",
            "/api/v1/movies/%2e%2e/users",
            "/api/v1/movies/%2E%2E",
            "/api/v1/movies/%2E./1",
            "/api/v1/movies/a%2fb",
            "/api/v1/movies/a%5Cb",
            "/api/v1/movies/a%00",
            "/api/v1/movies/%0d%0aX:1",
            "/api/v1/movies/%",
            "/api/v1/movies/a%4",
            "/api/v1/movies/a%zz",
            "/api/v1/movies/.",
            "/..",
            "/api/v1/movies/a\\b",
            "http://127.0.0.1/api/v1/movies",
            "http://elsewhere/api/v1/movies",
            "*",
            "api/v1/movies",
            "/api/v1/movies/a\u{0}b",
            "/api/v1/movies/a\tb",
        ] {
            let bytes = wire.request(&format!("GET {target} HTTP/1.1\r\nHost: x"), "");
            let status = status_of(&wire.refused(&bytes));
            assert_eq!(status, 400, "{target:?}");
        }
        let connect = wire.request("CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere", "");
        assert_eq!(status_of(&wire.refused(&connect)), 400);
        wire.nothing_through();
        let valid = wire.request("GET /api/v1/movies HTTP/1.1\r\nHost: x", "");
        assert_eq!(status_of(&wire.send(&valid)), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_large_heads_are_refused() {
    for wire in wires(&[]).await {
        let long = format!(
            "GET /api/v1/movies?q={} HTTP/1.1\r\nHost: x",
            "a".repeat(8200)
        );
        assert_eq!(status_of(&wire.refused(&wire.request(&long, ""))), 414);
        let longest = format!(
            "GET /api/v1/movies?q={} HTTP/1.1\r\nHost: x",
            "a".repeat(66_000)
        );
        let status = status_of(&wire.refused(&wire.request(&longest, "")));
        assert!([414, 431].contains(&status), "{status}");
        let get = "GET /api/v1/movies HTTP/1.1\r\nHost: x";
        for bytes in [40_000, 100_000, 1_000_000] {
            let header = format!("X-Large: {}\r\n", "a".repeat(bytes));
            assert_eq!(
                status_of(&wire.refused(&wire.request(get, &header))),
                431,
                "{bytes}"
            );
        }
        let many = "X-Many: 1\r\n".repeat(200);
        assert_eq!(status_of(&wire.refused(&wire.request(get, &many))), 431);
        wire.nothing_through();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn contradicting_lengths_are_refused() {
    for wire in wires(&[]).await {
        let post = "POST /api/v1/users HTTP/1.1\r\nHost: x";
        for headers in [
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: 3, 4\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: 3x\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding : chunked\r\n",
            " X-Folded: 1\r\n",
            "X-No-Colon\r\n",
            "X-Null: a\u{0}b\r\n",
        ] {
            let status = status_of(&wire.refused(&wire.request(post, headers)));
            assert_eq!(status, 400, "{headers:?}");
        }
        for hosts in ["", "\r\nHost: a\r\nHost: b"] {
            let line = format!("GET /api/v1/movies HTTP/1.1{hosts}");
            assert_eq!(
                status_of(&wire.refused(&wire.request(&line, ""))),
                400,
                "{hosts:?}"
            );
        }
        wire.nothing_through();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_transfer_codings_are_not_implemented() {
    for wire in wires(&[]).await {
        let post = "POST /api/v1/users HTTP/1.1\r\nHost: x";
        for codings in [
            "gzip, chunked",
            "GZIP,chunked",
            "deflate, chunked",
            "compress, chunked",
            "br, chunked",
            "identity, chunked",
            "xchunked, chunked",
            "chunked, gzip, chunked",
            "gzip\r\nTransfer-Encoding: chunked",
        ] {
            let headers = format!("Transfer-Encoding: {codings}\r\n");
            let mut bytes = wire.request(post, &headers);
            bytes.extend_from_slice(b"2\r\n{}\r\n0\r\n\r\n");
            let response = wire.refused(&bytes);
            assert_eq!(status_of(&response), 501, "{codings}: {response}");
            assert!(response.contains("connection: close"), "{response}");
        }
        for twice in ["chunked, chunked", "chunked\r\nTransfer-Encoding: chunked"] {
            let mut bytes = wire.request(post, &format!("Transfer-Encoding: {twice}\r\n"));
            bytes.extend_from_slice(b"0\r\n\r\n");
            assert_eq!(status_of(&wire.refused(&bytes)), 400, "{twice}");
        }
        wire.nothing_through();
        let mut bytes = wire.request(post, "Transfer-Encoding: Chunked\r\n");
        bytes.extend_from_slice(b"0\r\n\r\n");
        assert_eq!(status_of(&wire.send(&bytes)), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_end_with_a_line_feed_alone_are_refused_unless_a_setting_permits_them() {
    let requests = |wire: &Wire| {
        let token = wire.stage.token("1", Role::Admin);
        let head = format!("Host: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n");
        [
            format!("GET /api/v1/movies HTTP/1.1\n{head}\r\n"),
            format!("GET /api/v1/movies HTTP/1.1\r\n{head}\n"),
            format!("GET /api/v1/movies HTTP/1.1\r\nX: y\n{head}\r\n"),
            format!("GET /api/v1/movies HTTP/1.1\r\n{head}\r\n").replace("\r\n", "\n"),
        ]
    };
    for strict in wires(&[]).await {
        for request in requests(&strict) {
            let response = strict.refused(request.as_bytes());
            assert_eq!(status_of(&response), 400, "{request}");
        }
        strict.nothing_through();
        // Bodies are not lines, and further requests of the connection are checked likewise.
        let token = strict.stage.token("1", Role::Admin);
        let body = "{\n\n}\n";
        let post = format!(
            "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let response = strict.send(format!("{post}{post}GET / HTTP/1.1\n\n").as_bytes());
        assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 2, "{response}");
        assert_eq!(
            response.matches("HTTP/1.1 400 Bad Request").count(),
            1,
            "{response}"
        );
    }
    for lenient in wires(&[("STRICT_LINE_ENDS", "false")]).await {
        for request in requests(&lenient) {
            let response = lenient.send(request.as_bytes());
            assert_eq!(status_of(&response), 200, "{request}");
        }
    }
    // In a body, whose head its service has received.
    for reading in wires_to(serve(echo()).await, &[]) {
        for chunks in [
            "2\n{}\r\n0\r\n\r\n",
            "2\r\n{}\n0\r\n\r\n",
            "0\r\nX: y\n\r\n",
            "0\r\n\n",
        ] {
            let mut bytes = reading.request(
                "POST /api/v1/users HTTP/1.1\r\nHost: x",
                "Transfer-Encoding: chunked\r\n",
            );
            bytes.extend_from_slice(chunks.as_bytes());
            let response = reading.refused(&bytes);
            assert_eq!(status_of(&response), 400, "{chunks:?}: {response}");
        }
    }
}

/// RFC 9112, 6.3: the length is ignored and the connection closed, so that neither the gateway nor a service
/// parses what follows the body as another request.
#[tokio::test(flavor = "multi_thread")]
async fn content_length_with_chunked_encoding_smuggles_no_request() {
    for wire in wires(&[]).await {
        let token = wire.stage.token("1", Role::Admin);
        for framing in [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 4",
        ] {
            wire.seen.store(0, Ordering::SeqCst);
            let bytes = format!(
                "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{framing}\r\n\r\n\
             0\r\n\r\nGET /api/v1/movies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            );
            let response = wire.send(bytes.as_bytes());
            assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
            assert_eq!(wire.seen(), 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_http_are_refused() {
    for wire in wires(&[]).await {
        for bytes in [
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello\r\n\r\n"[..],
            b"HELLO\r\n\r\n",
            b"GET /api/v1/movies\r\n\r\n",
            b"GET /api/v1/movies HTTP/9.9\r\nHost: x\r\n\r\n",
        ] {
            let response = wire.send(bytes);
            assert!(
                response.is_empty() || status_of(&response) == 400,
                "{response}"
            );
        }
        wire.nothing_through();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_served_in_order() {
    for wire in wires(&[]).await {
        let health = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
        let response =
            wire.send(format!("{health}{health}{health}GET nonsense\r\n\r\n").as_bytes());
        assert_eq!(response.matches("HTTP/1.1 200 OK").count(), 3, "{response}");
        assert_eq!(
            response.matches("HTTP/1.1 400 Bad Request").count(),
            1,
            "{response}"
        );
        assert!(response.trim_end().ends_with('}'), "{response}");
    }
}

/// Requests with and without bodies, which are read by different parsers, however they arrive.
#[tokio::test(flavor = "multi_thread")]
async fn requests_of_different_kinds_follow_each_other() {
    let get = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = get.len();
    let post = format!("POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{get}");
    let chunks = format!("{length:x}\r\n{get}\r\n0\r\n\r\n");
    let chunked =
        format!("GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let head = "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let text = format!("{get}{get}{post}{get}{chunked}{head}{get}{last}");
    let expected = ["200", "200", "401", "200", "200", "200", "200", "200"];
    for wire in wires(&[]).await {
        for at in (0..text.len()).step_by(5) {
            let mut stream = wire.connect();
            stream.socket().set_read_timeout(Some(MAX_WAIT)).unwrap();
            stream.socket().set_nodelay(true).unwrap();
            let (before, after) = text.split_at(at);
            for part in [before, after] {
                stream.write_all(part.as_bytes()).unwrap();
                stream.flush().unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let response = read_rest(&mut *stream);
            let statuses = response.split("HTTP/1.1 ").skip(1).map(|part| &part[..3]);
            let statuses: Vec<&str> = statuses.collect();
            assert_eq!(statuses, expected, "{} {at}: {response}", wire.name());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_their_head_too_slowly_are_disconnected() {
    for wire in wires(&[("HEAD_TIMEOUT_MS", "300")]).await {
        let mut stream = wire.connect();
        stream
            .socket()
            .set_read_timeout(Some(Duration::from_millis(50)))
            .unwrap();
        stream
            .write_all(b"GET /api/v1/movies HTTP/1.1\r\nHost: x\r\n")
            .unwrap();
        let started = Instant::now();
        // An occasional byte does not extend the limit.
        while started.elapsed() < Duration::from_secs(5) {
            if stream.write_all(b"X-Drop: 1\r\n").is_err() {
                break;
            }
            let _ = read_rest(&mut *stream);
        }
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "still connected"
        );
        wire.nothing_through();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_send_their_body_too_slowly_are_refused() {
    let more = [("BODY_GRACE_MS", "300"), ("BODY_MIN_BYTES_PER_SECOND", "1")];
    for wire in wires_to(serve(echo()).await, &more) {
        let post = "POST /api/v1/users HTTP/1.1\r\nHost: x";
        let mut bytes = wire.request(post, "Content-Length: 1000\r\n");
        bytes.extend_from_slice(b"{");
        let mut stream = wire.connect();
        stream.socket().set_read_timeout(Some(MAX_WAIT)).unwrap();
        stream.write_all(&bytes).unwrap();
        let response = read_rest(&mut *stream);
        assert_eq!(status_of(&response), 408, "{}: {response}", wire.name());
    }
}

/// A client that ends what it sends in the middle of a request.
#[tokio::test(flavor = "multi_thread")]
async fn requests_that_break_off_never_reach_a_service_whole() {
    let whole = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&whole);
    let app = Router::new().fallback(move |request: Request| {
        let count = Arc::clone(&count);
        async move {
            if request.into_body().collect().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
    });
    for wire in wires_to(serve(app).await, &[]) {
        let post = "POST /api/v1/users HTTP/1.1\r\nHost: x";
        let mut sent = 0;
        for (headers, body) in [
            ("Content-Length: 10\r\n", "hello"),
            ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
            ("Transfer-Encoding: chunked\r\n", "5\r\nhel"),
            ("Transfer-Encoding: chunked\r\n", "0\r\n"),
        ] {
            let head = wire.request(post, headers);
            let all = [&head, body.as_bytes()].concat();
            // In the body, at the end of the head, and in the head.
            for length in [all.len(), head.len(), head.len() - 2, 20] {
                let mut stream = wire.connect();
                stream.socket().set_read_timeout(Some(MAX_WAIT)).unwrap();
                stream.write_all(&all[..length]).unwrap();
                stream.end();
                let response = read_rest(&mut *stream);
                sent += 1;
                assert!(!response.contains("200 OK"), "{length}: {response}");
            }
        }
        let (name, whole) = (wire.name(), whole.load(Ordering::SeqCst));
        println!("{name}: {sent} requests broke off, {whole} of them reached the service whole");
        assert_eq!(whole, 0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_their_response_are_disconnected() {
    let (app, _, ended) = endless_service();
    let wires = wires_to(serve(app).await, &[("CLIENT_STALL_TIMEOUT_MS", "300")]);
    for (wire, number) in wires.iter().zip(1..) {
        let bytes = wire.request("GET /api/v1/movies HTTP/1.1\r\nHost: x", "");
        let mut stream = wire.connect();
        stream.write_all(&bytes).unwrap();
        eventually("the gateway gives up", || async {
            ended.load(Ordering::SeqCst) == number
        })
        .await;
    }
}
