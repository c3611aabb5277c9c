//! Services of several instances, some of which are dead or refuse requests.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::Request, http::StatusCode};
use chassis::testing::{eventually, free_port};
use reqwest::Method;
use socket2::{Domain, Socket, Type};

use crate::stage::{Stage, TestResponse, echo, read_head, respond_ok, serve};

#[tokio::test(flavor = "multi_thread")]
async fn dead_instances_do_not_fail_requests() {
    let live = serve(echo()).await;
    let dead: std::net::SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let urls = format!("http://{dead}, http://{live}");
    let stage = Stage::new(live, &[("MOVIE_SERVICE_URL", &urls)]);
    for _ in 0..100 {
        assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    }
    let post = TestResponse::of(stage.call(Method::POST, "/api/v1/admin/sync").body("{}")).await;
    assert_eq!(post.json()["length"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_refuses_requests_gets_few_and_fails_none() {
    let (received, refuses) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(true)),
    );
    let (count, is_refused) = (Arc::clone(&received), Arc::clone(&refuses));
    let starting = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let status = match is_refused.load(Ordering::SeqCst) {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::OK,
        };
        async move { status }
    });
    let (starting, live) = (serve(starting).await, serve(echo()).await);
    let urls = format!("http://{starting}, http://{live}");
    let stage = Stage::new(
        live,
        &[("MOVIE_SERVICE_URL", &urls), ("WORKER_THREADS", "1")],
    );
    let started = Instant::now();
    for _ in 0..200 {
        assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    }
    // One by chance, and one each second to see whether it still refuses.
    let refused = received.load(Ordering::SeqCst);
    let most = 1 + started.elapsed().as_secs() as usize;
    assert!(
        (1..=most).contains(&refused),
        "{refused} of 200, at most {most}"
    );
    // A request that must not be repeated is answered by the instance that got it.
    refuses.store(false, Ordering::SeqCst);
    eventually("the instance gets requests again", async || {
        stage.get("/api/v1/movies").await;
        received.load(Ordering::SeqCst) > refused
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_all_instances_reaches_the_client() {
    let app = || Router::new().fallback(async || (StatusCode::SERVICE_UNAVAILABLE, "no"));
    let (one, other) = (serve(app()).await, serve(app()).await);
    let urls = format!("http://{one}, http://{other}");
    let stage = Stage::new(one, &[("MOVIE_SERVICE_URL", &urls)]);
    for _ in 0..20 {
        let response = stage.get("/api/v1/movies").await;
        assert_eq!((response.status, &response.text[..]), (503, "no"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn load_is_spread_over_instances() {
    let counts: Vec<Arc<AtomicUsize>> = (0..3).map(|_| Arc::default()).collect();
    let mut urls = Vec::new();
    for count in &counts {
        let count = Arc::clone(count);
        let app = Router::new().fallback(move || {
            count.fetch_add(1, Ordering::SeqCst);
            async { "x" }
        });
        urls.push(format!("http://{}", serve(app).await));
    }
    let any = ([127, 0, 0, 1], 1).into();
    let stage = Stage::new(any, &[("MOVIE_SERVICE_URL", &urls.join(","))]);
    // In waves, so that no instance is skipped because it accepts too many connections at once too slowly.
    for _ in 0..30 {
        let requests = (0..10).map(|_| stage.get("/api/v1/movies"));
        for response in futures_util::future::join_all(requests).await {
            assert_eq!(response.status, 200);
        }
    }
    for count in counts {
        assert!(count.load(Ordering::SeqCst) >= 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_was_slow_gets_requests_again() {
    let (received, is_slow) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(true)),
    );
    let (count, slow) = (Arc::clone(&received), Arc::clone(&is_slow));
    let app = Router::new().fallback(move |request: Request| {
        count.fetch_add(1, Ordering::SeqCst);
        let delay = match (slow.load(Ordering::SeqCst), request.method().as_str()) {
            (false, _) => 0,
            (true, "GET") => 400,
            (true, _) => 1500,
        };
        async move { tokio::time::sleep(Duration::from_millis(delay)).await }
    });
    let (slow, live) = (serve(app).await, serve(echo()).await);
    let urls = format!("http://{slow}, http://{live}");
    let stage = Stage::new(
        live,
        &[("MOVIE_SERVICE_URL", &urls), ("WORKER_THREADS", "1")],
    );
    // Until it has had a request of each kind.
    for method in [Method::POST, Method::GET] {
        let before = received.load(Ordering::SeqCst);
        let path = match method {
            Method::POST => "/api/v1/admin/sync",
            _ => "/api/v1/movies",
        };
        eventually("the slow instance gets a request", async || {
            let response = TestResponse::of(stage.call(method.clone(), path)).await;
            assert_eq!(response.status, 200);
            received.load(Ordering::SeqCst) > before
        })
        .await;
    }
    is_slow.store(false, Ordering::SeqCst);
    let before = received.load(Ordering::SeqCst);
    eventually("the instance gets requests again", async || {
        stage.get("/api/v1/movies").await;
        received.load(Ordering::SeqCst) > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_times_out_does_not_end_requests_over_others() {
    let (listener, address) = small_listener();
    let (begun, accepted) = std::sync::mpsc::channel();
    let (free, freed) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        read_head(&mut first);
        begun.send(()).unwrap();
        freed.recv().unwrap();
        // The probe, and nothing else, before the first request gets its response.
        loop {
            let (mut next, _) = listener.accept().unwrap();
            if read_head(&mut next).starts_with("GET /health/live") {
                respond_ok(&mut next, "");
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(300));
        respond_ok(&mut first, "whole");
    });
    let url = format!("http://{address}");
    let stage = Stage::new(
        address,
        &[
            ("MOVIE_SERVICE_URL", &url),
            ("WORKER_THREADS", "1"),
            // The probe may begin before there is room: a dropped packet is sent again after a second.
            ("UPSTREAM_CONNECT_TIMEOUT_MS", "1900"),
            ("UPSTREAM_PROBE_TIMEOUT_MS", "10000"),
            ("UPSTREAM_PROBE_AFTER_MS", "20000"),
        ],
    );
    let lost = async {
        tokio::task::spawn_blocking(move || accepted.recv().unwrap())
            .await
            .unwrap();
        let fillers = fill(address);
        stage.get("/api/v1/movies?page=2").await.problem(503);
        drop(fillers);
        free.send(()).unwrap();
    };
    let (first, ()) = tokio::join!(stage.get("/api/v1/movies"), lost);
    assert_eq!((first.status, first.text.as_str()), (200, "whole"));
    server.join().unwrap();
}

/// A listener with room for two connections that are not accepted; the packets of further ones are dropped.
fn small_listener() -> (TcpListener, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Fills the room of a [`small_listener`].
fn fill(address: SocketAddr) -> Vec<TcpStream> {
    let wait = Duration::from_millis(200);
    let fillers: Vec<_> = std::iter::from_fn(|| TcpStream::connect_timeout(&address, wait).ok())
        .take(100)
        .collect();
    assert!(fillers.len() < 100, "the queue is full");
    fillers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_made_while_the_breaker_opens_is_not_used() {
    let (listener, address) = small_listener();
    let (begun, accepted) = std::sync::mpsc::channel();
    let (free, freed) = std::sync::mpsc::channel::<()>();
    // Accepts one connection, all others once it is freed, and responds to none.
    std::thread::spawn(move || {
        let mut first = listener.accept().unwrap().0;
        read_head(&mut first);
        begun.send(()).unwrap();
        freed.recv().unwrap();
        let mut silent = vec![first];
        while let Ok((next, _)) = listener.accept() {
            silent.push(next);
        }
    });
    let url = format!("http://{address}");
    let stage = Stage::new(
        address,
        &[
            ("MOVIE_SERVICE_URL", &url),
            ("WORKER_THREADS", "1"),
            ("UPSTREAM_CONNECT_TIMEOUT_MS", "8000"),
            ("UPSTREAM_PROBE_AFTER_MS", "700"),
            ("UPSTREAM_PROBE_TIMEOUT_MS", "300"),
        ],
    );
    let first = async {
        stage.get("/api/v1/movies").await.problem(503);
        free.send(()).unwrap();
    };
    let second = async {
        let accepted = tokio::task::spawn_blocking(move || accepted.recv().unwrap());
        accepted.await.unwrap();
        let fillers = fill(address);
        // It connects when its packet is sent again, after the breaker has opened.
        stage.get("/api/v1/movies?page=2").await.problem(503);
        drop(fillers);
    };
    tokio::join!(first, second);
}
