//! The rate limit, with and without Redis.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::testing::{RedisServer, eventually};
use reqwest::Method;

use crate::stage::{Stage, TestResponse, echo, serve};

async fn counts_down_exactly(redis: &str) {
    let stage = Stage::with_echo(&[("RATE_LIMIT_MAX", "100"), ("REDIS_URL", redis)]).await;
    for expected in (0..100).rev() {
        // A new connection for each request, so that all threads take part.
        let request = stage
            .call(Method::GET, "/api/v1/movies")
            .header("connection", "close");
        let response = TestResponse::of(request).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("x-ratelimit-limit"), "100");
        assert_eq!(
            response.header("x-ratelimit-remaining"),
            expected.to_string()
        );
        let reset: u64 = response.header("x-ratelimit-reset").parse().unwrap();
        assert!((30..=60).contains(&reset), "{reset}");
        assert_eq!(response.header("ratelimit-policy"), "\"client\";q=100;w=60");
        assert_eq!(
            response.header("ratelimit"),
            format!("\"client\";r={expected};t={reset}")
        );
    }
    for _ in 0..3 {
        let response = stage.get("/api/v1/movies").await;
        let problem = response.problem(429);
        assert_eq!(problem["error"], "rate limit exceeded");
        assert_eq!(problem["type"], "/problems/rate-limited");
        let reset: u64 = response.header("x-ratelimit-reset").parse().unwrap();
        assert_eq!(problem["retry_after"], reset);
        assert_eq!(response.header("retry-after"), reset.to_string());
        assert_eq!(response.header("x-ratelimit-remaining"), "0");
    }
    // Everything but probes, metrics and files counts, whatever its result.
    for path in [
        "/health",
        "/health/live",
        "/health/ready",
        "/metrics",
        "/swagger/",
        "/swagger/docs/marquee.json",
        "/",
        "/page/app.js",
    ] {
        let response = TestResponse::of(stage.bare(Method::GET, path)).await;
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(response.header("x-ratelimit-limit"), "");
    }
    for path in ["/session", "/api/v1/nothing"] {
        TestResponse::of(stage.bare(Method::GET, path))
            .await
            .problem(429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_counts_once_with_redis() {
    let redis = RedisServer::start();
    counts_down_exactly(&redis.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_counts_once_without_redis() {
    counts_down_exactly("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_token_count() {
    let stage = Stage::with_echo(&[("RATE_LIMIT_MAX", "3")]).await;
    for expected in ["2", "1", "0"] {
        let response = TestResponse::of(stage.bare(Method::GET, "/api/v1/movies")).await;
        response.problem(401);
        assert_eq!(response.header("x-ratelimit-remaining"), expected);
    }
    stage.get("/api/v1/movies").await.problem(429);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_window_begins_after_the_last() {
    for url in [None, Some(RedisServer::start())] {
        let redis = url.as_ref().map(RedisServer::url).unwrap_or_default();
        let stage = Stage::with_echo(&[
            ("RATE_LIMIT_MAX", "5"),
            ("RATE_LIMIT_WINDOW_SECONDS", "1"),
            ("REDIS_URL", &redis),
        ])
        .await;
        for _ in 0..2 {
            eventually("a whole window", || async {
                stage
                    .get("/api/v1/movies")
                    .await
                    .header("x-ratelimit-remaining")
                    == "4"
            })
            .await;
            for expected in ["3", "2", "1", "0", "0"] {
                let response = stage.get("/api/v1/movies").await;
                assert_eq!(response.header("x-ratelimit-remaining"), expected);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_together_never_admit_more_than_the_limit() {
    let redis = RedisServer::start();
    let upstream = serve(echo()).await;
    // On a very busy machine Redis may time out, so that each gateway would count alone.
    let more = [
        ("RATE_LIMIT_MAX", "60"),
        ("REDIS_URL", &redis.url()[..]),
        ("REDIS_TIMEOUT_MS", "20000"),
    ];
    let stages = [Stage::new(upstream, &more), Stage::new(upstream, &more)];
    let requests = (0..200).map(|number| stages[number % 2].get("/api/v1/movies"));
    let responses = futures_util::future::join_all(requests).await;
    let count = |status| {
        responses
            .iter()
            .filter(|response| response.status == status)
            .count()
    };
    let (admitted, refused) = (count(200), count(429));
    assert_eq!(admitted + refused, 200);
    assert!((50..=60).contains(&admitted), "{admitted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_gateway_under_load_admits_exactly_the_limit() {
    let redis = RedisServer::start();
    let stage = Stage::with_echo(&[("RATE_LIMIT_MAX", "123"), ("REDIS_URL", &redis.url())]).await;
    let requests = (0..300).map(|_| stage.get("/api/v1/movies"));
    let responses = futures_util::future::join_all(requests).await;
    let mut remaining: Vec<u64> = responses
        .iter()
        .filter(|response| response.status == 200)
        .map(|response| response.header("x-ratelimit-remaining").parse().unwrap())
        .collect();
    remaining.sort_unstable();
    assert_eq!(remaining, (0..123).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_served_while_redis_restarts() {
    let mut redis = RedisServer::start();
    let stage = Arc::new(
        Stage::with_echo(&[
            ("RATE_LIMIT_MAX", "100000"),
            ("RATE_LIMIT_WINDOW_SECONDS", "1"),
            ("REDIS_URL", &redis.url()),
        ])
        .await,
    );
    let (stop, sent, slowest) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicUsize::new(0)),
    );
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (stage, stop, sent, slowest) = (
                Arc::clone(&stage),
                Arc::clone(&stop),
                Arc::clone(&sent),
                Arc::clone(&slowest),
            );
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let started = Instant::now();
                    let response = stage.get("/api/v1/movies").await;
                    assert_eq!(response.status, 200, "{}", response.text);
                    sent.fetch_add(1, Ordering::Relaxed);
                    slowest.fetch_max(started.elapsed().as_millis() as usize, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let state = || async {
        let ready = stage.get("/health/ready").await;
        assert_eq!(ready.status, 200);
        ready.json()["dependencies"][0]["status"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    eventually("Redis is seen", || async { state().await == "ok" }).await;
    for _ in 0..2 {
        redis.stop();
        eventually("Redis is missed", || async { state().await != "ok" }).await;
        // More than a window without Redis.
        let before = sent.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert!(sent.load(Ordering::Relaxed) > before);
        redis.resume();
        let client = redis::Client::open(redis.url()).unwrap();
        eventually("counts are in Redis again", || async {
            let Ok(mut connection) = client.get_multiplexed_async_connection().await else {
                return false;
            };
            let keys: Vec<String> = redis::cmd("KEYS")
                .arg("gateway:*")
                .query_async(&mut connection)
                .await
                .unwrap_or_default();
            keys == ["gateway:v2:limit:127.0.0.1"]
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        task.await.expect("no response but 200");
    }
    let slowest = slowest.load(Ordering::Relaxed);
    assert!(slowest < 3000, "a request took {slowest} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_holds_without_redis() {
    let redis = format!("redis://127.0.0.1:{}/0", chassis::testing::free_port());
    let stage = Stage::with_echo(&[("RATE_LIMIT_MAX", "40"), ("REDIS_URL", &redis)]).await;
    let requests = (0..100).map(|_| stage.get("/api/v1/movies"));
    let responses = futures_util::future::join_all(requests).await;
    let admitted = responses
        .iter()
        .filter(|response| response.status == 200)
        .count();
    assert_eq!(admitted, 40);
    assert!(
        responses
            .iter()
            .all(|response| [200, 429].contains(&response.status))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_survives_the_loss_of_redis_data() {
    let mut redis = RedisServer::start();
    let stage = Stage::with_echo(&[("RATE_LIMIT_MAX", "50"), ("REDIS_URL", &redis.url())]).await;
    let mut admitted = 0;
    for number in 0..100 {
        match number {
            20 => redis.stop(),
            30 => redis.resume(),
            _ => {}
        }
        let response = stage.get("/api/v1/movies").await;
        assert!([200, 429].contains(&response.status));
        admitted += usize::from(response.status == 200);
    }
    assert_eq!(admitted, 50);
}
