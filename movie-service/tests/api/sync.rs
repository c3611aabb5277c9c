//! Syncs of the catalogue from TMDB, including TMDB's faults.

use chassis::testing::eventually;
use serde_json::json;
use sqlx::PgPool;

use crate::TestApp;

async fn records(pool: &PgPool) -> i64 {
    sqlx::query_scalar("select count(*) from outbox")
        .fetch_one(pool)
        .await
        .unwrap()
}

#[sqlx::test]
async fn a_sync_reports_its_result_and_a_second_one_changes_nothing(pool: PgPool) {
    let test = TestApp::new(&pool);
    let body = test.post("/api/v1/admin/sync").await.expect(200);
    assert_eq!(
        body,
        json!({"message": "sync completed", "movies_synced": 100, "pages": 5, "pages_failed": 0, "failures": []})
    );
    assert_eq!(records(&pool).await, 100);
    let synced = "select max(synced_at)::text from movie";
    let before: String = sqlx::query_scalar(synced).fetch_one(&pool).await.unwrap();
    test.sync(5).await.expect(200);
    assert_eq!(
        records(&pool).await,
        100,
        "nothing changed, so there are no change records"
    );
    let after: String = sqlx::query_scalar(synced).fetch_one(&pool).await.unwrap();
    assert!(after > before, "but all were fetched");
}

#[sqlx::test]
async fn requesting_more_pages_than_exist_is_allowed(pool: PgPool) {
    let test = TestApp::new(&pool);
    let body = test.sync(50).await.expect(200);
    assert_eq!(
        (&body["movies_synced"], &body["pages"]),
        (&json!(649), &json!(50))
    );
}

#[sqlx::test]
async fn a_changed_movie_is_updated_and_keeps_known_values(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    let id = test.ids("/api/v1/movies").await[0];
    let before = test.get(&format!("/api/v1/movies/{id}")).await.expect(200);
    test.tmdb.control(
        "POST",
        &format!("/__films/{id}"),
        r#"{"title": "Another", "runtime": 0}"#,
    );
    // An open transaction holds the feed back, so that the change does not arrive through it.
    let mut older = pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()")
        .execute(&mut *older)
        .await
        .unwrap();
    test.sync(1).await.expect(200);
    let after = test.get(&format!("/api/v1/movies/{id}")).await.expect(200);
    assert_eq!(
        (&after["title"], &after["duration"]),
        (&json!("Another"), &before["duration"])
    );
    older.rollback().await.unwrap();
    let told: serde_json::Value =
        sqlx::query_scalar("select payload from outbox where key = $1 order by seq desc limit 1")
            .bind(id.to_string())
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(
        (&told["title"], &told["version"]),
        (&json!("Another"), &json!(2))
    );
}

#[sqlx::test]
async fn a_failed_page_is_listed_and_the_others_are_fetched(pool: PgPool) {
    let test = TestApp::new(&pool);
    test.tmdb
        .faults(r#"{"kind": "status", "status": 500, "path": "page=2"}"#);
    let body = test.sync(3).await.expect(200);
    assert_eq!(body["movies_synced"], 40);
    assert_eq!(body["pages_failed"], 1);
    assert_eq!(
        body["failures"],
        json!([{"item": "page 2", "reason": "TMDB responded with 500"}])
    );
}

#[sqlx::test]
async fn a_failed_movie_is_listed_and_the_others_are_fetched(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    let id = test.ids("/api/v1/movies").await[0];
    let before = test.get(&format!("/api/v1/movies/{id}")).await.expect(200);
    test.tmdb.faults(&format!(
        r#"{{"kind": "malformed", "path": "/movie/{id}?"}}"#
    ));
    let body = test.sync(1).await.expect(200);
    assert_eq!(body["movies_synced"], 19);
    assert_eq!(body["failures"][0]["item"], format!("movie {id}"));
    assert_eq!(
        test.get(&format!("/api/v1/movies/{id}")).await.expect(200),
        before
    );
}

#[sqlx::test]
async fn transient_faults_are_retried(pool: PgPool) {
    let test = TestApp::new(&pool);
    for fault in [
        r#"{"kind": "rate_limited", "count": 2, "retry_after": 0}"#,
        r#"{"kind": "status", "status": 503, "count": 2}"#,
        r#"{"kind": "truncated", "count": 2}"#,
        r#"{"kind": "malformed", "count": 2}"#,
        r#"{"kind": "reset", "count": 2}"#,
        r#"{"kind": "nonsense", "count": 2}"#,
        r#"{"kind": "latency", "ms": 50}"#,
    ] {
        test.tmdb.faults(fault);
        let body = test.sync(1).await.expect(200);
        assert_eq!(
            (&body["movies_synced"], &body["failures"]),
            (&json!(20), &json!([])),
            "{fault}"
        );
    }
}

#[sqlx::test]
async fn a_sync_without_any_page_responds_502_and_keeps_the_catalogue(pool: PgPool) {
    let test = TestApp::synced(&pool, 1).await;
    test.tmdb
        .faults(r#"{"kind": "status", "status": 500, "path": "/discover"}"#);
    let problem = test.sync(2).await.expect(502);
    assert_eq!(problem["type"], "/problems/tmdb-failed");
    assert_eq!(test.ids("/api/v1/movies").await.len(), 20);
    let nobody = TestApp::with(&pool, &[("TMDB_API_KEY", "invalid")]);
    nobody.sync(1).await.expect(502);
    let keyless = TestApp::with(&pool, &[("TMDB_API_KEY", "")]);
    keyless.sync(1).await.expect(502);
}

#[sqlx::test]
async fn all_replicas_together_run_one_sync_at_a_time(pool: PgPool) {
    let one = TestApp::new(&pool);
    let two = TestApp::new(&pool);
    one.tmdb.faults(r#"{"kind": "hang", "path": "page=2"}"#);
    let app = one.app.clone();
    let running = tokio::spawn(async move {
        chassis::testing::post(&app, "/api/v1/admin/sync?pages=2", json!({})).await
    });
    eventually("the first page", async || {
        one.get("/api/v1/movies").await.body["total_results"] == 20
    })
    .await;
    eventually("progress", async || {
        two.sync(1).await.expect(409)["job"]["succeeded"] == 20
    })
    .await;
    let problem = two.sync(1).await.expect(409);
    assert_eq!(problem["error"], "a sync is already running");
    assert_eq!(
        (&problem["job"]["status"], &problem["job"]["kind"]),
        (&json!("running"), &json!("sync"))
    );
    running.abort();
    two.sync(1).await.expect(409);
    one.tmdb.faults("[]");
    eventually("the end", async || two.sync(1).await.status == 200).await;
}

#[sqlx::test]
async fn trending_and_popular_movies_are_separate_lists(pool: PgPool) {
    let test = TestApp::new(&pool);
    let body = test
        .post("/api/v1/admin/sync/trending?time_window=week")
        .await
        .expect(200);
    assert_eq!(
        (&body["movies_synced"], &body["pages"]),
        (&json!(20), &json!(1))
    );
    test.post("/api/v1/admin/sync/trending").await.expect(200);
    let body = test
        .post("/api/v1/admin/sync/popular?pages=2")
        .await
        .expect(200);
    assert_eq!(
        (&body["message"], &body["movies_synced"]),
        (&json!("sync completed"), &json!(40))
    );
    let lists = test.tmdb.control("GET", "/__stats", "")["by_kind"].clone();
    assert_eq!(
        (&lists["trending"], &lists["popular"], &lists["discover"]),
        (&json!(2), &json!(2), &json!(null))
    );
    for path in [
        "trending?time_window=month",
        "trending?pages=0",
        "popular?time_window=day",
    ] {
        let path = format!("/api/v1/admin/sync/{path}");
        test.post(&path).await.expect(400);
    }
    test.tmdb
        .faults(r#"{"kind": "status", "status": 500, "path": "/trending"}"#);
    test.post("/api/v1/admin/sync/trending").await.expect(502);
}

#[sqlx::test]
async fn invalid_parameters_are_refused_by_name(pool: PgPool) {
    let test = TestApp::new(&pool);
    for pages in ["0", "51", "x", "-1", "99999999999999999999"] {
        let problem = test
            .post(&format!("/api/v1/admin/sync?pages={pages}"))
            .await
            .expect(400);
        assert_eq!(
            problem["errors"],
            json!([{"field": "pages", "message": "must be a whole number from 1 to 50"}])
        );
    }
    test.post("/api/v1/admin/sync?page=3").await.expect(400);
    assert_eq!(records(&pool).await, 0);
}
