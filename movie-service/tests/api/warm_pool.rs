//! The warm pool runs on schedule, once for all replicas.

use std::{sync::Arc, time::Duration};

use chassis::testing::eventually;
use serde_json::json;
use sqlx::PgPool;

use crate::TestApp;

const ON: [(&str, &str); 3] = [
    ("WARM_POOL_INTERVAL_SECONDS", "3600"),
    ("WARM_POOL_SIZE", "50"),
    ("JOB_POLL_SECONDS", "1"),
];

async fn runs(pool: &PgPool) -> Vec<(String, i32, i32)> {
    sqlx::query_as("select status, total, succeeded from job where kind = 'warm_pool'")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn one_replica_runs_it_and_a_restart_does_not_repeat_it(pool: PgPool) {
    let one = TestApp::with(&pool, &ON);
    let two = TestApp::beside(&pool, Arc::clone(&one.tmdb), &ON);
    eventually("a full pool", async || {
        runs(&pool).await == [("succeeded".to_owned(), 50, 50)]
    })
    .await;
    let stats = one.tmdb.control("GET", "/__stats", "")["by_kind"].clone();
    assert_eq!(stats["movie"], 50);
    assert_eq!(stats["trending"], 2);
    eventually("fifty films in the list", async || {
        two.get("/api/v1/movies").await.expect(200)["total_results"] == json!(50)
    })
    .await;
    let restarted = TestApp::beside(&pool, Arc::clone(&one.tmdb), &ON);
    eventually("the metric", async || {
        let metrics = restarted.get("/metrics").await.text;
        metrics.contains("warm_pool_last_success_timestamp_seconds")
    })
    .await;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(runs(&pool).await.len(), 1);
}

#[sqlx::test]
async fn it_runs_again_after_the_interval(pool: PgPool) {
    let settings = [
        ("WARM_POOL_INTERVAL_SECONDS", "1"),
        ("WARM_POOL_SIZE", "5"),
        ("JOB_POLL_SECONDS", "1"),
    ];
    let test = TestApp::with(&pool, &settings);
    eventually("a second run", async || runs(&pool).await.len() >= 2).await;
    assert_eq!(
        test.get("/api/v1/movies").await.expect(200)["total_results"].as_i64(),
        Some(5)
    );
}

#[sqlx::test]
async fn it_does_not_run_if_disabled_or_without_a_key(pool: PgPool) {
    let _off = TestApp::new(&pool);
    let keyless = [ON[0], ON[1], ("TMDB_API_KEY", "")];
    let _keyless = TestApp::with(&pool, &keyless);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(runs(&pool).await.is_empty());
}
