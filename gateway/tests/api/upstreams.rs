//! Services that are away, slow, broken, or go away just now.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, extract::Request};
use chassis::testing::{eventually, free_port};
use reqwest::Method;

use crate::stage::{Answer, Scripted, Stage, answer_ok, echo, read_head, serve};

/// No word of what is inside may reach a client.
fn leaks_nothing(answer: &Answer, inside: std::net::SocketAddr) {
    for word in [
        &inside.to_string()[..],
        "127.0.0.1",
        "os error",
        "refused",
        "hyper",
    ] {
        assert!(!answer.text.contains(word), "{word} in {}", answer.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_away_is_503_and_back_when_it_is_back() {
    let port = free_port();
    let address = ([127, 0, 0, 1], port).into();
    let stage = Stage::new(address, &[]);
    for _ in 0..20 {
        let answer = stage.get("/api/v1/movies").await;
        let problem = answer.problem(503);
        assert_eq!(problem["type"], "/problems/unavailable");
        assert_eq!(answer.header("retry-after"), "1");
        leaks_nothing(&answer, address);
    }
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, echo()).await });
    assert_eq!(stage.get("/api/v1/movies").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_slow_is_504_after_the_time_limit() {
    let app = Router::new().fallback(std::future::pending::<()>);
    let address = serve(app).await;
    let stage = Stage::new(
        address,
        &[("REQUEST_TIMEOUT_MS", "200"), ("SYNC_TIMEOUT_MS", "600")],
    );
    for (method, path, limit) in [
        (Method::GET, "/api/v1/movies", 200),
        (Method::POST, "/api/v1/users", 200),
        (Method::POST, "/api/v1/admin/sync", 600),
    ] {
        let started = Instant::now();
        let answer = Answer::of(stage.call(method, path)).await;
        let elapsed = started.elapsed();
        answer.problem(504);
        leaks_nothing(&answer, address);
        let limit = Duration::from_millis(limit);
        assert!(
            elapsed >= limit && elapsed < limit + Duration::from_secs(3),
            "{path}: {elapsed:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_slow_is_408() {
    let stage = Stage::with_echo(&[("REQUEST_TIMEOUT_MS", "200")]).await;
    let body = reqwest::Body::wrap_stream(futures_util::stream::pending::<
        Result<bytes::Bytes, std::convert::Infallible>,
    >());
    Answer::of(stage.call(Method::POST, "/api/v1/users").body(body))
        .await
        .problem(408);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_none_is_502() {
    for nonsense in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/9.1 200 OK\r\n\r\n",
        "",
    ] {
        let upstream = Scripted::new(move |_, mut stream, _| {
            read_head(&mut stream);
            let _ = stream.write_all(nonsense.as_bytes());
        });
        let stage = Stage::new(upstream.address, &[]);
        for method in [Method::GET, Method::POST] {
            let path = if method == Method::GET {
                "/api/v1/movies"
            } else {
                "/api/v1/users"
            };
            let answer = Answer::of(stage.call(method, path)).await;
            assert_eq!(
                answer.problem(502)["type"],
                "/problems/bad-gateway",
                "{nonsense:?}"
            );
            leaks_nothing(&answer, upstream.address);
        }
        assert!(
            upstream.connections() <= 8,
            "{} tries",
            upstream.connections()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_went_stale_is_nobodys_error() {
    // Each connection answers once and is then closed as soon as the next request has begun, which
    // the gateway cannot know beforehand.
    let upstream = Scripted::new(|_, mut stream, _| {
        if !read_head(&mut stream).is_empty() {
            answer_ok(&mut stream, "answered");
            read_head(&mut stream);
        }
    });
    let stage = Stage::new(upstream.address, &[("WORKER_THREADS", "1")]);
    for _ in 0..50 {
        let answer = stage.get("/api/v1/movies").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "answered"));
    }
    assert!(upstream.connections() >= 50, "connections were reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_an_upstream_closes_while_idle_are_nobodys_error() {
    // Closed with a moment's delay, so that the close meets requests at every stage.
    let upstream = Scripted::new(|number, mut stream, _| {
        if !read_head(&mut stream).is_empty() {
            answer_ok(&mut stream, "answered");
            std::thread::sleep(Duration::from_micros(100 * (number as u64 % 20)));
        }
    });
    let stage = Stage::new(upstream.address, &[("WORKER_THREADS", "1")]);
    for _ in 0..200 {
        assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_happen_twice_is_not_sent_twice() {
    let upstream = Scripted::new(|_, mut stream, notes| {
        let head = read_head(&mut stream);
        if head.starts_with("GET") {
            answer_ok(&mut stream, "answered");
            let head = read_head(&mut stream);
            notes.lock().unwrap().push(head);
        } else {
            notes.lock().unwrap().push(head);
        }
    });
    let stage = Stage::new(upstream.address, &[("WORKER_THREADS", "1")]);
    // Over a connection that was just used, and over a new one.
    assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    for sent in 1..3 {
        Answer::of(stage.call(Method::POST, "/api/v1/users").body("{}"))
            .await
            .problem(502);
        let notes = upstream.notes.lock().unwrap();
        let posts = notes.iter().filter(|head| head.starts_with("POST")).count();
        assert_eq!(posts, sent, "{notes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_several_instances_the_dead_ones_are_not_noticed() {
    let live = serve(echo()).await;
    let dead: std::net::SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let urls = format!("http://{dead}, http://{live}");
    let stage = Stage::new(live, &[("MOVIE_SERVICE_URL", &urls)]);
    for _ in 0..100 {
        assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    }
    let post = Answer::of(stage.call(Method::POST, "/api/v1/admin/sync").body("{}")).await;
    assert_eq!(post.json()["length"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_the_load() {
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
    let requests = (0..300).map(|_| stage.get("/api/v1/movies"));
    for answer in futures_util::future::join_all(requests).await {
        assert_eq!(answer.status, 200);
    }
    for count in counts {
        assert!(count.load(Ordering::SeqCst) >= 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_ends_the_call() {
    let under_way = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&under_way);
    let app = Router::new().fallback(move |_: Request| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            let _leave = Leave(count);
            std::future::pending::<()>().await;
        }
    });
    let stage = Stage::new(serve(app).await, &[]);
    let call = tokio::spawn(stage.call(Method::GET, "/api/v1/movies").send());
    eventually("the service is asked", || async {
        under_way.load(Ordering::SeqCst) == 1
    })
    .await;
    call.abort();
    let started = Instant::now();
    eventually("the service is told", || async {
        under_way.load(Ordering::SeqCst) == 0
    })
    .await;
    assert!(
        started.elapsed() < Duration::from_secs(5),
        "only the time limit ended it"
    );
}

struct Leave(Arc<AtomicUsize>);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_there_is_room_for_are_shed_and_probes_are_not() {
    let app = Router::new().fallback(std::future::pending::<()>);
    let stage = Stage::new(
        serve(app).await,
        &[
            ("WORKER_THREADS", "1"),
            ("MAX_REQUESTS_IN_FLIGHT", "3"),
            ("REQUEST_TIMEOUT_MS", "1500"),
        ],
    );
    let requests = (0..8).map(|_| stage.get("/api/v1/movies"));
    let answers = futures_util::future::join_all(requests);
    let probe = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.get("/health").await.status
    };
    let (answers, probe) = tokio::join!(answers, probe);
    assert_eq!(probe, 200);
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!((count(504), count(503)), (3, 5));
    let shed = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert_eq!(shed.problem(503)["type"], "/problems/overloaded");
    assert_eq!(shed.header("retry-after"), "1");
}
