//! Logins: tokens, refresh, log-out, limits of attempts, passwords.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::testing::{RedisServer, TestResponse, post};
use futures_util::future::join_all;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{MovieService, PASSWORD, TestApp, assert_problem};

pub(crate) const WRONG: &str = "wrong username or password";
pub(crate) const INVALID: &str = "invalid refresh token";

pub(crate) async fn refresh(app: &TestApp, token: &Value) -> TestResponse {
    let body = json!({"refresh_token": token});
    app.post("/api/v1/auth/refresh", body).await
}

/// Header and claims of an access token, verified with the published key that it names.
pub(crate) async fn verified(app: &TestApp, token: &Value) -> (Value, Value) {
    let token = token.as_str().expect("a token");
    let (text, signature) = token.rsplit_once('.').expect("a signature");
    let decoded = |part: &str| -> Value {
        let json = URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice(&json).expect("JSON")
    };
    let (head, claims) = text.split_once('.').expect("claims");
    let head = decoded(head);
    let keys = app.get("/.well-known/jwks.json").await.expect(200);
    let key = keys["keys"]
        .as_array()
        .and_then(|keys| keys.iter().find(|key| key["kid"] == head["kid"]))
        .expect("the key is published");
    let x = key["x"].as_str().expect("a public key");
    let key = UnparsedPublicKey::new(&ED25519, URL_SAFE_NO_PAD.decode(x).expect("base64url"));
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    key.verify(text.as_bytes(), &signature)
        .expect("the signature fits");
    (head, decoded(claims))
}

#[sqlx::test]
async fn a_login_returns_tokens_that_the_published_keys_verify(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.account("Anna").await;
    for name in [
        "Anna",
        " aNNA ",
        "anna@example.org",
        "ANNA@EXAMPLE.ORG",
        "ＡＮＮＡ",
    ] {
        let response = app.log_in(name, PASSWORD).await;
        assert_eq!(response.headers["cache-control"], "no-store");
        let login = response.expect(200);
        assert_eq!(login["token_type"], "Bearer");
        assert_eq!(login["expires_in"], 900);
        let user = app.get(&format!("/api/v1/users/{id}")).await.expect(200);
        let mut account = login["user"].clone();
        assert_eq!(
            account.as_object_mut().and_then(|user| user.remove("role")),
            Some(json!("user"))
        );
        assert_eq!(account, user);

        let (head, claims) = verified(&app, &login["access_token"]).await;
        assert_eq!(
            (&head["alg"], &head["typ"]),
            (&json!("EdDSA"), &json!("JWT"))
        );
        assert_eq!(claims["sub"], id.to_string());
        assert_eq!(claims["role"], "user");
        assert_eq!(
            (&claims["iss"], &claims["aud"]),
            (&json!("marquee"), &json!("marquee"))
        );
        let span = claims["exp"].as_i64().zip(claims["iat"].as_i64());
        assert_eq!(span.map(|(exp, iat)| exp - iat), Some(900));
        assert!(claims["jti"].is_string());
    }
}

#[sqlx::test]
async fn an_unknown_username_has_the_response_of_a_wrong_password(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.account("anna").await;
    app.user("nopassword").await;
    let mut responses = Vec::new();
    for (name, password) in [
        ("anna", "another password"),
        ("anna", ""),
        ("nobody", PASSWORD),
        ("nopassword", PASSWORD),
        ("nopassword", ""),
        ("", PASSWORD),
        ("a\0b", PASSWORD),
        (&"\u{fdfa}".repeat(100), PASSWORD),
        (&"x".repeat(100_000), PASSWORD),
    ] {
        let mut response = app.log_in(name, password).await;
        assert_problem(&response, 401, WRONG);
        assert_eq!(response.headers["www-authenticate"], "Bearer");
        response.body["request_id"] = Value::Null;
        responses.push(response.body);
    }
    assert!(responses.iter().all(|response| *response == responses[0]));
    insta::assert_json_snapshot!(responses[0], @r#"
    {
      "detail": "invalid username or password",
      "error": "wrong username or password",
      "instance": "/api/v1/auth/token",
      "request_id": null,
      "status": 401,
      "title": "Wrong credentials",
      "type": "/problems/wrong-credentials"
    }
    "#);
    for body in [json!({"username": "anna"}), json!({"password": PASSWORD})] {
        let response = app.post("/api/v1/auth/token", body).await;
        assert_eq!(response.status.as_u16(), 400);
    }
}

#[sqlx::test]
async fn an_email_address_belongs_to_its_owner_even_if_it_is_a_username(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = json!({
        "username": "anna@example.org", "email": "thief@example.org", "password": "a thief's password",
    });
    app.post("/api/v1/users", body).await.expect(201);
    let id = app.account("anna").await;
    let login = app.log_in("anna@example.org", PASSWORD).await.expect(200);
    assert_eq!(login["user"]["id"], id);
    let thief = app.log_in("anna@example.org", "a thief's password").await;
    assert_problem(&thief, 401, WRONG);
}

#[sqlx::test]
async fn passwords_are_compared_in_a_normal_form(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = json!({"username": "anna", "email": "a@b", "password": "cafe\u{301} cr\u{e8}me"});
    app.post("/api/v1/users", body).await.expect(201);
    app.log_in("anna", "caf\u{e9} cre\u{300}me")
        .await
        .expect(200);
}

#[sqlx::test]
async fn a_refresh_token_is_valid_for_one_use_and_reuse_ends_the_login(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.account("anna").await;
    let other = app.log_in("anna", PASSWORD).await.expect(200);
    let first = app.log_in("anna", PASSWORD).await.expect(200);
    let response = refresh(&app, &first["refresh_token"]).await;
    assert_eq!(response.headers["cache-control"], "no-store");
    let second = response.expect(200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    verified(&app, &second["access_token"]).await;
    let third = refresh(&app, &second["refresh_token"]).await.expect(200);

    let replayed = refresh(&app, &first["refresh_token"]).await;
    assert_problem(&replayed, 401, INVALID);
    let newest = refresh(&app, &third["refresh_token"]).await;
    assert_problem(&newest, 401, INVALID);
    // Only that login has ended.
    refresh(&app, &other["refresh_token"]).await.expect(200);
    for nonsense in ["", "x", "mq_x", &"A".repeat(64), &"A".repeat(100_000)] {
        assert_problem(&refresh(&app, &json!(nonsense)).await, 401, INVALID);
    }
}

#[sqlx::test]
async fn of_concurrent_uses_of_a_refresh_token_one_succeeds(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.account("anna").await;
    for _ in 0..5 {
        let login = app.log_in("anna", PASSWORD).await.expect(200);
        let body = json!({"refresh_token": login["refresh_token"]});
        let responses = join_all((0..8).map(|_| {
            let (router, body) = (app.router.clone(), body.clone());
            async move { post(&router, "/api/v1/auth/refresh", body).await }
        }))
        .await;
        let succeeded: Vec<&TestResponse> = responses
            .iter()
            .filter(|response| response.status == 200)
            .collect();
        assert_eq!(succeeded.len(), 1);
        // The others were reuses, so the login has ended.
        let next = refresh(&app, &succeeded[0].body["refresh_token"]).await;
        assert_problem(&next, 401, INVALID);
    }
}

#[sqlx::test]
async fn an_unused_login_expires(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::with(&pool, &movies, &[("REFRESH_TTL_SECONDS", "0")]);
    app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    let late = refresh(&app, &login["refresh_token"]).await;
    assert_problem(&late, 401, INVALID);
}

#[sqlx::test]
async fn log_out_ends_the_login_and_the_number_of_logins_is_limited(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.account("anna").await;
    let first = app.log_in("anna", PASSWORD).await.expect(200);
    let second = app.log_in("anna", PASSWORD).await.expect(200);
    for token in [
        &first["refresh_token"],
        &json!("none"),
        &first["refresh_token"],
    ] {
        let body = json!({"refresh_token": token});
        let response = app.post("/api/v1/auth/logout", body).await;
        assert_eq!(
            (response.status.as_u16(), response.text.as_str()),
            (204, "")
        );
    }
    assert_problem(&refresh(&app, &first["refresh_token"]).await, 401, INVALID);
    let second = refresh(&app, &second["refresh_token"]).await.expect(200);
    for _ in 0..50 {
        app.log_in("anna", PASSWORD).await.expect(200);
    }
    assert_eq!(app.count("refresh_family").await, 50);
    assert_problem(&refresh(&app, &second["refresh_token"]).await, 401, INVALID);
}

#[sqlx::test]
async fn the_current_user_is_the_principal_of_the_gateway(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.account("anna").await;
    let me = |principal| app.send("GET", "/api/v1/auth/me", Value::Null, principal, None);
    let account = me(Some((id, "user"))).await.expect(200);
    assert_eq!(account["username"], "anna");
    assert_eq!(account["role"], "user");
    assert_problem(&me(Some((id + 1, "user"))).await, 404, "user not found");
    assert_problem(&me(None).await, 404, "user not found");
}

#[sqlx::test]
async fn attempts_are_limited_per_username_and_address(pool: PgPool) {
    let redis = RedisServer::start();
    let movies = MovieService::start().await;
    let url = redis.url();
    // With Redis, which all processes share, and without.
    for url in [url.as_str(), ""] {
        let settings = [
            ("REDIS_URL", url),
            ("REDIS_TIMEOUT_MS", "5000"),
            ("LOGIN_ATTEMPTS_PER_ACCOUNT", "3"),
            ("LOGIN_ATTEMPTS_PER_ADDRESS", "6"),
            ("LOGIN_WINDOW_SECONDS", "60"),
        ];
        let app = TestApp::with(&pool, &movies, &settings);
        let other = match url {
            "" => app.router.clone(),
            _ => TestApp::with(&pool, &movies, &settings).router.clone(),
        };
        let name = format!("anna{}", url.len());
        app.account(&name).await;
        for number in 0..3 {
            let router = if number == 1 { &other } else { &app.router };
            let body = json!({"username": name, "password": "wrong"});
            let response = post(router, "/api/v1/auth/token", body).await;
            assert_problem(&response, 401, WRONG);
        }
        // Also with the correct password, and for an unknown username.
        let response = app.log_in(&name.to_uppercase(), PASSWORD).await;
        assert_problem(&response, 429, "too many attempts");
        assert_eq!(response.body["type"], "/problems/rate-limited");
        let seconds = response.body["retry_after"].as_u64().expect("seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(
            response.headers["retry-after"],
            seconds.to_string().as_str()
        );
        let nobody = format!("nobody{}", url.len());
        for _ in 0..3 {
            assert_problem(&app.log_in(&nobody, "wrong").await, 401, WRONG);
        }
        let response = app.log_in(&nobody, "wrong").await;
        assert_problem(&response, 429, "too many attempts");

        let from = async |address: &str, number: usize| {
            let body = json!({"username": format!("{name}-{number}"), "password": "wrong"});
            app.send("POST", "/api/v1/auth/token", body, None, Some(address))
                .await
        };
        for number in 0..6 {
            let address = format!("2001:db8::{number}");
            assert_problem(&from(&address, number).await, 401, WRONG);
        }
        assert_problem(&from("2001:db8::9", 7).await, 429, "too many attempts");
        assert_problem(&from("2001:db8:0:1::9", 8).await, 401, WRONG);
    }
}

#[sqlx::test]
async fn a_success_resets_the_attempts(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::with(&pool, &movies, &[("LOGIN_ATTEMPTS_PER_ACCOUNT", "2")]);
    app.account("anna").await;
    for _ in 0..3 {
        assert_problem(&app.log_in("anna", "wrong").await, 401, WRONG);
        app.log_in("anna", PASSWORD).await.expect(200);
    }
}

#[sqlx::test]
async fn sign_ups_are_limited_per_address_except_for_administrators(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::with(&pool, &movies, &[("SIGN_UPS_PER_ADDRESS", "2")]);
    let sign_up = |name: &'static str, principal, address| {
        let body = json!({"username": name, "email": format!("{name}@b")});
        app.send("POST", "/api/v1/users", body, principal, Some(address))
    };
    sign_up("a", None, "1.2.3.4").await.expect(201);
    sign_up("b", None, "1.2.3.4").await.expect(201);
    let third = sign_up("c", None, "::ffff:1.2.3.4").await;
    assert_problem(&third, 429, "too many attempts");
    sign_up("c", Some((1, "admin")), "1.2.3.4")
        .await
        .expect(201);
    sign_up("d", None, "1.2.3.5").await.expect(201);
}

#[sqlx::test]
async fn a_hash_with_outdated_parameters_is_replaced(pool: PgPool) {
    let movies = MovieService::start().await;
    let hash = async || -> String {
        sqlx::query_scalar("select password_hash from user_account")
            .fetch_one(&pool)
            .await
            .expect("a hash")
    };
    let app = TestApp::new(&pool, &movies);
    app.account("anna").await;
    let before = hash().await;
    assert!(before.contains("$m=8,t=1,p=1$"), "{before}");
    app.log_in("anna", PASSWORD).await.expect(200);
    assert_eq!(hash().await, before);

    let app = TestApp::with(&pool, &movies, &[("ARGON2_ITERATIONS", "2")]);
    app.log_in("anna", "wrong password").await;
    assert_eq!(hash().await, before);
    let logins = join_all((0..4).map(|_| app.log_in("anna", PASSWORD))).await;
    assert!(logins.iter().all(|login| login.status == 200), "{logins:?}");
    let after = hash().await;
    assert!(after.contains("$m=8,t=2,p=1$"), "{after}");
    app.log_in("anna", PASSWORD).await.expect(200);
}

#[sqlx::test]
async fn a_busy_hasher_refuses_further_logins(pool: PgPool) {
    let movies = MovieService::start().await;
    let settings = [
        ("ARGON2_AT_ONCE", "1"),
        ("ARGON2_WAIT_MS", "0"),
        ("ARGON2_MEMORY_KIB", "65536"),
        ("LOGIN_ATTEMPTS_PER_ACCOUNT", "1000"),
    ];
    let app = TestApp::with(&pool, &movies, &settings);
    let responses = join_all((0..8).map(|_| app.log_in("nobody", PASSWORD))).await;
    let busy = responses.iter().find(|response| response.status == 503);
    let busy = busy.expect("a refused login");
    assert_problem(busy, 503, "too many passwords are being checked");
    assert_eq!(busy.headers["retry-after"], "1");
    let refused = responses.iter().filter(|response| response.status == 401);
    assert_eq!(
        refused.count()
            + responses
                .iter()
                .filter(|response| response.status == 503)
                .count(),
        8
    );
}
