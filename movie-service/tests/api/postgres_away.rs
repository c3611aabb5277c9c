//! The service responds with 503 in time while Postgres is unreachable, and recovers by itself.

use std::time::{Duration, Instant};

use chassis::testing::{TcpProxy, eventually};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::TestApp;

#[sqlx::test]
async fn an_unreachable_database_is_503_until_it_returns(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let host = tokio::net::lookup_host((connect.get_host(), connect.get_port()))
        .await
        .unwrap()
        .next()
        .unwrap();
    let direct = options.clone().connect_with(connect.clone()).await.unwrap();
    let synced = TestApp::synced(&direct, 1).await;
    let wire = TcpProxy::to(host).await;
    let pool = options
        .acquire_timeout(Duration::from_secs(1))
        .connect_with(connect.host("127.0.0.1").port(wire.address().port()))
        .await
        .unwrap();
    let test = TestApp::beside(&pool, std::sync::Arc::clone(&synced.tmdb), &[]);
    // A page made before the list index is loaded is not cached.
    eventually("ready", async || {
        test.get("/health/ready").await.status == 200
    })
    .await;
    let page = test.get("/api/v1/movies?page_size=5").await.expect(200);
    wire.cut();
    let again = test.get("/api/v1/movies?page_size=5").await.expect(200);
    assert_eq!(again, page, "a cached page is served");
    for path in [
        "/api/v1/movies",
        "/api/v1/movies/603",
        "/internal/v1/changes",
    ] {
        let sent = Instant::now();
        let answer = test.get(path).await;
        assert!(sent.elapsed() < Duration::from_secs(5), "{path}");
        assert_eq!(answer.headers["retry-after"], "1", "{path}");
        let problem = answer.expect(503);
        assert_eq!(problem["type"], "/problems/unavailable", "{path}");
        assert_eq!(problem["error"], "the database is unavailable", "{path}");
    }
    let ready = test.get("/health/ready").await.expect(503);
    assert_eq!(ready["dependencies"][0]["name"], "postgres");
    assert_ne!(ready["dependencies"][0]["status"], "ok");
    test.get("/health/live").await.expect(200);
    wire.restore();
    eventually("ready again", async || {
        test.get("/health/ready").await.status == 200
    })
    .await;
    test.get("/api/v1/movies").await.expect(200);
}
