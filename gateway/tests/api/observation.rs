//! Observation of requests: `Server-Timing`, and the metric of refusals by reason.

use std::collections::HashMap;

use axum::{Router, response::IntoResponse, routing::get};
use gateway::Role;
use reqwest::Method;

use crate::stage::{Stage, TestResponse, serve};

#[tokio::test(flavor = "multi_thread")]
async fn server_timing_is_sent_on_request_beside_that_of_the_service() {
    let app =
        Router::new().fallback(|| async { ([("server-timing", "db;dur=1")], "x").into_response() });
    let stage = Stage::new(serve(app).await, &[]);
    let usual = stage.get("/api/v1/movies").await;
    assert_eq!(usual.header("server-timing"), "db;dur=1");
    assert_eq!(usual.header("preference-applied"), "");
    for (path, phases) in [
        (
            "/api/v1/movies",
            &["limits", "auth", "upstream", "total"][..],
        ),
        ("/api/v1/nothing", &["limits", "auth", "total"]),
        ("/health", &["endpoint", "total"]),
    ] {
        let request = stage.call(Method::GET, path);
        let request = request.header("prefer", "respond-async, Server-Timing");
        let response = TestResponse::of(request).await;
        assert_eq!(response.header("preference-applied"), "server-timing");
        let mut lines = response.headers.get_all("server-timing").iter();
        let timing = lines
            .next_back()
            .expect("a timing")
            .to_str()
            .expect("ASCII");
        let durations: Vec<(&str, f64)> = timing
            .split(", ")
            .map(|phase| {
                let (name, duration) = phase.split_once(";dur=").expect("a duration");
                (name, duration.parse().expect("a number"))
            })
            .collect();
        let names: Vec<&str> = durations.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, phases, "{path}");
        let sum: f64 = durations.iter().map(|(_, duration)| duration).sum();
        let total = durations.last().expect("the total").1;
        // Each is rounded to a thousandth.
        assert!(sum - total <= total + 0.003, "{timing}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_counted_by_reason() {
    let app = Router::new()
        .route("/api/v1/movies", get(|| async { "x" }))
        .fallback(std::future::pending::<()>);
    let settings = [("REQUEST_TIMEOUT_MS", "200"), ("RATE_LIMIT_MAX", "4")];
    let stage = Stage::new(serve(app).await, &settings);
    let user = stage.token("7", Role::User);
    let bare = stage.bare(Method::GET, "/api/v1/movies");
    TestResponse::of(bare).await.problem(401);
    let forbidden = stage.bare(Method::GET, "/api/v1/users/8").bearer_auth(user);
    TestResponse::of(forbidden).await.problem(403);
    stage.get("/api/v1/genres").await.problem(504);
    assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    stage.get("/api/v1/movies").await.problem(429);
    let text = stage.get("/metrics").await.text;
    assert!(text.contains("# HELP requests_refused_total"));
    let refusals: HashMap<&str, &str> = text
        .lines()
        .filter_map(|line| {
            let rest = line.strip_prefix("requests_refused_total{reason=\"")?;
            rest.split_once("\"} ")
        })
        .collect();
    let expected = [("auth", "2"), ("timeout", "1"), ("rate_limit", "1")];
    assert_eq!(refusals, HashMap::from(expected));
}
