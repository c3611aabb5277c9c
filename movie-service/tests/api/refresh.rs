//! The scheduled refresh of old movies.

use std::{sync::Arc, time::Duration};

use chassis::testing::eventually;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::TestApp;

const ON: [(&str, &str); 4] = [
    ("MOVIE_REFRESH_DAYS", "150"),
    ("MOVIE_REFRESH_INTERVAL_SECONDS", "1"),
    ("MOVIE_REFRESH_BATCH", "2"),
    ("JOB_POLL_SECONDS", "1"),
];

async fn runs(pool: &PgPool) -> Vec<(String, i32, i32, i32)> {
    sqlx::query_as(
        "select status, total, succeeded, failed from job where kind = 'refresh' order by created_at",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// Lets `days` pass for the movies `ids`.
async fn age(pool: &PgPool, ids: &[i64], days: i32) {
    sqlx::query(
        "update movie set synced_at = synced_at - make_interval(days => $2),
             created_at = created_at - make_interval(days => $2) where id = any ($1)",
    )
    .bind(ids)
    .bind(days)
    .execute(pool)
    .await
    .unwrap();
}

async fn records(pool: &PgPool) -> Vec<(String, Value)> {
    sqlx::query_as("select name, payload from outbox order by seq offset 20")
        .fetch_all(pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn one_replica_refreshes_old_movies_in_batches(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    let ids = test.ids("/api/v1/movies").await;
    let [renamed, gone, same] = ids[..3].try_into().unwrap();
    age(&pool, &ids[..3], 151).await;
    age(&pool, &ids[3..6], 149).await;
    let tmdb = &test.tmdb;
    tmdb.control(
        "POST",
        &format!("/__films/{renamed}"),
        r#"{"title": "Renamed"}"#,
    );
    tmdb.control("POST", &format!("/__films/{gone}/hide"), "");
    tmdb.control("DELETE", "/__stats", "");
    let one = TestApp::beside(&pool, Arc::clone(tmdb), &ON);
    let _two = TestApp::beside(&pool, Arc::clone(tmdb), &ON);
    let succeeded = |films| ("succeeded".to_owned(), films, films, 0);
    eventually("two rounds", async || {
        runs(&pool).await == [succeeded(2), succeeded(1)]
    })
    .await;
    let stats = tmdb.control("GET", "/__stats", "");
    assert_eq!(stats["by_kind"]["movie"], 3, "{stats}");
    let mut records = records(&pool).await;
    records.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(
        records[0],
        (
            "movie.removed".to_owned(),
            json!({"id": gone, "version": 2})
        )
    );
    assert_eq!(records[1].1["title"], "Renamed");
    assert_eq!(records.len(), 2, "{same} did not change");
    eventually("no film overdue", async || {
        let metrics = one.get("/metrics").await.text;
        metrics.lines().any(|line| line == "movies_overdue 0")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(runs(&pool).await.len(), 2, "there is nothing left to do");
}

#[sqlx::test]
async fn a_failed_refresh_keeps_the_movie_and_is_retried(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    let ids = test.ids("/api/v1/movies").await;
    age(&pool, &ids[..1], 200).await;
    test.tmdb.faults(&format!(
        r#"{{"kind": "malformed", "path": "/movie/{}?"}}"#,
        ids[0]
    ));
    let on = [ON[0], ON[1], ON[2], ON[3], ("TMDB_MAX_RETRIES", "0")];
    let on = TestApp::beside(&pool, Arc::clone(&test.tmdb), &on);
    eventually("two tries", async || {
        let runs = runs(&pool).await;
        let failed = ("succeeded".to_owned(), 1, 0, 1);
        runs.iter().filter(|run| **run == failed).count() >= 2
    })
    .await;
    on.get(&format!("/api/v1/movies/{}", ids[0]))
        .await
        .expect(200);
    assert_eq!(records(&pool).await, []);
}

#[sqlx::test]
async fn it_does_not_run_if_disabled_or_without_a_key(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    let ids = test.ids("/api/v1/movies").await;
    age(&pool, &ids, 1000).await;
    let off = [("MOVIE_REFRESH_DAYS", "0"), ON[1], ON[2], ON[3]];
    let keyless = [ON[0], ON[1], ON[2], ON[3], ("TMDB_API_KEY", "")];
    let _off = TestApp::beside(&pool, Arc::clone(&test.tmdb), &off);
    let _keyless = TestApp::beside(&pool, Arc::clone(&test.tmdb), &keyless);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(runs(&pool).await.is_empty());
}
