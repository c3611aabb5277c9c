//! Liveness, readiness and metrics.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use axum::Router;
use chassis::testing::eventually;
use gateway::Role;
use reqwest::Method;

use crate::stage::{Stage, TestResponse, blocked_service, echo, serve};

async fn bare(stage: &Stage, path: &str) -> TestResponse {
    TestResponse::of(stage.bare(Method::GET, path)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn liveness_needs_no_token_and_names_the_service() {
    let stage = Stage::with_echo(&[]).await;
    for path in ["/health", "/health/live", "/health/"] {
        let response = bare(&stage, path).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.header("content-type"), "application/json");
        let report = response.json();
        assert_eq!(
            (&report["service"], &report["status"]),
            (&"gateway".into(), &"ok".into())
        );
    }
    // Exact paths only: the original API let everything pass that began with /health.
    for path in ["/healthy", "/health/secrets", "/healthXYZ"] {
        bare(&stage, path).await.problem(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_reports_unavailable_dependencies_and_stays_ok() {
    let movie = format!("http://{}", serve(echo()).await);
    let sick = Router::new().fallback(|| async { axum::http::StatusCode::SERVICE_UNAVAILABLE });
    let sick = format!("http://{}", serve(sick).await);
    let silent = Router::new().fallback(std::future::pending::<()>);
    let silent = format!("http://{}", serve(silent).await);
    let stage = Stage::new(
        ([127, 0, 0, 1], 1).into(),
        &[
            ("MOVIE_SERVICE_URL", &movie),
            ("USER_PREFERENCE_SERVICE_URL", &sick),
            ("RECOMMENDATION_SERVICE_URL", &silent),
            // Later than the limit of the check, so that it is the check that ends.
            ("UPSTREAM_PROBE_AFTER_MS", "5000"),
        ],
    );
    let started = Instant::now();
    let response = bare(&stage, "/health/ready").await;
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_eq!(response.status, 200);
    insta::assert_json_snapshot!(response.json(), @r#"
    {
      "dependencies": [
        {
          "name": "redis",
          "required": false,
          "status": "not configured: limits are counted by each gateway alone"
        },
        {
          "name": "movie-service",
          "required": false,
          "status": "ok"
        },
        {
          "name": "preference-service",
          "required": false,
          "status": "status 503"
        },
        {
          "name": "recommendation-service",
          "required": false,
          "status": "no response within a second"
        }
      ],
      "service": "gateway",
      "status": "degraded"
    }
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_operators() {
    let stage = Stage::with_echo(&[]).await;
    // An id too long to appear by chance among the digits of a measured time.
    stage.get("/api/v1/movies/1987654321?key=secret").await;
    let numbers = bare(&stage, "/metrics").await;
    assert_eq!(numbers.status, 200);
    let line = r#"http_requests_total{method="GET",route="/api/v1/movies/{id}",status="200"}"#;
    assert!(numbers.text.contains(line), "{}", numbers.text);
    assert!(
        numbers
            .text
            .contains("http_request_duration_seconds_bucket{")
    );
    assert!(numbers.text.contains("http_requests_in_flight "));
    assert!(!numbers.text.contains("1987654321") && !numbers.text.contains("secret"));

    // A request that a proxy on this machine forwards does not come from this machine.
    for header in ["x-forwarded-for", "forwarded"] {
        let request = stage
            .bare(Method::GET, "/metrics")
            .header(header, "for=1.2.3.4");
        TestResponse::of(request).await.problem(401);
    }
    let closed = Stage::with_echo(&[("METRICS_NETWORKS", "10.0.0.0/8")]).await;
    bare(&closed, "/metrics").await.problem(401);
    let user = closed.token("7", Role::User);
    TestResponse::of(closed.bare(Method::GET, "/metrics").bearer_auth(user))
        .await
        .problem(403);
    assert_eq!(closed.get("/metrics").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_for_readiness_are_few_to_the_services() {
    let (app, go, checks) = blocked_service();
    let stage = Stage::new(serve(app).await, &[("WORKER_THREADS", "1")]);
    let is_over = AtomicBool::new(false);
    let release = async {
        eventually("the services are asked", async || {
            checks.load(Ordering::SeqCst) == 3
        })
        .await;
        // Most others arrive in this time.
        tokio::time::sleep(Duration::from_millis(200)).await;
        while !is_over.load(Ordering::SeqCst) {
            go.notify_waiters();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let requests = (0..50).map(|_| bare(&stage, "/health/ready"));
    let all = async {
        let responses = futures_util::future::join_all(requests).await;
        is_over.store(true, Ordering::SeqCst);
        responses
    };
    let (responses, ()) = tokio::join!(all, release);
    for response in responses {
        assert_eq!(response.status, 200, "{response:?}");
    }
    let checks = checks.load(Ordering::SeqCst);
    assert!(
        checks <= 30,
        "{checks} checks for 50 requests to 3 services"
    );
}
