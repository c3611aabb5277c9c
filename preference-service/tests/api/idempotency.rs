//! POSTs that are repeated with one `Idempotency-Key`.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chassis::testing::TestResponse;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{MovieService, TestApp};

async fn post(app: &TestApp, path: &str, body: &Value, headers: &[(&str, &str)]) -> TestResponse {
    let mut request = Request::builder().method(Method::POST).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_string())).expect("valid");
    chassis::testing::send(&app.router, request).await
}

fn user(name: &str) -> Value {
    json!({"username": name, "email": format!("{name}@example.org")})
}

#[sqlx::test]
async fn a_repeated_request_gets_the_stored_response_and_has_no_effect(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::new(&pool, &movies);
    let key = [("idempotency-key", "sign-up-1")];
    let first = post(&app, "/api/v1/users", &user("anna"), &key).await;
    assert!(first.headers.get("idempotency-replayed").is_none());
    let again = post(&app, "/api/v1/users", &user("anna"), &key).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(again.headers["content-type"], "application/json");
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(app.count("user_account").await, 1);

    // Another process has the same response, since it is stored in Postgres.
    let other = TestApp::new(&pool, &movies);
    let again = post(&other, "/api/v1/users", &user("anna"), &key).await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
}

#[sqlx::test]
async fn a_key_identifies_one_request_of_one_principal(pool: PgPool) {
    let app = TestApp::new(&pool, &MovieService::start().await);
    let key = [("idempotency-key", "k")];
    post(&app, "/api/v1/users", &user("anna"), &key)
        .await
        .expect(201);
    let problem = post(&app, "/api/v1/users", &user("berta"), &key)
        .await
        .expect(422);
    assert_eq!(problem["type"], "/problems/idempotency-key-reused");
    let of_another = [
        ("idempotency-key", "k"),
        ("x-principal", r#"{"subject":"7","role":"user"}"#),
    ];
    post(&app, "/api/v1/users", &user("berta"), &of_another)
        .await
        .expect(201);
    for wrong in ["", " ", "a b", &"k".repeat(256)] {
        let headers = [("idempotency-key", wrong)];
        let problem = post(&app, "/api/v1/users", &user("carla"), &headers)
            .await
            .expect(400);
        assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
    }
    assert_eq!(app.count("user_account").await, 2);
}

#[sqlx::test]
async fn a_failed_request_may_be_corrected_under_its_key(pool: PgPool) {
    let app = TestApp::new(&pool, &MovieService::start().await);
    let key = [("idempotency-key", "k")];
    let nameless = json!({"email": "anna@example.org"});
    post(&app, "/api/v1/users", &nameless, &key)
        .await
        .expect(400);
    post(&app, "/api/v1/users", &user("anna"), &key)
        .await
        .expect(201);
}

#[sqlx::test]
async fn a_request_in_progress_is_not_repeated_before_its_lease_expires(pool: PgPool) {
    let app = TestApp::new(&pool, &MovieService::start().await);
    let key = [("idempotency-key", "k")];
    post(&app, "/api/v1/users", &user("anna"), &key)
        .await
        .expect(201);
    // The state after a process died between its write and its response.
    let in_progress = "update idempotency_key
        set status = null, headers = null, body = null, locked_until = now() + $1::interval";
    for (lease, status) in [("1 hour", 409), ("-1 second", 409)] {
        sqlx::query(in_progress)
            .bind(lease)
            .execute(&pool)
            .await
            .expect("a row");
        let problem = post(&app, "/api/v1/users", &user("anna"), &key)
            .await
            .expect(status);
        let kind = match lease {
            "1 hour" => "/problems/idempotency-key-in-use",
            // It is processed again, and the username is taken.
            _ => "/problems/conflict",
        };
        assert_eq!(problem["type"], kind, "{lease}");
    }
}

#[sqlx::test]
async fn of_concurrent_requests_with_one_key_one_is_processed(pool: PgPool) {
    let app = TestApp::new(&pool, &MovieService::start().await);
    let key = [("idempotency-key", "k")];
    let body = user("anna");
    let responses =
        futures_util::future::join_all((0..16).map(|_| post(&app, "/api/v1/users", &body, &key)))
            .await;
    let done: Vec<&TestResponse> = responses.iter().filter(|a| a.status == 201).collect();
    let first = done
        .iter()
        .filter(|response| !response.headers.contains_key("idempotency-replayed"));
    assert_eq!(first.count(), 1);
    for response in &responses {
        let in_use = response.body["type"] == "/problems/idempotency-key-in-use";
        assert!(response.status == 201 || in_use, "{response:?}");
    }
    assert_eq!(app.count("user_account").await, 1);
}
