//! The state of the catalogue for administrators.

use sqlx::PgPool;

use crate::TestApp;

const STATE: &str = "/api/v1/admin/catalogue";

#[sqlx::test]
async fn administrators_see_syncs_requests_and_caches(pool: PgPool) {
    let settings = [("TMDB_BREAKER_FAILURES", "3"), ("TMDB_MAX_RETRIES", "0")];
    let test = TestApp::with(&pool, &settings);
    let before = test.get(STATE).await.expect(200);
    assert_eq!(before["last_sync"], serde_json::Value::Null);
    assert_eq!(before["images"], serde_json::Value::Null);
    test.sync(1).await.expect(200);
    let id = test.ids("/api/v1/movies?page_size=1").await[0];
    for _ in 0..4 {
        test.get(&format!("/api/v1/movies/{id}")).await.expect(200);
    }
    let state = test.get(STATE).await.expect(200);
    assert_eq!(state["has_key"], true);
    assert_eq!(state["last_sync"]["kind"], "sync");
    assert_eq!(state["last_sync"]["status"], "succeeded");
    assert_eq!(state["tmdb"]["circuit"], "closed");
    assert_eq!(state["tmdb"]["failures"], 0);
    let requests = state["tmdb"]["requests"].as_i64().unwrap();
    let stats = test.tmdb.control("GET", "/__stats", "");
    assert_eq!(requests, stats["total"].as_i64().unwrap());
    assert_eq!(state["movies"]["reads"], 4);
    assert_eq!(
        state["movies"]["hits"], 3,
        "the first is read from Postgres"
    );
    test.tmdb.faults(r#"{"kind": "reset"}"#);
    for other in [999_001, 999_002, 999_003] {
        let path = format!("/api/v1/movies/{other}");
        test.get(&path).await.expect(503);
    }
    let state = test.get(STATE).await.expect(200);
    assert_eq!(state["tmdb"]["circuit"], "open");
    assert_eq!(state["tmdb"]["failures"], 3);
}
