//! Services that are unavailable, slow, or broken.

use std::{
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header::WWW_AUTHENTICATE},
};
use chassis::{
    server::INTERNAL_CHALLENGE,
    testing::{eventually, free_port},
};
use gateway::Role;
use reqwest::Method;
use tokio::sync::watch;

use crate::stage::{
    MAX_WAIT, Scripted, Stage, TestResponse, echo, raw, read_head, respond_ok, serve, status_of,
};

/// Asserts that the response contains nothing about the platform's interior.
fn leaks_nothing(response: &TestResponse, inside: std::net::SocketAddr) {
    for word in [
        &inside.to_string()[..],
        "127.0.0.1",
        "os error",
        "refused",
        "hyper",
    ] {
        assert!(!response.text.contains(word), "{word} in {}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_service_is_503_until_it_returns() {
    let port = free_port();
    let address = ([127, 0, 0, 1], port).into();
    let stage = Stage::new(address, &[]);
    for _ in 0..20 {
        let response = stage.get("/api/v1/movies").await;
        let problem = response.problem(503);
        assert_eq!(problem["type"], "/problems/unavailable");
        assert_eq!(response.header("retry-after"), "1");
        leaks_nothing(&response, address);
    }
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, echo()).await });
    assert_eq!(stage.get("/api/v1/movies").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_service_is_504_after_the_time_limit() {
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
        let response = TestResponse::of(stage.call(method, path)).await;
        let elapsed = started.elapsed();
        response.problem(504);
        leaks_nothing(&response, address);
        let limit = Duration::from_millis(limit);
        assert!(
            elapsed >= limit && elapsed < limit + Duration::from_secs(3),
            "{path}: {elapsed:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_its_body_too_slowly_is_408() {
    let stage = Stage::with_echo(&[("REQUEST_TIMEOUT_MS", "200")]).await;
    let body = reqwest::Body::wrap_stream(futures_util::stream::pending::<
        Result<bytes::Bytes, std::convert::Infallible>,
    >());
    TestResponse::of(stage.call(Method::POST, "/api/v1/users").body(body))
        .await
        .problem(408);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_does_not_read_the_body_is_504() {
    let service = Scripted::new(|_, mut stream, _| {
        read_head(&mut stream);
        std::thread::sleep(MAX_WAIT);
    });
    let stage = Stage::new(service.address, &[("SYNC_TIMEOUT_MS", "500")]);
    let (token, bytes) = (stage.token("7", Role::User), 16 << 20);
    let head = format!(
        "POST /api/v1/users/7/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {bytes}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.resize(request.len() + bytes, b'x');
    let address = stage.address;
    let response = tokio::task::spawn_blocking(move || raw(address, &request));
    let response = response.await.unwrap();
    assert_eq!(status_of(&response), 504, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unusable_response_is_502() {
    for unusable in [
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/9.1 200 OK\r\n\r\n",
        "",
    ] {
        let upstream = Scripted::new(move |_, mut stream, _| {
            read_head(&mut stream);
            let _ = stream.write_all(unusable.as_bytes());
        });
        let stage = Stage::new(upstream.address, &[]);
        for method in [Method::GET, Method::POST] {
            let path = if method == Method::GET {
                "/api/v1/movies"
            } else {
                "/api/v1/users"
            };
            let response = TestResponse::of(stage.call(method, path)).await;
            assert_eq!(
                response.problem(502)["type"],
                "/problems/bad-gateway",
                "{unusable:?}"
            );
            leaks_nothing(&response, upstream.address);
        }
        assert!(
            upstream.connections() <= 8,
            "{} tries",
            upstream.connections()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_internal_token_is_502_and_other_challenges_reach_the_client() {
    let app = Router::new().fallback(async |request: Request| {
        let challenge = match request.uri().path() {
            "/api/v1/movies" => INTERNAL_CHALLENGE,
            _ => "Bearer",
        };
        let challenge = [(WWW_AUTHENTICATE, challenge)];
        (StatusCode::UNAUTHORIZED, challenge, "from the service")
    });
    let stage = Stage::new(serve(app).await, &[]);
    let refused = stage.get("/api/v1/movies").await;
    assert_eq!(refused.problem(502)["type"], "/problems/bad-gateway");
    assert!(!refused.text.contains("from the service"));
    assert_eq!(refused.header("www-authenticate"), "");
    let other = stage.get("/api/v1/genres").await;
    assert_eq!((other.status, &other.text[..]), (401, "from the service"));
    assert_eq!(other.header("www-authenticate"), "Bearer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_closed_on_reuse_does_not_fail_the_request() {
    // Each connection serves one request and is closed when the next one begins, which the gateway cannot
    // foresee.
    let upstream = Scripted::new(|_, mut stream, _| {
        if !read_head(&mut stream).is_empty() {
            respond_ok(&mut stream, "completed");
            read_head(&mut stream);
        }
    });
    let stage = Stage::new(upstream.address, &[("WORKER_THREADS", "1")]);
    for _ in 0..50 {
        let response = stage.get("/api/v1/movies").await;
        assert_eq!(
            (response.status, response.text.as_str()),
            (200, "completed")
        );
    }
    assert!(upstream.connections() >= 50, "connections were reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_closed_while_idle_do_not_fail_requests() {
    // Closed after a varying delay, so that the close coincides with every phase of a request; after several requests, so that
    // the budget of retries suffices even if every close does.
    let upstream = Scripted::new(|number, mut stream, _| {
        for _ in 0..4 {
            if read_head(&mut stream).is_empty() {
                return;
            }
            respond_ok(&mut stream, "completed");
        }
        std::thread::sleep(Duration::from_micros(100 * (number as u64 % 20)));
    });
    let stage = Stage::new(upstream.address, &[("WORKER_THREADS", "1")]);
    for _ in 0..200 {
        assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_not_idempotent_are_not_retried() {
    let upstream = Scripted::new(|_, mut stream, messages| {
        let head = read_head(&mut stream);
        if head.starts_with("GET") {
            respond_ok(&mut stream, "completed");
            let head = read_head(&mut stream);
            messages.lock().unwrap().push(head);
        } else {
            messages.lock().unwrap().push(head);
        }
    });
    let stage = Stage::new(upstream.address, &[("WORKER_THREADS", "1")]);
    // Over a recently used connection and over a new one.
    assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    for sent in 1..3 {
        TestResponse::of(stage.call(Method::POST, "/api/v1/users").body("{}"))
            .await
            .problem(502);
        let messages = upstream.messages.lock().unwrap();
        let posts = messages
            .iter()
            .filter(|head| head.starts_with("POST"))
            .count();
        assert_eq!(posts, sent, "{messages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_of_a_service_that_always_fails_are_a_fifth_of_the_requests() {
    let upstream = Scripted::new(|_, mut stream, _| {
        read_head(&mut stream);
    });
    let stage = Stage::new(upstream.address, &[("WORKER_THREADS", "1")]);
    const REQUESTS: usize = 200;
    for _ in 0..REQUESTS {
        stage.get("/api/v1/movies").await.problem(502);
    }
    let attempts = upstream.connections();
    assert!(
        (REQUESTS + REQUESTS / 6..=REQUESTS + REQUESTS / 5).contains(&attempts),
        "{attempts} attempts"
    );
    let metrics = stage.get("/metrics").await.text;
    let retries = attempts - REQUESTS;
    for line in [
        "# HELP upstream_retries_total".to_owned(),
        format!(
            r#"upstream_retries_total{{service="movie-service",group="default",reason="failed"}} {retries}"#
        ),
        "# HELP upstream_retries_refused_total".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_of_a_service_that_closes_connections_on_reuse_are_bounded() {
    // It reads the next request of each connection, too, and may have done what that requests.
    let received = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&received);
    let upstream = Scripted::new(move |_, mut stream, _| {
        for number in 0..2 {
            if read_head(&mut stream).is_empty() {
                return;
            }
            count.fetch_add(1, Ordering::SeqCst);
            if number == 0 {
                respond_ok(&mut stream, "completed");
            }
        }
    });
    let settings = [("WORKER_THREADS", "1"), ("UPSTREAM_IDLE_CONNECTIONS", "20")];
    let stage = Stage::new(upstream.address, &settings);
    const REQUESTS: usize = 300;
    for _ in 0..REQUESTS {
        stage.get("/api/v1/movies").await;
    }
    let received = received.load(Ordering::SeqCst);
    assert!(
        (REQUESTS + 20..=REQUESTS + REQUESTS / 5 + 20).contains(&received),
        "{received}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnected_client_cancels_the_upstream_request() {
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
    eventually("the request reaches the service", || async {
        under_way.load(Ordering::SeqCst) == 1
    })
    .await;
    call.abort();
    let started = Instant::now();
    eventually("the request is cancelled", || async {
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

/// A service whose every response waits while the returned sender holds `true`, as if the process were stopped.
fn stoppable() -> (Router, watch::Sender<bool>) {
    let (stopped, is_stopped) = watch::channel(false);
    let app = Router::new().fallback(move || {
        let mut is_stopped = is_stopped.clone();
        async move {
            is_stopped
                .wait_for(|stopped| !stopped)
                .await
                .map(|_| ())
                .unwrap()
        }
    });
    (app, stopped)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_fails_at_once_until_it_responds_again() {
    let (app, stopped) = stoppable();
    let stage = Stage::new(
        serve(app).await,
        &[
            ("WORKER_THREADS", "1"),
            ("UPSTREAM_PROBE_AFTER_MS", "200"),
            ("UPSTREAM_PROBE_TIMEOUT_MS", "200"),
        ],
    );
    assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    stopped.send(true).unwrap();
    // Writes too: the breaker ends requests that wait for a response.
    let first = TestResponse::of(stage.call(Method::POST, "/api/v1/users"));
    let (first, second) = tokio::join!(first, stage.get("/api/v1/movies"));
    for response in [first, second] {
        let problem = response.problem(503);
        assert_eq!(problem["type"], "/problems/unavailable");
        assert_eq!(response.header("retry-after"), "1");
    }
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let started = Instant::now();
        stage.get("/api/v1/movies").await.problem(503);
        longest = longest.max(started.elapsed());
    }
    assert!(longest < Duration::from_millis(200), "{longest:?}");
    let metrics = stage.get("/metrics").await.text;
    assert!(
        metrics.contains("upstream_breaker_opened_total{service=")
            && metrics.contains(r#"requests_refused_total{reason="breaker"} 22"#),
        "{metrics}"
    );
    stopped.send(false).unwrap();
    eventually("requests are served again", || async {
        stage.get("/api/v1/movies").await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_response_of_a_service_that_lives_is_awaited() {
    let app = Router::new()
        .route("/health/live", axum::routing::get(|| async {}))
        .fallback(|| tokio::time::sleep(Duration::from_millis(900)));
    let settings = [
        ("UPSTREAM_PROBE_AFTER_MS", "100"),
        ("UPSTREAM_PROBE_TIMEOUT_MS", "400"),
    ];
    let stage = Stage::new(serve(app).await, &settings);
    assert_eq!(stage.get("/api/v1/movies").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_go_to_the_other_instance_while_one_hangs() {
    let (app, stopped) = stoppable();
    stopped.send(true).unwrap();
    let (hanging, live) = (serve(app).await, serve(echo()).await);
    let urls = format!("http://{hanging}, http://{live}");
    let stage = Stage::new(
        live,
        &[
            ("MOVIE_SERVICE_URL", &urls),
            ("WORKER_THREADS", "1"),
            ("UPSTREAM_PROBE_AFTER_MS", "100"),
            ("UPSTREAM_PROBE_TIMEOUT_MS", "100"),
        ],
    );
    // As many as the budget permits retries.
    let responses = (0..8).map(|_| stage.get("/api/v1/movies"));
    for response in futures_util::future::join_all(responses).await {
        assert_eq!(response.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_in_flight_limit_are_shed_and_probes_are_not() {
    let app = Router::new().fallback(std::future::pending::<()>);
    let stage = Stage::new(
        serve(app).await,
        &[
            ("WORKER_THREADS", "1"),
            ("MAX_REQUESTS_IN_FLIGHT", "3"),
            ("REQUEST_TIMEOUT_MS", "800"),
        ],
    );
    let requests = (0..8).map(|_| stage.get("/api/v1/movies"));
    let responses = futures_util::future::join_all(requests);
    let probe = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stage.get("/health").await.status
    };
    let (responses, probe) = tokio::join!(responses, probe);
    assert_eq!(probe, 200);
    let count = |status| {
        responses
            .iter()
            .filter(|response| response.status == status)
            .count()
    };
    assert_eq!((count(504), count(503)), (3, 5));
    let shed = responses
        .iter()
        .find(|response| response.status == 503)
        .unwrap();
    assert_eq!(shed.problem(503)["type"], "/problems/overloaded");
    assert_eq!(shed.header("retry-after"), "1");
    let metrics = stage.get("/metrics").await.text;
    let refused = r#"requests_refused_total{reason="total_limit"} 5"#;
    assert!(metrics.contains(refused), "{metrics}");
}
