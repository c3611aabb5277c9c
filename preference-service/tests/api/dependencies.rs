//! The service while a dependency is unavailable, and afterwards.

use std::time::{Duration, Instant};

use chassis::testing::{RedisServer, TcpProxy, eventually};
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

use crate::stage::{MovieService, TestApp, assert_problem};

fn dependency<'a>(readiness: &'a Value, name: &str) -> &'a Value {
    readiness["dependencies"]
        .as_array()
        .expect("dependencies")
        .iter()
        .find(|dependency| dependency["name"] == name)
        .expect("a dependency")
}

#[sqlx::test]
async fn health_has_the_fields_of_the_original(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    for path in ["/health", "/health/live", "/api/v1/health"] {
        let body = app.get(path).await.expect(200);
        assert_eq!(body["service"], "preference-service");
        assert_eq!(body["status"], "ok");
    }
    eventually("the service is ready", async || {
        let ready = app.get("/health/ready").await.expect(200);
        dependency(&ready, "movie feed")["status"] == "ok"
    })
    .await;
}

#[sqlx::test]
async fn without_postgres_requests_fail_in_time_and_succeed_afterwards(pool: PgPool) {
    let options = pool.connect_options();
    let mut url = options.to_url_lossy();
    let server = tokio::net::lookup_host((options.get_host(), options.get_port()))
        .await
        .expect("an address")
        .next()
        .expect("an address");
    let proxy = TcpProxy::to(server).await;
    url.set_host(Some("127.0.0.1")).expect("a host");
    url.set_port(Some(proxy.address().port())).expect("a port");
    let proxied = chassis::postgres::pool(&SecretString::from(url.to_string()), 8).expect("a pool");
    let movies = MovieService::start().await;
    movies.sync(603, 1, "The Matrix");
    let app = TestApp::new(&proxied, &movies);
    let user = app.user("anna").await;
    app.knows_films(1).await;
    let body = json!({"movie_id": 603, "interaction_type": "like"});
    let interactions = format!("/api/v1/users/{user}/interactions");
    let preferences = format!("/api/v1/users/{user}/preferences");

    proxy.cut();
    let boris = json!({"username": "boris", "email": "boris@example.org"});
    for (path, body) in [
        (format!("/api/v1/users/{user}"), None),
        (preferences.clone(), None),
        (interactions.clone(), None),
        (format!("/internal/v1/users/{user}"), None),
        ("/internal/v1/changes".to_owned(), None),
        ("/api/v1/users".to_owned(), Some(boris)),
        (preferences, Some(json!({}))),
        (interactions.clone(), Some(body.clone())),
    ] {
        let started = Instant::now();
        let response = match body {
            Some(body) => app.post(&path, body).await,
            None => app.get(&path).await,
        };
        assert!(started.elapsed() < Duration::from_secs(10), "{path}");
        assert_problem(&response, 503, "the database is unavailable");
        assert!(response.headers.contains_key("retry-after"));
    }
    let ready = app.get("/health/ready").await.expect(503);
    assert_eq!(ready["status"], "unavailable");
    assert_ne!(dependency(&ready, "postgres")["status"], "ok");
    let _ = app.get("/health/live").await.expect(200);
    movies.sync(604, 1, "synced meanwhile");

    proxy.restore();
    eventually("the service is ready again", async || {
        app.get("/health/ready").await.status == 200
    })
    .await;
    let _ = app.post(&interactions, body).await.expect(201);
    app.knows_films(2).await;
    let list = app.get(&interactions).await.expect(200);
    assert_eq!(list["interactions"].as_array().map(Vec::len), Some(1));
    app.stop().await;
    proxied.close().await;
}

#[sqlx::test]
async fn without_movie_service_it_is_ready_and_follows_the_feed_later(pool: PgPool) {
    let movies = MovieService::start().await;
    movies.sync(603, 1, "The Matrix");
    let proxy = TcpProxy::to(movies.address()).await;
    proxy.cut();
    let url = format!("http://{}", proxy.address());
    let app = TestApp::with(&pool, &movies, &[("MOVIE_SERVICE_URL", &url)]);
    let user = app.user("anna").await;
    let ready = app.get("/health/ready").await.expect(200);
    assert_eq!(dependency(&ready, "movie feed")["status"], "still loading");
    let path = format!("/api/v1/users/{user}/interactions");
    let body = json!({"movie_id": 603, "interaction_type": "like"});
    let response = app.post(&path, body.clone()).await;
    assert_problem(&response, 503, "the film catalogue is unavailable");

    proxy.restore();
    app.knows_films(1).await;
    let _ = app.post(&path, body.clone()).await.expect(201);

    proxy.cut();
    let _ = app.post(&path, body).await.expect(201);
}

#[sqlx::test]
async fn without_redis_it_is_ready_and_reports_that_it_lacks_it(pool: PgPool) {
    let movies = MovieService::start().await;
    let mut server = RedisServer::start();
    let url = server.url();
    let redis = async |app: &TestApp| {
        let ready = app.get("/health/ready").await.expect(200);
        let redis = dependency(&ready, "redis").clone();
        // The feed of movies may still be loading.
        let status = ready["status"].as_str().expect("a status");
        assert!(["ok", "degraded"].contains(&status), "{status}");
        assert_eq!(redis["required"], false);
        let state = redis["status"].as_str().expect("a status").to_owned();
        let is_degraded = state == "cannot be reached";
        let has_feed = dependency(&ready, "movie feed")["status"] == "ok";
        if is_degraded || has_feed {
            let expected = if is_degraded { "degraded" } else { "ok" };
            assert_eq!(ready["status"], expected, "{ready}");
        }
        state
    };
    let app = TestApp::with(&pool, &movies, &[("REDIS_URL", &url)]);
    assert_eq!(redis(&app).await, "ok");
    server.stop();
    assert_eq!(redis(&app).await, "cannot be reached");
    server.resume();
    eventually("Redis is back", async || redis(&app).await == "ok").await;
    let app = TestApp::new(&pool, &movies);
    let reason = "not configured: attempts are counted by each process alone";
    assert_eq!(redis(&app).await, reason);
}

#[sqlx::test]
async fn with_an_internal_token_other_callers_are_refused(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::with(&pool, &movies, &[("INTERNAL_TOKEN", "secret")]);
    for path in [
        "/api/v1/users/1",
        "/internal/v1/users/1",
        "/internal/v1/snapshot",
    ] {
        assert_eq!(app.get(path).await.status, 401, "{path}");
    }
    let _ = app.get("/api/v1/health").await.expect(200);
    let request = axum::http::Request::get("/api/v1/users/1")
        .header("x-internal-token", "secret")
        .body(axum::body::Body::empty());
    let response = chassis::testing::send(&app.router, request.expect("a request")).await;
    assert_problem(&response, 404, "user not found");
}
