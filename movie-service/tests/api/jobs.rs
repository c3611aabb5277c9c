//! Jobs: their endpoints, their whole life, and several replicas.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    http::{Method, Request},
};
use chassis::testing::{TestResponse, eventually, send};
use futures_util::StreamExt;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt;

use demo_tmdb::testing::DemoTmdb;

use crate::TestApp;

const IMPORT: &str = "/api/v1/movies/import";

/// A TMDB with 1,000 made-up movies.
fn large_tmdb() -> Arc<DemoTmdb> {
    Arc::new(DemoTmdb::start_with(&[("DEMO_EXTRA_FILMS", "1000")]))
}

fn extra(count: i64) -> Vec<i64> {
    (10_000_001..10_000_001 + count).collect()
}

fn request(method: Method, path: &str, headers: &[(&str, &str)], body: &Value) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_string())).unwrap()
}

impl TestApp {
    async fn import(&self, ids: &[i64], headers: &[(&str, &str)]) -> TestResponse {
        let body = json!({ "tmdb_ids": ids });
        send(&self.app, request(Method::POST, IMPORT, headers, &body)).await
    }

    /// Starts an import without waiting for its end and returns the path of its job.
    async fn begin(&self, ids: &[i64]) -> String {
        let answer = self.import(ids, &[("prefer", "respond-async")]).await;
        assert_eq!(answer.headers["preference-applied"], "respond-async");
        let location = answer.headers["location"].to_str().unwrap().to_owned();
        let job = answer.expect(202);
        assert_eq!(
            location,
            format!("/api/v1/jobs/{}", job["job_id"].as_str().unwrap())
        );
        location
    }

    /// The job, once it has ended.
    async fn ended(&self, path: &str) -> Value {
        eventually("the end of a job", async || {
            let job = self.get(path).await.expect(200);
            !["pending", "running"].contains(&job["status"].as_str().unwrap())
        })
        .await;
        self.get(path).await.expect(200)
    }

    fn calls_for_films(&self) -> i64 {
        self.tmdb.control("GET", "/__stats", "")["by_kind"]["movie"]
            .as_i64()
            .unwrap_or_default()
    }
}

fn counts(job: &Value) -> (&str, [i64; 4]) {
    let count = |name: &str| job[name].as_i64().unwrap();
    (
        job["status"].as_str().unwrap(),
        ["total", "processed", "succeeded", "failed"].map(count),
    )
}

async fn films(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from movie")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn the_response_to_a_short_import_is_sent_at_its_end(pool: PgPool) {
    let test = TestApp::new(&pool);
    let job = test
        .import(&[603, 680, 603, 999_999], &[])
        .await
        .expect(200);
    assert_eq!(counts(&job), ("succeeded", [3, 3, 2, 1]));
    assert_eq!(
        (&job["kind"], &job["failures"]),
        (
            &json!("import"),
            &json!([{"item": "movie 999999", "reason": "not found at TMDB"}])
        )
    );
    assert_eq!(films(&pool).await, 2);
    assert_eq!(
        test.get("/api/v1/movies/603").await.expect(200)["genres"],
        json!(["Action", "Science Fiction"]),
        "the genres were fetched as well"
    );
    let path = format!("/api/v1/jobs/{}", job["job_id"].as_str().unwrap());
    assert_eq!(test.get(&path).await.expect(200), job);
    assert_eq!(
        test.get("/api/v1/jobs?limit=1").await.expect(200),
        json!({ "jobs": [job] })
    );
}

#[sqlx::test]
async fn a_long_import_is_a_job_that_runs_by_itself(pool: PgPool) {
    let test = TestApp::beside(&pool, large_tmdb(), &[]);
    let answer = test.import(&extra(300), &[]).await;
    let path = answer.headers["location"].to_str().unwrap().to_owned();
    let job = answer.expect(202);
    assert_eq!(counts(&job).1[0], 300);
    let job = test.ended(&path).await;
    assert_eq!(counts(&job), ("succeeded", [300, 300, 300, 0]));
    assert_eq!((films(&pool).await, test.calls_for_films()), (300, 300));
    let told: i64 = sqlx::query_scalar("select count(distinct key) from outbox")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(told, 300);
}

#[sqlx::test]
async fn invalid_ids_are_named_by_their_index(pool: PgPool) {
    let test = TestApp::new(&pool);
    for (ids, field) in [
        (json!([603, 0]), "tmdb_ids[1]"),
        (json!([603, 680, -1]), "tmdb_ids[2]"),
        (json!([1.5]), "tmdb_ids[0]"),
        (json!([null]), "tmdb_ids[0]"),
        (json!(["x"]), "tmdb_ids[0]"),
        (json!([3_000_000_000_i64]), "tmdb_ids[0]"),
        (json!([]), "tmdb_ids"),
        (json!(603), "tmdb_ids"),
        (json!((1..=10_001).collect::<Vec<_>>()), "tmdb_ids"),
    ] {
        let body = json!({ "tmdb_ids": ids });
        let problem = chassis::testing::post(&test.app, IMPORT, body)
            .await
            .expect(400);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let body = json!({"tmdb_ids": [603], "force": true});
    let problem = chassis::testing::post(&test.app, IMPORT, body).await;
    assert_eq!(problem.expect(400)["errors"][0]["field"], "force");
    for (path, status) in [
        ("/api/v1/jobs/7", 400),
        ("/api/v1/jobs?limit=0", 400),
        ("/api/v1/jobs/00000000-0000-0000-0000-000000000000", 404),
    ] {
        test.get(path).await.expect(status);
    }
    assert_eq!(
        test.get("/api/v1/jobs").await.expect(200),
        json!({"jobs": []})
    );
}

#[sqlx::test]
async fn a_repeated_request_starts_no_second_job(pool: PgPool) {
    let test = TestApp::new(&pool);
    let key = [("idempotency-key", "monday")];
    let first = test.import(&[603], &key).await.expect(200);
    assert_eq!(test.import(&[603], &key).await.expect(200), first);
    assert_eq!(test.calls_for_films(), 1);
    let problem = test.import(&[680], &key).await.expect(422);
    assert_eq!(problem["type"], "/problems/idempotency-key-reused");
    test.tmdb.faults(r#"{"kind": "hang"}"#);
    let key = [("idempotency-key", "tuesday"), ("prefer", "respond-async")];
    let first = test.import(&[640], &key).await.expect(202);
    assert_eq!(
        test.import(&[640], &key).await.expect(202)["job_id"],
        first["job_id"]
    );
    let problem = test.import(&[640], &key[..1]).await.expect(409);
    assert_eq!(problem["job"]["job_id"], first["job_id"]);
    test.import(&[640], &[("idempotency-key", "")])
        .await
        .expect(400);
}

#[sqlx::test]
async fn a_client_that_waits_too_briefly_gets_the_job(pool: PgPool) {
    let test = TestApp::new(&pool);
    test.tmdb
        .faults(r#"{"kind": "hang", "path": "/movie/603?"}"#);
    let answer = test.import(&[603], &[("prefer", "wait=0")]).await;
    assert!(answer.headers.contains_key("location"));
    answer.expect(202);
    let sync = request(
        Method::POST,
        "/api/v1/admin/sync?pages=1",
        &[("prefer", "respond-async")],
        &json!({}),
    );
    let answer = send(&test.app, sync).await;
    let path = answer.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(answer.expect(202)["kind"], "sync");
    assert_eq!(
        counts(&test.ended(&path).await),
        ("succeeded", [20, 20, 20, 0])
    );
}

#[sqlx::test]
async fn a_cancelled_job_stops_and_can_be_retried(pool: PgPool) {
    let test = TestApp::beside(&pool, large_tmdb(), &[("JOB_LEASE_SECONDS", "1")]);
    test.tmdb.faults(r#"{"kind": "latency", "ms": 20}"#);
    let path = test.begin(&extra(1000)).await;
    eventually("progress", async || {
        test.get(&path).await.expect(200)["processed"].as_i64() > Some(0)
    })
    .await;
    let again = test.post(&format!("{path}/retry")).await.expect(409);
    assert_eq!(again["type"], "/problems/job-status");
    let job = test.post(&format!("{path}/cancel")).await.expect(200);
    assert_eq!(job["status"], "cancelled");
    let (_, [total, processed, ..]) = counts(&job);
    assert!(total == 1000 && processed < 1000, "{job}");
    // Twice the lease: the worker has noticed.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(
        test.get(&path).await.expect(200),
        job,
        "there is no further progress"
    );
    assert_eq!(films(&pool).await, processed);
    let calls = test.calls_for_films();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(test.calls_for_films(), calls);
    assert_eq!(test.post(&format!("{path}/cancel")).await.expect(200), job);

    test.tmdb.faults("[]");
    test.post(&format!("{path}/retry")).await.expect(202);
    let job = test.ended(&path).await;
    assert_eq!(counts(&job), ("succeeded", [1000, 1000, 1000, 0]));
    assert_eq!(films(&pool).await, 1000);
    test.post(&format!("{path}/cancel")).await.expect(409);
}

#[sqlx::test]
async fn a_retry_repeats_only_the_failed_items(pool: PgPool) {
    let test = TestApp::new(&pool);
    test.tmdb
        .faults(r#"{"kind": "malformed", "path": "/movie/603?", "count": 4}"#);
    let job = test.import(&[603, 680, 640], &[]).await.expect(200);
    assert_eq!(counts(&job), ("succeeded", [3, 3, 2, 1]));
    let path = format!("/api/v1/jobs/{}", job["job_id"].as_str().unwrap());
    let calls = test.calls_for_films();
    test.post(&format!("{path}/retry")).await.expect(202);
    let job = test.ended(&path).await;
    assert_eq!(counts(&job), ("succeeded", [3, 3, 3, 0]));
    assert_eq!(job["failures"], json!([]));
    assert_eq!(test.calls_for_films(), calls + 1);
}

#[sqlx::test]
async fn events_report_the_progress_until_the_end(pool: PgPool) {
    let test = TestApp::beside(&pool, large_tmdb(), &[]);
    test.tmdb.faults(r#"{"kind": "latency", "ms": 50}"#);
    let path = test.begin(&extra(400)).await;
    let accept = [("accept", "text/event-stream")];
    let response = test
        .app
        .clone()
        .oneshot(request(Method::GET, &path, &accept, &json!({})))
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let mut body = response.into_body().into_data_stream();
    while let Some(chunk) = body.next().await {
        text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
    }
    let field = |name: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| line.strip_prefix(name))
            .map(|value| value.trim().to_owned())
            .collect()
    };
    assert!(field("event:").iter().all(|event| event == "job"));
    let jobs: Vec<Value> = field("data:")
        .iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let done: Vec<i64> = jobs
        .iter()
        .map(|job| job["processed"].as_i64().unwrap())
        .collect();
    assert!(done.len() >= 4 && done.is_sorted(), "{done:?}");
    assert_eq!(jobs.last().unwrap(), &test.get(&path).await.expect(200));
    assert_eq!(counts(jobs.last().unwrap()).0, "succeeded");
    // A client that reconnects after the last event need not reconnect again.
    let last = field("id:").pop().unwrap();
    let known = [accept[0], ("last-event-id", last.as_str())];
    let again = send(&test.app, request(Method::GET, &path, &known, &json!({}))).await;
    assert_eq!(again.status, 204);
    let anew = send(&test.app, request(Method::GET, &path, &accept, &json!({}))).await;
    assert_eq!(anew.text.matches("data:").count(), 1);
}

#[sqlx::test]
async fn two_replicas_share_the_work_and_repeat_nothing(pool: PgPool) {
    let one = TestApp::beside(&pool, large_tmdb(), &[("JOB_POLL_SECONDS", "1")]);
    let two = TestApp::beside(&pool, Arc::clone(&one.tmdb), &[("JOB_POLL_SECONDS", "1")]);
    one.tmdb.faults(r#"{"kind": "latency", "ms": 20}"#);
    let ids = extra(1000);
    let mut jobs = Vec::new();
    for (place, part) in ids.chunks(125).enumerate() {
        let replica = if place % 2 == 0 { &one } else { &two };
        jobs.push(replica.begin(part).await);
    }
    for path in &jobs {
        let job = one.ended(path).await;
        assert_eq!(counts(&job), ("succeeded", [125, 125, 125, 0]));
    }
    assert_eq!(one.calls_for_films(), 1000);
    assert_eq!(films(&pool).await, 1000);
}

#[sqlx::test]
async fn another_worker_continues_the_job_of_a_dead_one(pool: PgPool) {
    let test = TestApp::beside(
        &pool,
        large_tmdb(),
        &[("JOB_LEASE_SECONDS", "1"), ("JOB_POLL_SECONDS", "1")],
    );
    test.tmdb.faults(r#"{"kind": "latency", "ms": 20}"#);
    let path = test.begin(&extra(600)).await;
    eventually("progress", async || {
        test.get(&path).await.expect(200)["processed"].as_i64() > Some(0)
    })
    .await;
    // Another process took the job over and died.
    let processed: i32 = sqlx::query_scalar(
        "update job set worker = gen_random_uuid(), lease_until = now() + interval '1 hour'
         returning processed",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let job = test.get(&path).await.expect(200);
    assert_eq!(
        counts(&job),
        ("running", [600, processed.into(), processed.into(), 0]),
        "a worker without the lease changes nothing"
    );
    sqlx::query("update job set lease_until = now()")
        .execute(&pool)
        .await
        .unwrap();
    let job = test.ended(&path).await;
    assert_eq!(counts(&job), ("succeeded", [600, 600, 600, 0]));
    assert_eq!(films(&pool).await, 600);
    // Only the requests in flight when the lease was lost are repeated.
    assert!(
        test.calls_for_films() <= 600 + 64 + 16,
        "{}",
        test.calls_for_films()
    );
}

#[sqlx::test]
async fn a_job_waits_for_an_unavailable_tmdb_and_continues(pool: PgPool) {
    let settings = [
        ("TMDB_BREAKER_FAILURES", "1"),
        ("TMDB_BREAKER_OPEN_SECONDS", "1"),
        ("TMDB_MAX_RETRIES", "5"),
    ];
    let test = TestApp::beside(&pool, large_tmdb(), &settings);
    let path = test.begin(&extra(200)).await;
    test.tmdb.faults(r#"{"kind": "status", "status": 503}"#);
    tokio::time::sleep(Duration::from_millis(1500)).await;
    test.tmdb.faults("[]");
    let job = test.ended(&path).await;
    assert_eq!(counts(&job), ("succeeded", [200, 200, 200, 0]), "{job}");
}

#[sqlx::test]
async fn a_job_that_waited_too_long_fails_and_can_be_retried(pool: PgPool) {
    let settings = [
        ("TMDB_BREAKER_FAILURES", "1"),
        ("TMDB_BREAKER_OPEN_SECONDS", "1"),
        ("JOB_PATIENCE_SECONDS", "1"),
    ];
    // No other process, since one that waits longer might claim the job.
    let test = TestApp::with(&pool, &settings);
    test.import(&[603], &[]).await.expect(200);
    test.tmdb.faults(r#"{"kind": "status", "status": 503}"#);
    let path = test.begin(&[680, 640, 607]).await;
    let job = test.ended(&path).await;
    assert_eq!(counts(&job), ("failed", [3, 0, 0, 0]), "{job}");
    assert_eq!(job["failures"][0]["item"], "import");
    test.tmdb.faults("[]");
    tokio::time::sleep(Duration::from_secs(1)).await;
    test.post(&format!("{path}/retry")).await.expect(202);
    assert_eq!(counts(&test.ended(&path).await).1[1], 3);
}

#[sqlx::test]
async fn jobs_expire(pool: PgPool) {
    let test = TestApp::new(&pool);
    test.import(&[603], &[]).await.expect(200);
    sqlx::query("update job set updated_at = now() - interval '31 days'")
        .execute(&pool)
        .await
        .unwrap();
    let again = TestApp::new(&pool);
    eventually("the job is deleted", async || {
        again.get("/api/v1/jobs").await.expect(200) == json!({"jobs": []})
    })
    .await;
    let items: i64 = sqlx::query_scalar("select count(*) from job_item")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(items, 0);
}
