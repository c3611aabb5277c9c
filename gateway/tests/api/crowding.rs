//! Crowds from one address: idle connections, slow bodies. Clients are told apart by their loopback addresses, so that
//! the others, who must notice nothing, are on the same machine.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use chassis::testing::eventually;
use gateway::Role;
use reqwest::{Client, Method, RequestBuilder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::stage::{MAX_WAIT, Stage, TestResponse};

const CROWD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 4);
/// Bytes of a body that never come.
const MISSING: &str = "1000";

async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    timeout(MAX_WAIT, socket.connect(to)).await?
}

async fn connect_many(from: Ipv4Addr, to: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        if let Ok(stream) = connect(from, to).await {
            streams.push(stream);
        }
    }
    streams
}

/// The number of connections that the gateway has not closed.
fn open(streams: &[TcpStream]) -> usize {
    let mut buffer = [0; 1];
    let is_open = |stream: &&TcpStream| {
        let read = stream.try_read(&mut buffer);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    streams.iter().filter(is_open).count()
}

/// A client at the address `from`, with a connection for each request.
fn client(from: Ipv4Addr) -> Client {
    chassis::client::http()
        .no_proxy()
        .local_address(std::net::IpAddr::from(from))
        .pool_max_idle_per_host(0)
        .timeout(MAX_WAIT)
        .build()
        .unwrap()
}

fn get(stage: &Stage, from: Ipv4Addr, path: &str) -> RequestBuilder {
    let token = stage.token("1", Role::User);
    client(from).get(stage.url(path)).bearer_auth(token)
}

/// The head of a POST whose body does not come, with more `headers`.
fn slow_post(stage: &Stage, headers: &str) -> String {
    let token = stage.token("1", Role::Admin);
    format!(
        "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{headers}Content-Length: {MISSING}\r\n\r\n{{"
    )
}

async fn send_slow_posts(stage: &Stage, streams: &mut [TcpStream], headers: &str) {
    let request = slow_post(stage, headers);
    for stream in streams {
        let _ = stream.write_all(request.as_bytes()).await;
    }
}

/// The status that comes over `stream` within a while; 0: none.
async fn status(stream: &mut TcpStream, wait: Duration) -> u16 {
    let mut text = vec![0; 4096];
    match timeout(wait, stream.read(&mut text)).await {
        Ok(Ok(count)) => crate::stage::status_of(&String::from_utf8_lossy(&text[..count])),
        _ => 0,
    }
}

async fn statuses(streams: &mut [TcpStream], expected: u16) -> usize {
    let mut found = 0;
    for stream in streams {
        found += usize::from(status(stream, Duration::from_millis(200)).await == expected);
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_holds_no_more_than_its_share_of_connections() {
    let stage = Stage::with_echo(&[
        ("WORKER_THREADS", "1"),
        ("MAX_CONNECTIONS_PER_CLIENT", "20"),
    ])
    .await;
    let streams = connect_many(CROWD, stage.address, 60).await;
    eventually("further connections are closed", async || {
        open(&streams) == 20
    })
    .await;
    let health = get(&stage, NEIGHBOUR, "/health");
    assert_eq!(TestResponse::of(health).await.status, 200);
    let metrics = stage.get("/metrics").await.text;
    assert!(
        metrics.contains("# HELP client_connections_closed_total")
            && metrics.contains(r#"client_connections_closed_total{reason="client_limit"}"#),
        "{metrics}"
    );
    drop(streams);
    eventually("the address may connect again", async || {
        let request = get(&stage, CROWD, "/health").send().await;
        request.is_ok_and(|response| response.status() == 200)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn if_all_connections_are_taken_the_heaviest_client_loses_one() {
    let stage = Stage::with_echo(&[
        ("WORKER_THREADS", "1"),
        ("MAX_CONNECTIONS", "30"),
        ("MAX_CONNECTIONS_PER_CLIENT", "25"),
    ])
    .await;
    let crowd = connect_many(CROWD, stage.address, 25).await;
    let neighbours = connect_many(NEIGHBOUR, stage.address, 5).await;
    for number in 1..=5 {
        let mut stranger = connect(STRANGER, stage.address).await.unwrap();
        stranger
            .write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(status(&mut stranger, MAX_WAIT).await, 200, "{number}");
        std::mem::forget(stranger);
    }
    assert_eq!((open(&crowd), open(&neighbours)), (20, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_trusted_proxies_are_limited_in_all_only() {
    let stage = Stage::with_echo(&[
        ("WORKER_THREADS", "1"),
        ("MAX_CONNECTIONS_PER_CLIENT", "5"),
        ("TRUSTED_PROXIES", "127.0.0.2"),
    ])
    .await;
    let proxies = connect_many(CROWD, stage.address, 20).await;
    let others = connect_many(NEIGHBOUR, stage.address, 20).await;
    eventually("others are limited", async || open(&others) == 5).await;
    assert_eq!(open(&proxies), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_count_against_their_sender() {
    let stage = Stage::with_echo(&[
        ("WORKER_THREADS", "1"),
        ("MAX_REQUESTS_IN_FLIGHT", "20"),
        ("MAX_REQUESTS_IN_FLIGHT_PER_CLIENT", "8"),
    ])
    .await;
    let mut crowd = connect_many(CROWD, stage.address, 20).await;
    send_slow_posts(&stage, &mut crowd, "").await;
    assert_eq!(statuses(&mut crowd, 429).await, 12);
    let refused = TestResponse::of(get(&stage, CROWD, "/api/v1/movies")).await;
    let problem = refused.problem(429);
    assert_eq!(
        problem["error"],
        "too many requests of this client are under way"
    );
    assert_eq!(refused.header("retry-after"), "1");
    let other = TestResponse::of(get(&stage, NEIGHBOUR, "/api/v1/movies")).await;
    assert_eq!(other.status, 200, "{}", other.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_a_trusted_proxy_have_a_share_each() {
    let stage = Stage::with_echo(&[
        ("WORKER_THREADS", "1"),
        ("MAX_REQUESTS_IN_FLIGHT_PER_CLIENT", "5"),
        ("TRUSTED_PROXIES", "127.0.0.2"),
    ])
    .await;
    let mut crowd = connect_many(CROWD, stage.address, 10).await;
    send_slow_posts(&stage, &mut crowd, "X-Forwarded-For: 2001:db8::1\r\n").await;
    assert_eq!(statuses(&mut crowd, 429).await, 5);
    let by_proxy =
        |client: &str| get(&stage, CROWD, "/api/v1/movies").header("X-Forwarded-For", client);
    // The same network of 64 bits.
    TestResponse::of(by_proxy("2001:db8::9")).await.problem(429);
    assert_eq!(
        TestResponse::of(by_proxy("2001:db8:0:1::1")).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn if_all_requests_are_taken_the_heaviest_client_loses_its_oldest() {
    let stage = Stage::with_echo(&[
        ("WORKER_THREADS", "1"),
        ("MAX_REQUESTS_IN_FLIGHT", "10"),
        ("MAX_REQUESTS_IN_FLIGHT_PER_CLIENT", "10"),
    ])
    .await;
    let mut crowd = connect_many(CROWD, stage.address, 10).await;
    send_slow_posts(&stage, &mut crowd, "").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stranger = TestResponse::of(get(&stage, STRANGER, "/api/v1/movies")).await;
    assert_eq!(stranger.status, 200, "{}", stranger.text);
    assert_eq!(open(&crowd), 9);
    // The stranger has returned the place.
    let another = TestResponse::of(get(&stage, CROWD, "/api/v1/movies")).await;
    assert_eq!(another.status, 200, "{}", another.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_below_the_least_speed_are_refused() {
    let stage = Stage::with_echo(&[
        ("BODY_GRACE_MS", "300"),
        ("BODY_MIN_BYTES_PER_SECOND", "1000"),
    ])
    .await;
    let path = "/api/v1/users/1/imports";
    let body = |pause: u64| {
        let chunks = futures_util::stream::unfold(0, move |number| async move {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            (number < 10).then(|| (Ok::<_, std::io::Error>(vec![b'x'; 100]), number + 1))
        });
        reqwest::Body::wrap_stream(chunks)
    };
    let post = |pause| stage.call(Method::POST, path).body(body(pause));
    assert_eq!(TestResponse::of(post(50)).await.json()["length"], 1000);
    let started = Instant::now();
    let refused = TestResponse::of(post(250)).await;
    assert_eq!(
        refused.problem(408)["error"],
        "the request body took too long"
    );
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
}

// --- the attacks in full ------------------------------------------------------------------------------

/// The times of `count` requests to `path` over new connections, one after another, and the number of failures.
async fn probe(stage: &Stage, path: &str, count: usize) -> (Vec<Duration>, usize) {
    let request = get(stage, NEIGHBOUR, path).build().unwrap();
    let client = client(NEIGHBOUR);
    let (mut times, mut failures) = (Vec::new(), 0);
    for _ in 0..count {
        let started = Instant::now();
        let response = client.execute(request.try_clone().unwrap()).await;
        times.push(started.elapsed());
        failures += usize::from(!response.is_ok_and(|response| response.status() == 200));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    times.sort();
    (times, failures)
}

async fn report(stage: &Stage, attack: &str) {
    for path in ["/health", "/api/v1/movies"] {
        let (times, failures) = probe(stage, path, 500).await;
        let ms = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1000.0;
        let line = format!(
            "{attack}: others' GET {path}: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, {failures} of 500 failed",
            ms(50),
            ms(99),
            ms(100)
        );
        println!("{line}");
        assert_eq!(failures, 0, "{line}");
        assert!(ms(99) < 250.0, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a drill: holds thousands of sockets for seconds"]
async fn nine_thousand_idle_sockets_of_one_address_disturb_nobody_else() {
    let stage = Stage::with_echo(&[]).await;
    report(&stage, "no attack").await;
    let idle = connect_many(CROWD, stage.address, 9000).await;
    eventually("the share is kept", async || open(&idle) <= 2048).await;
    println!("{} sockets opened, {} still open", idle.len(), open(&idle));
    report(&stage, "9000 idle sockets").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a drill: holds thousands of sockets for seconds"]
async fn two_thousand_slow_bodies_of_one_address_disturb_nobody_else() {
    let stage = Stage::with_echo(&[]).await;
    let mut crowd = connect_many(CROWD, stage.address, 2047).await;
    send_slow_posts(&stage, &mut crowd, "").await;
    report(&stage, "2047 slow bodies").await;
}
