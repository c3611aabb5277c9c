//! WebSockets through the gateway: handshakes that are forwarded and those that are not, bytes both ways, bounds, ends.

use std::{
    net::{Ipv4Addr, Shutdown, SocketAddr},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use chassis::testing::eventually;
use futures_util::{SinkExt, StreamExt};
use gateway::Role;
use reqwest::Method;
use rustls::{pki_types::ServerName, version::TLS13};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::server::{Request, Response},
    },
};

use crate::{
    certificates::Certificates,
    client_tls::{client_config, files, with_tls},
    commands,
    stage::{
        MAX_WAIT, Scripted, Stage, TestResponse, echo, raw, read_head, read_rest, serve, status_of,
    },
};

const PATH: &str = "/api/v1/movies";
const ACCEPTED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// The heads of the handshakes that a service has received.
type Heads = Arc<Mutex<Vec<String>>>;

/// A service that returns every message.
async fn echo_messages() -> (SocketAddr, Heads) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Heads::default();
    let log = Arc::clone(&heads);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                #[expect(clippy::result_large_err, reason = "the library's type")]
                let note = |request: &Request, mut response: Response| {
                    let text = format!("{} {:?}", request.uri(), request.headers());
                    log.lock().unwrap().push(text);
                    if let Some(name) = request.headers().get("sec-websocket-protocol") {
                        let headers = response.headers_mut();
                        headers.insert("sec-websocket-protocol", name.clone());
                    }
                    Ok(response)
                };
                let Ok(mut socket) = accept_hdr_async(stream, note).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() || message.is_binary() {
                        let _ = socket.send(message).await;
                    }
                }
            });
        }
    });
    (address, heads)
}

fn handshake(address: SocketAddr, token: &str) -> Request {
    let url = format!("ws://{address}{PATH}?q=1");
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn open_with(request: Request, stage: &Stage) -> Result<WebSocketStream<TcpStream>, Error> {
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let opened = timeout(MAX_WAIT, client_async(request, stream));
    opened.await.unwrap().map(|(socket, _)| socket)
}

async fn open(stage: &Stage) -> Result<WebSocketStream<TcpStream>, Error> {
    let token = stage.token("1", Role::Admin);
    open_with(handshake(stage.address, &token), stage).await
}

/// Sends messages of several kinds and sizes, and closes.
async fn converse(mut socket: WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>) {
    for message in [
        Message::text("hello"),
        Message::binary(Bytes::new()),
        Message::binary(vec![b'\n'; 1 << 20]),
        Message::text("GET / HTTP/1.1\n\n"),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(next(&mut socket).await, message);
    }
    let ping = Bytes::from_static(b"ping");
    socket.send(Message::Ping(ping.clone())).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::Pong(ping));
    socket.close(None).await.unwrap();
    assert!(matches!(next(&mut socket).await, Message::Close(None)));
    assert!(timeout(MAX_WAIT, socket.next()).await.unwrap().is_none());
}

async fn next(socket: &mut WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>) -> Message {
    let message = timeout(MAX_WAIT, socket.next()).await.expect("in time");
    message.expect("a message").expect("a valid message")
}

/// Completes when WebSockets have ended for `reason`.
async fn ended(stage: &Stage, reason: &str) {
    let line = format!("websockets_ended_total{{service=\"movie-service\",reason=\"{reason}\"}} ");
    eventually(reason, || async {
        let text = stage.get("/metrics").await.text;
        text.contains(&line) && text.contains("\nwebsockets 0\n")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_pass_both_ways_with_the_identity_of_the_caller() {
    let (service, heads) = echo_messages().await;
    let stage = Stage::new(service, &[]);
    let mut request = handshake(stage.address, &stage.token("7", Role::User));
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "chat".parse().unwrap());
    headers.insert("x-principal", "forged".parse().unwrap());
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (socket, response) = client_async(request, stream).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert!(response.headers().contains_key("x-request-id"));
    converse(socket).await;
    let head = heads.lock().unwrap().pop().expect("a head");
    assert!(head.starts_with("/api/v1/movies?q=1 "), "{head}");
    for expected in [r#"\"subject\":\"7\""#, "x-internal-token", "x-request-id"] {
        assert!(head.contains(expected), "{head}");
    }
    for unexpected in ["authorization", "forged"] {
        assert!(!head.contains(unexpected), "{head}");
    }
    // RFC 6455, 7.1.1: the server ends the connection.
    ended(&stage, "service").await;
    let text = stage.get("/metrics").await.text;
    for metric in [
        "websockets",
        "websockets_ended_total",
        "websocket_bytes_total",
    ] {
        assert!(text.contains(&format!("# HELP {metric} ")), "{metric}");
    }
    for direction in ["to_service", "to_client"] {
        let series = format!("websocket_bytes_total{{direction=\"{direction}\"}} ");
        let rest = text.split(&series).nth(1).expect("a count");
        let count: u64 = rest.lines().next().unwrap().parse().unwrap();
        assert!((1 << 20..2 << 20).contains(&count), "{direction}: {count}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_pass_over_tls() {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let (service, _) = echo_messages().await;
    let stage = Stage::new(service, &with_tls(&files, &[]));
    let tls = TlsConnector::from(client_config(&certificates, &[&TLS13], &["http/1.1"]));
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = tls.connect(name, stream).await.unwrap();
    let request = handshake(stage.address, &stage.token("1", Role::Admin));
    let (socket, _) = client_async(request, stream).await.unwrap();
    converse(socket).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_pass_the_same_layers_as_requests() {
    let (service, heads) = echo_messages().await;
    let settings = [
        ("RATE_LIMIT_MAX", "5"),
        ("CORS_ORIGINS", "https://example.com"),
    ];
    let stage = Stage::new(service, &settings);
    let user = stage.token("7", Role::User);
    let refusal = async |path: &str, token: &str, origin: &str| {
        let mut request = handshake(stage.address, token);
        *request.uri_mut() = format!("ws://{}{path}", stage.address).parse().unwrap();
        if !origin.is_empty() {
            let headers = request.headers_mut();
            headers.insert("origin", origin.parse().unwrap());
        }
        match open_with(request, &stage).await {
            Ok(_) => 101,
            Err(Error::Http(response)) => {
                let kind = &response.headers()["content-type"];
                assert_eq!(kind, "application/problem+json");
                response.status().as_u16()
            }
            Err(error) => panic!("{error}"),
        }
    };
    let own = format!("http://{}", stage.address);
    assert_eq!(refusal(PATH, "nonsense", "").await, 401);
    assert_eq!(refusal("/api/v1/users/8", &user, "").await, 403);
    assert_eq!(refusal(PATH, &user, "https://elsewhere").await, 403);
    assert!(heads.lock().unwrap().is_empty());
    assert_eq!(refusal(PATH, &user, "https://example.com").await, 101);
    assert_eq!(refusal(PATH, &user, &own).await, 101);
    assert_eq!(refusal(PATH, &user, "").await, 429);
}

/// A handshake, byte for byte.
fn bytes(stage: &Stage, more: &str) -> Vec<u8> {
    head(
        stage,
        &format!("GET {PATH} HTTP/1.1"),
        &format!("{SWITCH}{KEY}{more}"),
    )
}

const SWITCH: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn head(stage: &Stage, line: &str, headers: &str) -> Vec<u8> {
    let token = stage.token("1", Role::Admin);
    format!("{line}\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}\r\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn other_upgrades_are_not_forwarded() {
    let service = serve(echo()).await;
    let stage = Stage::new(service, &[]);
    let get = &*format!("GET {PATH} HTTP/1.1");
    let close = "Connection: close, Upgrade\r\n";
    for (line, headers) in [
        (get, format!("{close}Upgrade: h2c\r\n{KEY}")),
        (get, format!("{close}Upgrade: h2c, websocket\r\n{KEY}")),
        (get, format!("{close}Upgrade: websocket, h2c\r\n{KEY}")),
        (
            get,
            format!("{close}Upgrade: websocket\r\nUpgrade: h2c\r\n{KEY}"),
        ),
        (get, format!("{close}Upgrade: websocket/13\r\n{KEY}")),
        // Not a handshake.
        (
            get,
            format!("Connection: close\r\nUpgrade: websocket\r\n{KEY}"),
        ),
        (get, format!("{close}{KEY}")),
        (get, format!("{close}Upgrade: websocket\r\n")),
        (get, format!("{close}Upgrade: websocket\r\n{KEY}{KEY}")),
        (
            get,
            format!("{close}Upgrade: websocket\r\n{KEY}Content-Length: 2\r\n\r\n{{}}"),
        ),
        (
            "GET /api/v1/movies HTTP/1.0",
            format!("{close}Upgrade: websocket\r\n{KEY}"),
        ),
        (
            "POST /api/v1/users HTTP/1.1",
            format!("{close}Upgrade: websocket\r\n{KEY}"),
        ),
    ] {
        let response = raw(stage.address, &head(&stage, line, &headers));
        assert_eq!(
            status_of(&response.replace("1.0 200", "1.1 200")),
            200,
            "{headers}: {response}"
        );
        for name in ["\"upgrade\"", "\"connection\"", "http2-settings"] {
            assert!(!response.contains(name), "{headers}: {response}");
        }
    }
    let off = Stage::new(service, &[("MAX_WEBSOCKETS", "0")]);
    let response = raw(off.address, &bytes(&off, ""));
    assert_eq!(status_of(&response), 200, "{response}");
    assert!(!response.contains("\"upgrade\""), "{response}");
}

/// Only 101 switches: the connection of another response goes on with HTTP, on both sides.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_switch_is_not_tunnelled_to() {
    for refusal in ["200 OK", "426 Upgrade Required", "403 Forbidden"] {
        let service = Scripted::new(move |_, mut stream, log| {
            loop {
                let head = read_head(&mut stream);
                if head.is_empty() {
                    break;
                }
                let first = head.lines().next().unwrap().to_owned();
                log.lock().unwrap().push(first);
                let response = format!(
                    "HTTP/1.1 {refusal}\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\nContent-Length: 2\r\n\r\nno"
                );
                let _ = std::io::Write::write_all(&mut stream, response.as_bytes());
            }
        });
        let stage = Stage::new(service.address, &[]);
        // What follows is a request to the gateway, which refuses it; to the service it would be another one.
        let second = "GET /api/v1/admin/../secret HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut all = bytes(&stage, "");
        all.extend_from_slice(second.as_bytes());
        all.extend_from_slice(b"nonsense\n\n");
        let response = raw(stage.address, &all);
        let expected = format!("HTTP/1.1 {refusal}\r\n");
        assert!(response.starts_with(&expected), "{response}");
        assert!(
            response.contains("sec-websocket-version: 13\r\n"),
            "{response}"
        );
        assert!(!response.contains("upgrade: websocket"), "{response}");
        assert_eq!(
            response.matches("HTTP/1.1 400 Bad Request").count(),
            2,
            "{response}"
        );
        // The last one is explained, although hyper gives up the connection.
        assert!(response.trim_end().ends_with('}'), "{response}");
        let seen = service.messages.lock().unwrap().clone();
        assert_eq!(seen, ["GET /api/v1/movies HTTP/1.1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_before_the_switch_do_not_reach_the_service() {
    for early in [
        &b"GET /api/v1/admin/catalogue HTTP/1.1\r\nHost: x\r\n\r\n"[..],
        b"\x81\x05hello\n",
        b"\n",
    ] {
        let service = Scripted::new(|_, mut stream, log| {
            let head = read_head(&mut stream);
            let _ = std::io::Write::write_all(&mut stream, ACCEPTED.as_bytes());
            log.lock().unwrap().push(head);
            log.lock().unwrap().push(read_rest(&mut stream));
        });
        let stage = Stage::new(service.address, &[]);
        let mut all = bytes(&stage, "");
        all.extend_from_slice(early);
        let response = raw(stage.address, &all);
        assert_eq!(status_of(&response), 101, "{response}");
        assert_eq!(response.matches("HTTP/1.1").count(), 1, "{response}");
        eventually("the service's connection ends", || async {
            service.messages.lock().unwrap().len() == 2
        })
        .await;
        assert_eq!(service.messages.lock().unwrap()[1], "");
        assert_eq!(service.connections(), 1);
        ended(&stage, "early_data").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_to_anything_else_is_502() {
    for headers in [
        "Connection: Upgrade\r\nUpgrade: h2c",
        "Connection: Upgrade\r\nUpgrade: websocket, h2c",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "X: y",
    ] {
        let service = Scripted::new(move |_, mut stream, log| {
            read_head(&mut stream);
            let response = format!("HTTP/1.1 101 Switching Protocols\r\n{headers}\r\n\r\n");
            let _ = std::io::Write::write_all(&mut stream, response.as_bytes());
            log.lock().unwrap().push(read_rest(&mut stream));
        });
        let stage = Stage::new(service.address, &[]);
        let response = raw(stage.address, &bytes(&stage, ""));
        assert_eq!(status_of(&response), 502, "{headers}: {response}");
        eventually("the service's connection ends", || async {
            *service.messages.lock().unwrap() == [""]
        })
        .await;
    }
}

/// A service that switches, then sends what `script` makes of its connection.
fn switching(script: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> Scripted {
    Scripted::new(move |_, mut stream, _| {
        read_head(&mut stream);
        let _ = std::io::Write::write_all(&mut stream, ACCEPTED.as_bytes());
        script(stream);
    })
}

/// A connection whose handshake is accepted.
async fn switched(stage: &Stage) -> TcpStream {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(&bytes(stage, "")).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(MAX_WAIT, stream.read_u8()).await.unwrap().unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream
}

/// Reads to the end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let read = timeout(MAX_WAIT, stream.read_to_string(&mut text)).await;
    read.expect("an end").expect("an orderly end");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn each_side_may_end_before_the_other() {
    let service = switching(|mut stream| {
        let text = read_rest(&mut stream);
        let _ = std::io::Write::write_all(&mut stream, text.to_uppercase().as_bytes());
    });
    let stage = Stage::new(service.address, &[]);
    let mut stream = switched(&stage).await;
    stream.write_all(b"all of it").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut stream).await, "ALL OF IT");
    ended(&stage, "client").await;
    let service = switching(|mut stream| {
        let _ = std::io::Write::write_all(&mut stream, b"all of it");
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_rest(&mut stream), "thanks");
    });
    let stage = Stage::new(service.address, &[]);
    let mut stream = switched(&stage).await;
    assert_eq!(rest(&mut stream).await, "all of it");
    stream.write_all(b"thanks").await.unwrap();
    drop(stream);
    ended(&stage, "service").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_in_both_directions_ends_a_websocket() {
    let service = switching(|mut stream| assert_eq!(read_rest(&mut stream), ""));
    let stage = Stage::new(service.address, &[("WEBSOCKET_IDLE_SECONDS", "1")]);
    let mut stream = switched(&stage).await;
    assert_eq!(rest(&mut stream).await, "");
    ended(&stage, "idle").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_accepts_nothing_is_disconnected() {
    let (sent, service_ended) = std::sync::mpsc::channel();
    let sent = Mutex::new(sent);
    let service = switching(move |mut stream| {
        let mut bytes = 0_usize;
        while std::io::Write::write_all(&mut stream, &[0; 65536]).is_ok() {
            bytes += 65536;
        }
        sent.lock().unwrap().send(bytes).unwrap();
    });
    let stage = Stage::new(service.address, &[("CLIENT_STALL_TIMEOUT_MS", "300")]);
    let _stream = switched(&stage).await;
    let bytes = tokio::task::spawn_blocking(move || service_ended.recv_timeout(MAX_WAIT));
    // The gateway holds no more than a buffer; the rest is in those of the kernel.
    let bytes = bytes.await.unwrap().expect("an end");
    assert!(bytes < 64 << 20, "{bytes}");
    ended(&stage, "stalled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_have_places_of_their_own() {
    let (service, _) = echo_messages().await;
    let settings = [
        ("WORKER_THREADS", "1"),
        ("MAX_REQUESTS_IN_FLIGHT", "1"),
        ("MAX_WEBSOCKETS", "3"),
        ("MAX_WEBSOCKETS_PER_CLIENT", "2"),
        ("TRUSTED_PROXIES", "127.0.0.0/8"),
    ];
    let stage = Stage::new(service, &settings);
    let token = stage.token("1", Role::Admin);
    let open_from = async |client: &str| {
        let mut request = handshake(stage.address, &token);
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", client.parse().unwrap());
        open_with(request, &stage).await
    };
    let status = |error: Error| match error {
        Error::Http(response) => response.status().as_u16(),
        error => panic!("{error}"),
    };
    let mut first = open_from("10.0.0.1").await.unwrap();
    let mut second = open_from("10.0.0.1").await.unwrap();
    // They are no requests in flight.
    let ready = stage
        .bare(Method::GET, "/api/v1/nothing")
        .bearer_auth(&token);
    TestResponse::of(ready).await.problem(404);
    assert_eq!(status(open_from("10.0.0.1").await.unwrap_err()), 429);
    let mut other = open_from("10.0.0.2").await.unwrap();
    // All places are taken: the client with the most loses its oldest.
    let mut third = open_from("10.0.0.3").await.unwrap();
    assert!(!matches!(
        timeout(MAX_WAIT, first.next()).await.unwrap(),
        Some(Ok(_))
    ));
    assert_eq!(status(open_from("10.0.0.4").await.unwrap_err()), 503);
    for socket in [&mut second, &mut other, &mut third] {
        socket.send(Message::text("still here")).await.unwrap();
        assert_eq!(next(socket).await, Message::text("still here"));
    }
    drop(other);
    eventually("its place is free", || async {
        open_from("10.0.0.4").await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_websockets_go_on_and_ends_them_within_the_grace_period() {
    let (service, _) = echo_messages().await;
    let stage = Stage::new(service, &[("SHUTDOWN_GRACE_SECONDS", "4")]);
    let mut socket = open(&stage).await.unwrap();
    // Answered before the end, although it cannot become a WebSocket any more.
    let mut late = TcpStream::connect(stage.address).await.unwrap();
    stage.stop();
    eventually("nothing new is accepted", || async {
        TcpStream::connect(stage.address).await.is_err()
    })
    .await;
    late.write_all(&bytes(&stage, "")).await.unwrap();
    let refusal = rest(&mut late).await;
    assert_eq!(status_of(&refusal), 503, "{refusal}");
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("still here"));
    assert!(!matches!(
        timeout(MAX_WAIT, socket.next()).await.unwrap(),
        Some(Ok(_))
    ));
    assert!(stage.join().await, "the end exceeds the grace period");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_acceptance_and_the_end_are_logged() {
    let (service, _) = echo_messages().await;
    let url = format!("http://{service}");
    let (program, output, address) = commands::start(&[
        ("AUTH_MODE", "mock"),
        ("ACCESS_LOG", "all"),
        ("ACCESS_LOG_SAMPLE_PERCENT", "0"),
        ("MOVIE_SERVICE_URL", &url),
    ]);
    let stream = TcpStream::connect(address).await.unwrap();
    let mut request = handshake(address, "of mock mode");
    let headers = request.headers_mut();
    headers.insert("x-request-id", "of-the-websocket".parse().unwrap());
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(next(&mut socket).await, Message::text("hello"));
    socket.close(None).await.unwrap();
    while timeout(MAX_WAIT, socket.next()).await.unwrap().is_some() {}
    drop(socket);
    let log = tokio::task::spawn_blocking(|| commands::stop(program, output));
    let log = log.await.unwrap();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("of-the-websocket"))
        .collect();
    let [accepted, ended] = lines[..] else {
        panic!("{log}")
    };
    assert!(accepted.contains(r#""status":101"#), "{accepted}");
    // Two frames with masks; the same without.
    for part in [
        r#""reason":"service""#,
        r#""bytes_to_service":17"#,
        r#""bytes_to_client":9"#,
        r#""duration_ms":"#,
        r#""route":"/api/v1/movies""#,
    ] {
        assert!(ended.contains(part), "{part}: {ended}");
    }
}
