//! Device authorization (RFC 8628), grants as forms, and the metadata of the authorization server (RFC 8414).

use axum::{body::Body, http::Request};
use chassis::testing::TestResponse;
use serde_json::{Value, json};
use sqlx::PgPool;
use url::form_urlencoded;

use crate::stage::{MovieService, PASSWORD, TestApp, assert_problem};

const DEVICE: &str = "/api/v1/auth/device";
const TOKEN: &str = "/api/v1/auth/token";
const VERIFY: &str = "/api/v1/auth/device/verify";

async fn form(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> TestResponse {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-real-ip", "192.0.2.1")
        .body(Body::from(body));
    chassis::testing::send(&app.router, request.expect("a request")).await
}

async fn begin(app: &TestApp) -> (String, String) {
    let begun = form(app, DEVICE, &[("client_id", "marquee-tv"), ("scope", "x")]).await;
    assert_eq!(begun.headers["cache-control"], "no-store");
    let begun = begun.expect(200);
    let text = |name: &str| begun[name].as_str().expect("text").to_owned();
    (text("device_code"), text("user_code"))
}

async fn poll(app: &TestApp, code: &str) -> TestResponse {
    // The device has waited.
    sqlx::query("update device_grant set polled_at = null")
        .execute(&app.pool)
        .await
        .expect("an update");
    poll_at_once(app, code, "marquee-tv").await
}

async fn poll_at_once(app: &TestApp, code: &str, client: &str) -> TestResponse {
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let fields = [
        ("grant_type", grant),
        ("device_code", code),
        ("client_id", client),
    ];
    form(app, TOKEN, &fields).await
}

/// Asserts an error in the form of RFC 6749, 5.2.
fn assert_oauth_error(response: &TestResponse, error: &str) {
    assert_eq!(response.status, 400, "{}", response.text);
    assert_eq!(response.headers["content-type"], "application/json");
    assert_eq!(response.headers["cache-control"], "no-store");
    assert_eq!(response.body["error"], error, "{}", response.text);
    assert!(response.body["error_description"].is_string());
}

/// A request of the user, who logged in `age` seconds ago.
async fn verify(app: &TestApp, user: i64, age: i64, body: Value) -> TestResponse {
    let at = chrono::Utc::now().timestamp() - age;
    let principal = json!({"subject": user.to_string(), "role": "user", "auth_time": at});
    app.send_as("POST", VERIFY, body, Some(principal), None)
        .await
}

#[sqlx::test]
async fn a_device_is_logged_in_once_its_user_approves(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let anna = app.account("anna").await;
    let begun = form(&app, DEVICE, &[("client_id", "marquee-tv")])
        .await
        .expect(200);
    assert_eq!(
        (&begun["expires_in"], &begun["interval"]),
        (&json!(600), &json!(5))
    );
    assert_eq!(begun["verification_uri"], "http://127.0.0.1:8080/#/device");
    let user_code = begun["user_code"].as_str().expect("a code");
    assert_eq!(
        begun["verification_uri_complete"],
        format!("http://127.0.0.1:8080/#/device?code={user_code}")
    );
    let device_code = begun["device_code"].as_str().expect("a code");
    assert_oauth_error(&poll(&app, device_code).await, "authorization_pending");
    // The user sees which program it is; case and hyphens do not matter.
    let typed = user_code.to_lowercase().replace('-', " ");
    let shown = verify(&app, anna, 3600, json!({"user_code": typed})).await;
    let shown = shown.expect(200);
    assert_eq!(shown["client_id"], "marquee-tv");
    assert_eq!(shown["approved"], Value::Null);
    // A stolen token does not suffice.
    let approval = json!({"user_code": typed, "approve": true});
    let refused = verify(&app, anna, 3600, approval.clone()).await;
    assert_problem(&refused, 403, "the present password is wrong");
    let mut confirmed = approval.clone();
    confirmed["current_password"] = json!(PASSWORD);
    let approved = verify(&app, anna, 3600, confirmed).await.expect(200);
    assert_eq!(approved["approved"], true);
    // A code is for one decision.
    let again = verify(&app, anna, 0, approval).await;
    assert_problem(&again, 404, "user code not found");
    let login = poll(&app, device_code).await;
    assert_eq!(login.headers["cache-control"], "no-store");
    let login = login.expect(200);
    assert_eq!(login["token_type"], "Bearer");
    assert_eq!(login["user"]["id"], anna);
    assert_oauth_error(&poll(&app, device_code).await, "invalid_grant");
    // The refresh token is exchanged as a form as well.
    let token = login["refresh_token"].as_str().expect("a token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let refreshed = form(&app, TOKEN, &fields).await.expect(200);
    assert_ne!(refreshed["refresh_token"], token);
    assert_oauth_error(&form(&app, TOKEN, &fields).await, "invalid_grant");
    // Only hashes are stored.
    let stored: String =
        sqlx::query_scalar("select coalesce(string_agg(g::text, ''), '') from device_grant g")
            .fetch_one(&pool)
            .await
            .expect("rows");
    assert_eq!(stored, "");
}

#[sqlx::test]
async fn polls_are_refused_as_the_standard_says(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let anna = app.account("anna").await;
    let (code, user_code) = begin(&app).await;
    assert_oauth_error(&poll(&app, &code).await, "authorization_pending");
    assert_oauth_error(&poll_at_once(&app, &code, "marquee-tv").await, "slow_down");
    let interval: i32 = sqlx::query_scalar("select poll_interval from device_grant")
        .fetch_one(&pool)
        .await
        .expect("a row");
    assert_eq!(interval, 10);
    assert_oauth_error(&poll_at_once(&app, &code, "another").await, "invalid_grant");
    assert_oauth_error(
        &poll_at_once(&app, "made up", "marquee-tv").await,
        "invalid_grant",
    );
    let refusal = json!({"user_code": user_code, "approve": false});
    assert_eq!(
        verify(&app, anna, 3600, refusal).await.expect(200)["approved"],
        false
    );
    assert_oauth_error(&poll(&app, &code).await, "access_denied");
    assert_oauth_error(&poll(&app, &code).await, "invalid_grant");

    let (code, user_code) = begin(&app).await;
    sqlx::query("update device_grant set expires_at = now()")
        .execute(&pool)
        .await
        .expect("an update");
    assert_oauth_error(&poll(&app, &code).await, "expired_token");
    let late = verify(
        &app,
        anna,
        0,
        json!({"user_code": user_code, "approve": true}),
    )
    .await;
    assert_problem(&late, 404, "user code not found");

    // Suspended after the approval.
    let (code, user_code) = begin(&app).await;
    verify(
        &app,
        anna,
        0,
        json!({"user_code": user_code, "approve": true}),
    )
    .await
    .expect(200);
    sqlx::query("update user_account set suspended_until = now() + interval '1 day'")
        .execute(&pool)
        .await
        .expect("an update");
    assert_oauth_error(&poll(&app, &code).await, "access_denied");

    for fields in [
        &[("grant_type", "password")][..],
        &[("grant_type", "client_credentials")],
    ] {
        let refused = form(&app, TOKEN, fields).await;
        assert_oauth_error(&refused, "unsupported_grant_type");
    }
    for fields in [
        &[("grant_type", "refresh_token")][..],
        &[("grant_type", "urn:ietf:params:oauth:grant-type:device_code")],
        &[
            ("grant_type", "refresh_token"),
            ("grant_type", "refresh_token"),
        ],
    ] {
        let refused = form(&app, TOKEN, fields).await;
        assert_oauth_error(&refused, "invalid_request");
    }
    for fields in [
        &[][..],
        &[("client_id", "")],
        &[("client_id", "a\u{202e}b")],
    ] {
        assert_oauth_error(&form(&app, DEVICE, fields).await, "invalid_request");
    }
    // JSON is read as well, with any content type; a password login stays one.
    app.post(DEVICE, json!({"client_id": "cli"}))
        .await
        .expect(200);
    let refused = app.post(DEVICE, json!({"client_id": 1})).await;
    assert_oauth_error(&refused, "invalid_request");
}

#[sqlx::test]
async fn codes_and_devices_are_limited(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let anna = app.account("anna").await;
    for _ in 0..20 {
        let wrong = verify(&app, anna, 0, json!({"user_code": "BCDF-GHJK"})).await;
        assert_problem(&wrong, 404, "user code not found");
    }
    let limited = verify(&app, anna, 0, json!({"user_code": "BCDF-GHJK"})).await;
    assert_problem(&limited, 429, "too many attempts");
    for _ in 0..30 {
        begin(&app).await;
    }
    let limited = form(&app, DEVICE, &[("client_id", "marquee-tv")]).await;
    assert_problem(&limited, 429, "too many attempts");
}

#[sqlx::test]
async fn the_metadata_name_the_issuer_of_the_tokens(pool: PgPool) {
    let movies = MovieService::start().await;
    let path = "/.well-known/oauth-authorization-server";
    let base = "https://marquee.example.org";
    let settings = [("JWT_ISSUER", base), ("PUBLIC_URL", base)];
    let app = TestApp::with(&pool, &movies, &settings);
    let metadata = app.get(path).await.expect(200);
    assert_eq!(metadata["issuer"], base);
    for (name, path) in [
        ("jwks_uri", "/.well-known/jwks.json"),
        ("token_endpoint", TOKEN),
        ("device_authorization_endpoint", DEVICE),
    ] {
        assert_eq!(metadata[name], format!("{base}{path}"));
    }
    app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    let token = login["access_token"].as_str().expect("a token");
    let claims = jsonwebtoken::dangerous::insecure_decode_claims::<Value>(token).expect("claims");
    assert_eq!(claims["iss"], metadata["issuer"]);

    let app = TestApp::with(&pool, &movies, &[("JWT_ISSUER", "marquee")]);
    assert_eq!(app.get(path).await.status, 404);
}
