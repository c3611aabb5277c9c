//! The metrics of the service.

use axum::{body::Body, http::Request};
use chassis::testing::{RedisServer, eventually, send};
use sqlx::PgPool;

use crate::TestApp;

#[sqlx::test]
async fn every_metric_is_exported(pool: PgPool) {
    let redis = RedisServer::start();
    let url = redis.url();
    let settings = [
        ("REDIS_URL", &*url),
        ("TMDB_MAX_RETRIES", "1"),
        ("WARM_POOL_INTERVAL_SECONDS", "2"),
        ("WARM_POOL_SIZE", "5"),
        ("JOB_POLL_SECONDS", "1"),
        ("MOVIE_REFRESH_DAYS", "150"),
    ];
    let test = TestApp::with(&pool, &settings);
    test.sync(1).await.expect(200);
    let uncached = [settings[0], ("MOVIE_CACHE_BYTES", "0")];
    let other = TestApp::beside(&pool, std::sync::Arc::clone(&test.tmdb), &uncached);
    let path = format!("/api/v1/movies/{}", test.ids("/api/v1/movies").await[0]);
    sqlx::query("update movie set synced_at = now() - interval '8 days'")
        .execute(&pool)
        .await
        .unwrap();
    for fault in [
        r#"{"kind": "status", "status": 500, "path": "/movie/603?"}"#,
        r#"{"kind": "rate_limited", "retry_after": 1, "path": "/movie/603?"}"#,
    ] {
        test.tmdb.faults(fault);
        test.get("/api/v1/movies/603").await.expect(503);
    }
    test.tmdb.faults("[]");
    test.get("/api/v1/movies/603").await.expect(200);
    eventually("every metric", async || {
        for app in [&test, &other] {
            app.get(&path).await.expect(200);
        }
        test.get("/api/v1/movies").await.expect(200);
        let metrics = test.get("/metrics").await.text;
        let missing: Vec<&str> = [
            // Movies by source.
            r#"movie_reads_total{tier="memory"}"#,
            r#"movie_reads_total{tier="redis"}"#,
            r#"movie_reads_total{tier="postgres"}"#,
            r#"movie_reads_total{tier="tmdb"}"#,
            "movie_cache_bytes ",
            r#"movie_list_reads_total{tier="memory"}"#,
            r#"movie_list_reads_total{tier="index"}"#,
            "movie_list_cache_bytes ",
            // TMDB.
            r#"tmdb_calls_total{outcome="ok"}"#,
            r#"tmdb_calls_total{outcome="failed"}"#,
            r#"tmdb_calls_total{outcome="limited"}"#,
            "tmdb_breaker_state 0",
            "tmdb_token_wait_seconds_sum ",
            "tmdb_token_wait_seconds_count ",
            "tmdb_retries_total ",
            // Ages and refreshes.
            "movie_served_age_days_count ",
            "movie_stale_served_total ",
            r#"movie_refreshes_total{outcome="refreshed"}"#,
            "movies_overdue 0",
            // The change feed and the list index.
            "feed_age_seconds ",
            "list_index_films ",
            "list_index_load_seconds",
            "list_index_changes_total ",
            // Jobs.
            r#"jobs_total{kind="sync",status="succeeded"}"#,
            r#"jobs_running{kind="sync"} 0"#,
            r#"job_items_total{kind="sync",outcome="succeeded"}"#,
            r#"job_progress_ratio{kind="sync"} 1"#,
            "warm_pool_runs_total ",
            "warm_pool_last_success_timestamp_seconds ",
        ]
        .into_iter()
        .filter(|name| !metrics.lines().any(|line| line.starts_with(name)))
        .collect();
        if !missing.is_empty() {
            eprintln!("still missing: {missing:?}");
        }
        missing.is_empty()
    })
    .await;
}

#[sqlx::test]
async fn unknown_methods_share_a_label(pool: PgPool) {
    let test = TestApp::with(&pool, &[]);
    for method in ["MADEUP1", "MADEUP2"] {
        let request = Request::builder().method(method).uri("/api/v1/movies");
        let response = send(&test.app, request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status, 405, "{method}: {}", response.text);
    }
    let metrics = test.get("/metrics").await.text;
    let counts = r#"http_requests_total{method="other",route="/api/v1/movies",status="405"}"#;
    assert!(metrics.contains(counts), "{metrics}");
    assert!(!metrics.contains("MADEUP"), "{metrics}");
}
