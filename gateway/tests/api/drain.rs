//! Shutdown: accepted requests are served before the end.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use chassis::testing::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::{MissedTickBehavior, timeout},
};

use crate::{
    commands::{start, terminate},
    stage::{MAX_WAIT, Stage, blocked_service, read_rest, serve, status_of},
};

#[tokio::test(flavor = "multi_thread")]
async fn accepted_requests_are_served_before_the_end() {
    let (app, go, waiting) = blocked_service();
    let stage = Stage::new(serve(app).await, &[]);
    let calls: Vec<_> = (0..8)
        .map(|_| tokio::spawn(stage.call(reqwest::Method::GET, "/api/v1/movies").send()))
        .collect();
    let mut idle = TcpStream::connect(stage.address).unwrap();
    eventually("all are under way", || async {
        waiting.load(Ordering::SeqCst) == 8
    })
    .await;
    stage.stop();
    eventually("nothing new is accepted", || async {
        TcpStream::connect(stage.address).is_err()
    })
    .await;
    // Idle connections are closed at once.
    idle.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(read_rest(&mut idle), "");
    go.notify_waiters();
    for call in calls {
        let response = call.await.unwrap().expect("a response");
        assert_eq!(response.text().await.unwrap(), "completed");
    }
    assert!(stage.join().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn accepted_connections_are_served_when_the_shutdown_has_begun() {
    let stage = Stage::with_echo(&[]).await;
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let connect = || {
        let stream = TcpStream::connect(stage.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    };
    // Each has sent less than a request before the shutdown begins.
    let parts = [0, 1, request.len() - 1];
    let mut streams = parts.map(|count| (connect(), count));
    for (stream, count) in &mut streams {
        stream.write_all(&request[..*count]).unwrap();
    }
    stage.stop();
    for (stream, count) in &mut streams {
        stream.write_all(&request[*count..]).unwrap();
        let response = read_rest(stream);
        assert_eq!(status_of(&response), 200, "{count}: {response}");
    }
    assert!(stage.join().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_period_limits_the_shutdown() {
    let (app, _, waiting) = blocked_service();
    let stage = Stage::new(serve(app).await, &[("SHUTDOWN_GRACE_SECONDS", "1")]);
    let call = tokio::spawn(stage.call(reqwest::Method::GET, "/api/v1/movies").send());
    eventually("one is under way", || async {
        waiting.load(Ordering::SeqCst) == 1
    })
    .await;
    stage.stop();
    assert!(!stage.join().await);
    assert!(call.await.unwrap().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_turns_red_before_the_listeners_close() {
    let stage = Stage::with_echo(&[("SHUTDOWN_DELAY_MS", "1500")]).await;
    stage.stop();
    let response = stage.get("/health/ready").await;
    assert_eq!(response.status, 503);
    assert_eq!(response.json()["status"], "stopping");
    assert_eq!(stage.get("/health/live").await.status, 200);
    // So that few connections are idle when those are closed.
    assert_eq!(response.header("connection"), "close");
    assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    assert!(stage.join().await);
}

/// Sends a request on a connection of its own; returns the body of the response.
async fn ask(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    match response.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(std::io::Error::other(response)),
    }
}

/// Requests at a time, at most.
const MAX_CALLS: usize = 100;

/// The outcomes of 500 requests per second.
#[derive(Default)]
struct Load {
    by_old: AtomicUsize,
    by_new: AtomicUsize,
    failures: Mutex<Vec<String>>,
    slowest: Mutex<Duration>,
    is_over: AtomicBool,
}

impl Load {
    async fn send(self: Arc<Self>, address: SocketAddr, request: String) {
        let started = Instant::now();
        match timeout(MAX_WAIT, ask(address, &request)).await {
            Ok(Ok(by)) if by == "old" => self.by_old.fetch_add(1, Ordering::SeqCst),
            Ok(Ok(by)) if by == "new" => self.by_new.fetch_add(1, Ordering::SeqCst),
            other => {
                self.failures.lock().unwrap().push(format!("{other:?}"));
                0
            }
        };
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = slowest.max(started.elapsed());
    }

    async fn run(self: Arc<Self>, address: SocketAddr, request: String) {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut calls = JoinSet::new();
        while !self.is_over.load(Ordering::SeqCst) {
            ticks.tick().await;
            // On a slow machine there are fewer.
            if calls.len() >= MAX_CALLS {
                calls.join_next().await;
            }
            calls.spawn(Arc::clone(&self).send(address, request.clone()));
            while calls.try_join_next().is_some() {}
        }
        calls.join_all().await;
    }

    /// Waits until the old gateway has served `old` and the new one `new` requests.
    async fn reached(&self, old: usize, new: usize) {
        eventually("the requests are served", || async {
            self.by_old.load(Ordering::SeqCst) >= old && self.by_new.load(Ordering::SeqCst) >= new
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_shares_the_port_takes_over_without_a_failed_request() {
    let named = async |name: &'static str| serve(Router::new().fallback(async move || name)).await;
    let old = Stage::new(named("old").await, &[]);
    let port = old.address.port().to_string();
    let settings = [("SERVER_PORT", &*port), ("SHARE_PORT", "true")];
    let new = Stage::new(named("new").await, &settings);
    assert_eq!(new.address, old.address);
    let token = old.token("1", gateway::Role::Admin);
    let request = format!(
        "GET /api/v1/movies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    let load = Arc::new(Load::default());
    let running = tokio::spawn(Arc::clone(&load).run(old.address, request));
    load.reached(200, 200).await;
    old.stop();
    assert!(old.join().await);
    let by_new = load.by_new.load(Ordering::SeqCst);
    load.reached(200, by_new + 500).await;
    load.is_over.store(true, Ordering::SeqCst);
    running.await.unwrap();
    let failures = load.failures.lock().unwrap().clone();
    println!(
        "{} requests served by the old gateway, {} by the new one, {} failed, slowest {:?}",
        load.by_old.load(Ordering::SeqCst),
        load.by_new.load(Ordering::SeqCst),
        failures.len(),
        load.slowest.lock().unwrap()
    );
    assert!(failures.is_empty(), "{failures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_to_a_service_that_hangs_fail_early_during_the_shutdown() {
    let app = axum::Router::new().fallback(std::future::pending::<()>);
    let settings = [
        ("SHUTDOWN_DELAY_MS", "2000"),
        ("UPSTREAM_PROBE_AFTER_MS", "100"),
        ("UPSTREAM_PROBE_TIMEOUT_MS", "100"),
    ];
    let stage = Stage::new(serve(app).await, &settings);
    stage.stop();
    stage.get("/api/v1/movies").await.problem(503);
    assert!(stage.join().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_process_after_the_request_in_flight() {
    let (app, go, waiting) = blocked_service();
    let upstream = serve(app).await;
    let url = format!("http://{upstream}");
    let (mut program, _output, address) = start(&[
        ("AUTH_MODE", "mock"),
        ("MOVIE_SERVICE_URL", &url),
        ("WORKER_THREADS", "2"),
    ]);
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
        .write_all(b"GET /api/v1/movies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n")
        .unwrap();
    eventually("it is under way", || async {
        waiting.load(Ordering::SeqCst) == 1
    })
    .await;
    terminate(&program);
    eventually("nothing new is accepted", || async {
        TcpStream::connect(address).is_err()
    })
    .await;
    go.notify_waiters();
    let response = read_rest(&mut stream);
    assert_eq!(status_of(&response), 200, "{response}");
    assert!(response.ends_with("completed"), "{response}");
    let status = tokio::task::spawn_blocking(move || program.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
