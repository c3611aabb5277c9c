//! Authentication by access tokens, and the refusals.

use std::time::{SystemTime, UNIX_EPOCH};

use gateway::Role;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{SECRET, Stage, TestResponse};

async fn with_header(stage: &Stage, value: &str) -> TestResponse {
    let request = stage.bare(Method::GET, "/api/v1/movies");
    TestResponse::of(request.header("authorization", value)).await
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

fn claims() -> Value {
    json!({"sub": "7", "role": "user", "iss": "marquee", "aud": "marquee", "exp": now() + 60})
}

fn signed(claims: &Value, algorithm: Algorithm, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::new(algorithm), claims, &key).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_malformed_header_is_refused_with_the_reason() {
    let stage = Stage::with_echo(&[]).await;
    let anonymous = TestResponse::of(stage.bare(Method::GET, "/api/v1/movies")).await;
    assert_eq!(
        anonymous.problem(401)["error"],
        "missing Authorization header"
    );
    assert_eq!(anonymous.header("www-authenticate"), "Bearer");

    let format = "invalid Authorization header format, expected 'Bearer <token>'";
    for (value, error) in [
        ("Basic dXNlcjpwYXNz", format),
        ("Bearerabc", format),
        ("", format),
        ("Bearer", "empty bearer token"),
        ("Bearer ", "empty bearer token"),
        ("Bearer \t ", "empty bearer token"),
    ] {
        let response = with_header(&stage, value).await;
        assert_eq!(response.problem(401)["error"], error, "{value:?}");
        assert_eq!(response.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_authorization_headers_are_refused() {
    let stage = Stage::with_echo(&[]).await;
    let token = format!("Bearer {}", stage.token("7", Role::User));
    let request = stage.bare(Method::GET, "/api/v1/movies");
    let request = request
        .header("authorization", &token)
        .header("authorization", &token);
    TestResponse::of(request).await.problem(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_the_scheme_is_in_any_case() {
    let stage = Stage::with_echo(&[]).await;
    let token = stage.token("7", Role::User);
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        let response = with_header(&stage, &format!("{scheme} {token}")).await;
        assert_eq!(response.status, 200, "{scheme}: {}", response.text);
        let response = with_header(&stage, scheme).await;
        assert_eq!(response.problem(401)["error"], "empty bearer token");
        let response = with_header(&stage, &format!("{scheme}{token}")).await;
        response.problem(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_with_critical_extensions_are_refused() {
    let stage = Stage::with_echo(&[]).await;
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for critical in [&["exp"][..], &["b64"], &["urn:example:bound"], &[]] {
        let header = Header {
            crit: Some(critical.iter().map(|&name| name.to_owned()).collect()),
            ..Header::new(Algorithm::HS256)
        };
        let token = encode(&header, &claims(), &key).unwrap();
        let response = with_header(&stage, &format!("Bearer {token}")).await;
        assert_eq!(
            response.problem(401)["detail"],
            "the token has critical extensions that are not supported",
            "{critical:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_valid_token_is_accepted_repeatedly() {
    let stage = Stage::with_echo(&[]).await;
    let token = format!("Bearer {}", stage.token("7", Role::User));
    for _ in 0..3 {
        let response = with_header(&stage, &token).await;
        assert_eq!(response.status, 200, "{}", response.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_token_is_refused_with_the_reason_and_no_secret() {
    let stage = Stage::with_echo(&[]).await;
    let change = |member: &str, value: Value| {
        let mut changed = claims();
        changed[member] = value;
        signed(&changed, Algorithm::HS256, SECRET)
    };
    let without = |member: &str| {
        let mut changed = claims();
        changed.as_object_mut().unwrap().remove(member);
        signed(&changed, Algorithm::HS256, SECRET)
    };
    let mut parts: Vec<String> = signed(&claims(), Algorithm::HS256, SECRET)
        .split('.')
        .map(str::to_owned)
        .collect();
    let forged = format!("{}.{}.{}", parts[0], parts[1].replace('e', "f"), parts[2]);
    // {"alg":"none","typ":"JWT"}
    parts[0] = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0".to_owned();
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    // {"alg":"RS256","typ":"JWT"}
    let other = format!(
        "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.{}.{}",
        parts[1], parts[2]
    );
    for (token, detail) in [
        (change("exp", json!(now() - 60)), "the token has expired"),
        (
            change("nbf", json!(now() + 60)),
            "the token is not valid yet",
        ),
        (
            change("iss", json!("other")),
            "the token is from another issuer",
        ),
        (
            change("aud", json!("others")),
            "the token is for another audience",
        ),
        (
            change("sub", json!(7)),
            "the token is not a JWT of this platform",
        ),
        (
            change("sub", json!("")),
            "the subject of the token is empty or too long",
        ),
        (
            change("role", json!("root")),
            "the token is not a JWT of this platform",
        ),
        (without("exp"), ""),
        (without("iss"), ""),
        (without("aud"), ""),
        (without("sub"), ""),
        (
            signed(
                &claims(),
                Algorithm::HS256,
                "another secret of at least 32 bytes",
            ),
            "the signature of the token is invalid",
        ),
        (
            signed(&claims(), Algorithm::HS512, SECRET),
            "the token is not signed with the algorithm of its key",
        ),
        (
            other,
            "the token is not signed with the algorithm of its key",
        ),
        (unsigned, ""),
        (forged, ""),
        ("x".to_owned(), ""),
        ("a.b.c".to_owned(), ""),
        ("x".repeat(5000), "the token is too long"),
    ] {
        let response = with_header(&stage, &format!("Bearer {token}")).await;
        let problem = response.problem(401);
        assert_eq!(problem["error"], "invalid bearer token", "{token}");
        assert!(response.header("www-authenticate").starts_with("Bearer"));
        if !detail.is_empty() {
            assert_eq!(problem["detail"], detail);
        }
        assert!(
            !response.text.contains(SECRET)
                && !response.text.contains(&token[..token.len().min(9)])
                || token.len() < 9
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_differences_within_the_leeway_are_accepted() {
    let stage = Stage::with_echo(&[("JWT_LEEWAY_SECONDS", "30")]).await;
    let mut late = claims();
    late["exp"] = json!(now() - 10);
    let token = signed(&late, Algorithm::HS256, SECRET);
    assert_eq!(
        with_header(&stage, &format!("Bearer {token}")).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_token_is_refused_once_it_has_expired() {
    let stage = Stage::with_echo(&[("JWT_LEEWAY_SECONDS", "0")]).await;
    let mut short = claims();
    short["exp"] = json!(now() + 2);
    let token = format!("Bearer {}", signed(&short, Algorithm::HS256, SECRET));
    assert_eq!(with_header(&stage, &token).await.status, 200);
    chassis::testing::eventually("the token expires", || async {
        with_header(&stage, &token).await.status == 401
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_a_role_has_the_role_of_a_user_and_the_principal_is_ascii_json() {
    let stage = Stage::with_echo(&[]).await;
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove("role");
    claims["sub"] = json!("k\u{e9}\"\u{1f3ac}");
    let token = format!("Bearer {}", signed(&claims, Algorithm::HS256, SECRET));
    let response = with_header(&stage, &token).await.json();
    assert_eq!(
        response["headers"]["x-principal"][0],
        r#"{"subject":"k\u00e9\"\ud83c\udfac","role":"user"}"#
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mock_mode_accepts_any_token_everywhere_but_requires_one_save_for_sign_up() {
    let stage = Stage::with_echo(&[("AUTH_MODE", "mock"), ("JWT_SECRET", "")]).await;
    for (method, path) in [
        (Method::GET, "/api/v1/users/5"),
        (Method::POST, "/api/v1/admin/sync"),
    ] {
        let response =
            TestResponse::of(stage.bare(method.clone(), path).bearer_auth("whatever")).await;
        assert_eq!(response.status, 200, "{}", response.text);
        let anonymous = TestResponse::of(stage.bare(method, path)).await;
        assert_eq!(
            anonymous.problem(401)["error"],
            "missing Authorization header"
        );
    }
    let sign_up = stage.bare(Method::POST, "/api/v1/users");
    assert_eq!(TestResponse::of(sign_up).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_mock_mode_the_current_user_is_the_one_of_the_token_or_user_1() {
    let stage = Stage::with_echo(&[("AUTH_MODE", "mock")]).await;
    for (token, principal) in [
        (
            stage.token("7", Role::User),
            r#"{"subject":"7","role":"admin","auth_time":253370764800}"#,
        ),
        (
            "whatever".to_owned(),
            r#"{"subject":"1","role":"admin","auth_time":253370764800}"#,
        ),
        (
            signed(
                &claims(),
                Algorithm::HS256,
                "another secret of at least 32 bytes",
            ),
            r#"{"subject":"1","role":"admin","auth_time":253370764800}"#,
        ),
    ] {
        let me = stage.bare(Method::GET, "/api/v1/auth/me");
        let response = TestResponse::of(me.bearer_auth(token)).await.json();
        assert_eq!(response["headers"]["x-principal"][0], principal);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_suspended_users_are_refused_within_seconds() {
    let list = std::sync::Arc::new(std::sync::Mutex::new(serde_json::json!([])));
    let served = std::sync::Arc::clone(&list);
    let revocations = axum::routing::get(move || {
        let list = served.lock().unwrap().clone();
        async move { axum::Json(serde_json::json!({"revocations": list})) }
    });
    let upstream = crate::stage::echo().route("/internal/v1/token-revocations", revocations);
    let upstream = crate::stage::serve(upstream).await;
    let stage = Stage::new(upstream, &[("REVOCATION_REFRESH_SECONDS", "1")]);
    let get = async |subject: &str, role| {
        let token = stage.token(subject, role);
        let request = stage
            .bare(Method::GET, "/api/v1/auth/me")
            .bearer_auth(token);
        TestResponse::of(request).await
    };
    assert_eq!(get("7", Role::User).await.status, 200);
    *list.lock().unwrap() = serde_json::json!([
        {"user_id": 7, "suspended": true, "valid_from": 0},
        {"user_id": 8, "suspended": false, "valid_from": 4_000_000_000_u64},
        {"user_id": 9, "suspended": false, "valid_from": 1000},
    ]);
    chassis::testing::eventually("the user is refused", async || {
        get("7", Role::User).await.status == 403
    })
    .await;
    let problem = get("7", Role::User).await.problem(403);
    assert_eq!(problem["type"], "/problems/account-suspended");
    // Tokens from before a loss of rights are refreshed, others stay.
    get("8", Role::Admin).await.problem(401);
    assert_eq!(get("9", Role::User).await.status, 200);
    assert_eq!(get("10", Role::User).await.status, 200);
    *list.lock().unwrap() = serde_json::json!([]);
    chassis::testing::eventually("the suspension ends", async || {
        get("7", Role::User).await.status == 200
    })
    .await;
}
