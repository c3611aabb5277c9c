//! Frames of HTTP/2 that are malformed or meant to exhaust a server: each is refused, does not reach a service beyond what
//! a client may request, and disturbs no other client.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use chassis::testing::eventually;
use gateway::Role;
use serde_json::Value;

use crate::{
    http2_frames::{
        CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FrameClient,
        GOAWAY, HEADERS, NO_ERROR, PING, PREFACE, RST_STREAM, SETTINGS, frame, get, header,
    },
    stage::{MAX_WAIT, Stage, endless_service, read_rest, serve},
    wire::watched,
};

const PATH: &str = "/api/v1/movies";

/// The setting of the window of streams.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// Frames of a GET on `stream`.
fn request(stream: u32, headers: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, headers)
}

/// Fails unless another client is served.
async fn assert_serves(stage: &Stage) {
    assert_eq!(stage.get("/health").await.status, 200);
}

/// A gateway whose service never responds, and the number of requests that it has seen.
async fn unanswered() -> (Stage, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    let app = Router::new().fallback(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<()>()
    });
    (Stage::new(serve(app).await, &[]), count)
}

fn seen(count: &Arc<AtomicUsize>) -> usize {
    count.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_requests_are_refused_and_the_connection_goes_on() {
    let (stage, count) = watched(&[]).await;
    let token = stage.token("1", Role::Admin);
    let valid = get(PATH, &token);
    let with = |more: Vec<u8>| [valid.clone(), more].concat();
    let without = |name: &[u8]| {
        let all: [(&[u8], &[u8]); 4] = [
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":authority", b"localhost"),
            (b":path", PATH.as_bytes()),
        ];
        let parts = all.iter().filter(|(own, _)| *own != name);
        parts
            .map(|(name, value)| header(name, value))
            .collect::<Vec<_>>()
            .concat()
    };
    let mut client = FrameClient::connect(stage.address, &[]);
    let mut stream = 1;
    // Malformed by the rules of HTTP/2: the stream is reset.
    for (what, headers) in [
        ("no method", without(b":method")),
        ("no scheme", without(b":scheme")),
        ("no path", without(b":path")),
        (
            "an empty path",
            [without(b":path"), header(b":path", b"")].concat(),
        ),
        ("a connection header", with(header(b"connection", b"close"))),
        (
            "a transfer coding",
            with(header(b"transfer-encoding", b"chunked")),
        ),
        ("an upgrade", with(header(b"upgrade", b"websocket"))),
        // RFC 8441, which the gateway does not announce.
        (
            "an extended CONNECT",
            [
                header(b":method", b"CONNECT"),
                header(b":protocol", b"websocket"),
                without(b":method"),
            ]
            .concat(),
        ),
        ("a late pseudo-header", with(header(b":path", b"/health"))),
        (
            "a length without a body",
            with(header(b"content-length", b"5")),
        ),
    ] {
        client.send(&request(stream, &headers));
        let error = client.response(stream).expect_err(what);
        assert_eq!(error, Some(1), "{what}");
        stream += 2;
    }
    // Malformed by the rules of HTTP: a problem.
    for (what, headers, status) in [
        ("no authority", without(b":authority"), 400),
        ("another host", with(header(b"host", b"elsewhere")), 400),
        (
            "two hosts",
            with([header(b"host", b"localhost"), header(b"host", b"b")].concat()),
            400,
        ),
        (
            "a user in the authority",
            [
                without(b":authority"),
                header(b":authority", b"user@localhost"),
            ]
            .concat(),
            400,
        ),
        ("dots", get("/api/v1/movies/../users", &token), 400),
        ("two slashes", get("//api/v1/movies", &token), 400),
        ("an escaped slash", get("/api/v1/movies/a%2fb", &token), 400),
        ("an asterisk", get("*", &token), 400),
        (
            "a long path",
            get(&format!("{PATH}?q={}", "a".repeat(8200)), &token),
            414,
        ),
        (
            "many headers",
            with(header(b"x-many", b"1").repeat(100)),
            431,
        ),
        (
            "long headers",
            with(header(b"x-long", &[b'a'; 4000]).repeat(9)),
            431,
        ),
        ("a token that is none", get(PATH, "nonsense"), 401),
    ] {
        let (first, rest) = headers.split_at(headers.len().min(16_000));
        client.send(&frame(HEADERS, END_STREAM, stream, first));
        let parts: Vec<&[u8]> = rest.chunks(16_000).collect();
        for part in &parts {
            client.send(&frame(CONTINUATION, 0, stream, part));
        }
        client.send(&frame(CONTINUATION, END_HEADERS, stream, &[]));
        let (_, body) = client.response(stream).expect(what);
        let problem: Value = serde_json::from_slice(&body).expect(what);
        assert_eq!(problem["status"], status, "{what}: {problem}");
        assert!(problem["request_id"].is_string(), "{problem}");
        stream += 2;
    }
    assert_eq!(seen(&count), 0);
    client.send(&request(stream, &valid));
    let (_, body) = client.response(stream).expect("a response");
    assert_eq!((&body[..], seen(&count)), (&b"through"[..], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn violations_of_the_framing_end_the_connection() {
    let (stage, count) = watched(&[]).await;
    let token = stage.token("1", Role::Admin);
    let valid = get(PATH, &token);
    for (what, bytes) in [
        ("data without a stream", frame(DATA, 0, 0, b"x")),
        ("data on an idle stream", frame(DATA, END_STREAM, 1, b"x")),
        ("headers without a stream", request(0, &valid)),
        ("an even stream", request(2, &valid)),
        (
            "a frame that is too large",
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0; 20_000]),
        ),
        (
            "a continuation of nothing",
            frame(CONTINUATION, END_HEADERS, 1, &valid),
        ),
        (
            "a header block that is interrupted",
            [
                frame(HEADERS, END_STREAM, 1, &valid),
                frame(PING, 0, 0, &[0; 8]),
            ]
            .concat(),
        ),
        ("settings of a wrong length", frame(SETTINGS, 0, 0, &[0; 5])),
        (
            "a window of more than 31 bits",
            frame(SETTINGS, 0, 0, &[0, 4, 255, 255, 255, 255]),
        ),
        (
            "a reset of an idle stream",
            frame(RST_STREAM, 0, 9, &CANCEL.to_be_bytes()),
        ),
        ("a pushed stream", frame(5, END_HEADERS, 1, &[0, 0, 0, 2])),
        (
            "capitals",
            request(1, &[valid.clone(), header(b"X-Capitals", b"1")].concat()),
        ),
        (
            "a line end in a value",
            request(
                1,
                &[valid.clone(), header(b"x-two", b"a\r\nx-three: b")].concat(),
            ),
        ),
        (
            "a null in a value",
            request(1, &[valid.clone(), header(b"x-null", b"a\0b")].concat()),
        ),
        (
            "a space in a name",
            request(1, &[valid.clone(), header(b"x y", b"1")].concat()),
        ),
        (
            "an unknown pseudo-header",
            request(1, &[header(b":x", b"1"), valid.clone()].concat()),
        ),
        ("an invalid index", request(1, &[0xff, 0xff, 0xff, 0x7f])),
        (
            "HTTP/1.1",
            format!("GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n")
                .into_bytes(),
        ),
    ] {
        let mut client = FrameClient::connect(stage.address, &[]);
        client.send(&bytes);
        let error = client.goaway();
        assert_ne!(error, Some(NO_ERROR), "{what}");
        assert_eq!(client.find(|_| false), None, "{what}");
    }
    // A preface that is almost one is a request of HTTP/1.1 that is none.
    for almost in [
        &b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"[..],
        b"PRI * HTTP/1.1\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(stage.address).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        stream.write_all(almost).unwrap();
        let response = read_rest(&mut stream);
        assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    }
    assert_eq!(seen(&count), 0);
    assert_serves(&stage).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preface_may_come_in_pieces_but_not_late() {
    let (stage, _) = watched(&[("HEAD_TIMEOUT_MS", "500")]).await;
    let token = stage.token("1", Role::Admin);
    let bytes = [
        PREFACE,
        &frame(SETTINGS, 0, 0, &[]),
        &request(1, &get(PATH, &token)),
    ]
    .concat();
    for at in [1, 3, 14, 23, 24, 25] {
        let stream = TcpStream::connect(stage.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        let mut client = FrameClient(stream);
        client.send(&bytes[..at]);
        client.send(&bytes[at..]);
        let (_, body) = client.response(1).expect("a response");
        assert_eq!(body, b"through", "{at}");
    }
    let mut late = TcpStream::connect(stage.address).unwrap();
    late.set_read_timeout(Some(MAX_WAIT)).unwrap();
    late.write_all(&PREFACE[..10]).unwrap();
    assert_eq!(late.read(&mut [0; 10]).expect("an end in time"), 0);
}

/// CVE-2023-44487.
#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_ends_the_connection() {
    let (stage, count) = watched(&[]).await;
    let token = stage.token("1", Role::Admin);
    let valid = get(PATH, &token);
    let burst: Vec<u8> = (0..2000)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            let reset = frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            [request(stream, &valid), reset].concat()
        })
        .collect();
    let mut client = FrameClient::connect(stage.address, &[]);
    client.send(&burst);
    // The connection may be reset while it is written to, so that nothing can be read of it.
    let error = client.goaway();
    assert!(
        [None, Some(ENHANCE_YOUR_CALM)].contains(&error),
        "{error:?}"
    );
    assert_eq!(client.find(|_| false), None);
    assert!(seen(&count) <= 200, "{}", seen(&count));
    assert_serves(&stage).await;
    println!(
        "rapid reset: 2000 requests and resets in a burst, {} reached the service",
        seen(&count)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_cancels_most_requests_is_sent_away() {
    let (stage, count) = unanswered().await;
    let token = stage.token("1", Role::Admin);
    let mut client = FrameClient::connect(stage.address, &[]);
    let mut sent = 0;
    // One at a time, as the bounds of bursts do not see it.
    let goaway = loop {
        assert!(sent < 300, "the connection goes on");
        let stream = 2 * sent + 1;
        if !client.send(&request(stream, &get(PATH, &token))) {
            break None;
        }
        sent += 1;
        client.send(&frame(PING, 0, 0, &[0; 8]));
        let next = client.find(|frame| matches!(frame.kind, PING | GOAWAY));
        match next {
            Some(next) if next.kind == PING => {}
            next => break next,
        }
        client.send(&frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    };
    let error = goaway.and_then(|frame| frame.error());
    assert_eq!(error, Some(NO_ERROR), "after {sent}");
    assert!(sent > 100, "{sent}");
    client.send(&frame(RST_STREAM, 0, 2 * sent - 1, &CANCEL.to_be_bytes()));
    assert_eq!(client.find(|_| false), None);
    assert_serves(&stage).await;
    println!(
        "cancelled one by one: sent away after {sent}, {} reached the service",
        seen(&count)
    );
}

/// CVE-2024-27316.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_continuations_ends_the_connection() {
    let (stage, count) = watched(&[]).await;
    for (what, part) in [
        ("empty", vec![]),
        ("small", header(b"x", b"1")),
        ("large", header(b"x", &[b'a'; 16_000])),
    ] {
        let mut client = FrameClient::connect(stage.address, &[]);
        client.send(&frame(HEADERS, END_STREAM, 1, &get(PATH, "x")));
        let mut sent = 0;
        while sent < 100_000 && client.send(&frame(CONTINUATION, 0, 1, &part)) {
            sent += 1;
        }
        assert!(sent < 100_000, "{what}: the connection goes on");
        println!("CONTINUATION flood, {what} frames: ended after at most {sent}");
    }
    assert_eq!(seen(&count), 0);
    assert_serves(&stage).await;
}

/// A small block of headers that becomes large: one entry of the table, named again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_bomb_is_refused() {
    let (stage, count) = watched(&[]).await;
    let token = stage.token("1", Role::Admin);
    let mut client = FrameClient::connect(stage.address, &[]);
    // A literal with indexing, then its index, 62, for 15,000 times: 45 MB.
    let mut entry = header(b"x-bomb", &[b'a'; 3000]);
    entry[0] = 0x40;
    let bomb = [get(PATH, &token), entry, vec![0x80 | 62; 10_000]].concat();
    client.send(&request(1, &bomb));
    let refused = client.response(1);
    // 431 in the response, or no more of the connection.
    if let Ok((head, _)) = &refused {
        assert!(head.windows(3).any(|part| part == b"431"), "{head:?}");
    }
    assert_eq!(seen(&count), 0);
    assert_serves(&stage).await;
    println!("header bomb of 30 MB in {} bytes: {refused:?}", bomb.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_whose_window_stays_closed_are_ended() {
    let (app, begun, ended) = endless_service();
    let stage = Stage::new(serve(app).await, &[("CLIENT_STALL_TIMEOUT_MS", "500")]);
    let token = stage.token("1", Role::Admin);
    for window in [0, 1000] {
        let before = seen(&ended);
        let mut client = FrameClient::connect(stage.address, &[(INITIAL_WINDOW_SIZE, window)]);
        for stream in [1, 3, 5] {
            client.send(&request(stream, &get(PATH, &token)));
        }
        for _ in 0..3 {
            let reset = client
                .find(|frame| frame.kind == RST_STREAM)
                .expect("a reset");
            assert_eq!(reset.error(), Some(CANCEL));
        }
        eventually("the services are released", || async {
            seen(&ended) == before + 3
        })
        .await;
        // The connection goes on.
        client.send(&request(7, &get("/health", &token)));
        let health = client.find(|frame| frame.stream == 7 && frame.kind == HEADERS);
        assert!(health.is_some());
    }
    assert_eq!(seen(&begun), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_by_goaway() {
    let (stage, _) = watched(&[("KEEP_ALIVE_TIMEOUT_MS", "300")]).await;
    let mut unused = FrameClient::connect(stage.address, &[]);
    assert_eq!(unused.goaway(), Some(NO_ERROR));
    let mut used = FrameClient::connect(stage.address, &[]);
    used.send(&request(1, &get("/health", "x")));
    assert!(used.response(1).is_ok());
    assert_eq!(used.goaway(), Some(NO_ERROR));
    assert_eq!(used.find(|_| false), None);
    // One that does not acknowledge the end, and one that has sent less than a request.
    let mut silent = FrameClient::connect(stage.address, &[]);
    silent.send(&frame(HEADERS, 0, 1, &get(PATH, "x")));
    let mut rest = Vec::new();
    silent.0.read_to_end(&mut rest).expect("an end in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_streams_than_announced_are_served_at_a_time() {
    let (stage, count) = unanswered().await;
    let token = stage.token("1", Role::Admin);
    let mut client = FrameClient::connect(stage.address, &[]);
    let settings = client.find(|frame| frame.kind == SETTINGS && frame.flags == 0);
    let settings = settings.expect("settings").payload;
    let max = settings.chunks(6).find(|setting| setting[..2] == [0, 3]);
    assert_eq!(max.expect("a limit")[2..], 100_u32.to_be_bytes());
    for number in 0..101 {
        client.send(&request(2 * number + 1, &get(PATH, &token)));
    }
    let refused = client
        .find(|frame| frame.kind == RST_STREAM)
        .expect("a reset");
    // REFUSED_STREAM: the client may repeat the request.
    assert_eq!((refused.stream, refused.error()), (201, Some(7)));
    eventually("the others are under way", || async { seen(&count) == 100 }).await;
}
