//! Accounts: signing up, logging in, refreshing, API keys, roles.

use chassis::testing::{TestResponse, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Api, Platform, PlatformOptions, assert_problem};

const NAME: &str = "Wilhelmina";
const EMAIL: &str = "wilhelmina@example.org";
const PASSWORD: &str = "a password that is hard to guess";

/// A platform whose gateway uses the JWKS of preference-service.
async fn start(options: PlatformOptions) -> Platform {
    let platform = Platform::start(PlatformOptions {
        auth_mode: "jwt",
        ..options
    })
    .await;
    let anonymous = platform.client().bare();
    anonymous
        .post(
            "/api/v1/users",
            json!({"username": "first", "email": "first@b", "password": PASSWORD}),
        )
        .await
        .expect(201);
    let login = log_in(&anonymous, "first").await.expect(200);
    for gateway in &platform.gateways {
        let user = as_token(&Api::new(&gateway.url()), &login["access_token"]);
        eventually("the gateways know the keys", async || {
            user.get("/api/v1/auth/me").await.status == 200
        })
        .await;
    }
    platform
}

async fn log_in(api: &Api, name: &str) -> TestResponse {
    let body = json!({"username": name, "password": PASSWORD});
    api.post("/api/v1/auth/token", body).await
}

async fn refresh(api: &Api, login: &Value) -> TestResponse {
    let body = json!({"refresh_token": login["refresh_token"]});
    api.post("/api/v1/auth/refresh", body).await
}

fn as_token(api: &Api, token: &Value) -> Api {
    api.clone().token(token.as_str().expect("a token"))
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_log_in_refresh_and_create_api_keys() {
    let platform = start(PlatformOptions {
        gateways: 2,
        log_level: "debug",
        ..PlatformOptions::default()
    })
    .await;
    let anonymous = platform.client().bare();
    let body = json!({"username": NAME, "email": EMAIL, "password": PASSWORD});
    let user = anonymous
        .post("/api/v1/users", body.clone())
        .await
        .expect(201);
    let taken = anonymous.post("/api/v1/users", body).await;
    assert_problem(&taken, 409, "username is already taken");
    let own = format!("/api/v1/users/{}", user["id"]);

    // Logins, valid and invalid.
    let wrong = json!({"username": NAME, "password": "wrong"});
    let wrong = anonymous.post("/api/v1/auth/token", wrong).await;
    assert_problem(&wrong, 401, "wrong username or password");
    let login = log_in(&anonymous, EMAIL).await.expect(200);
    let me = as_token(&anonymous, &login["access_token"]);
    assert_eq!(me.get(&own).await.expect(200), user);
    let account = me.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(
        (&account["id"], &account["role"]),
        (&user["id"], &json!("user"))
    );
    let first = me.get("/api/v1/users/1").await;
    assert_problem(&first, 403, "forbidden");
    let keys = anonymous.get("/.well-known/jwks.json").await;
    assert_eq!(keys.headers["cache-control"], "public, max-age=300");
    assert_eq!(keys.expect(200)["keys"][0]["alg"], "EdDSA");

    // Refreshes; a replayed refresh token ends the session.
    let next = refresh(&anonymous, &login).await.expect(200);
    as_token(&anonymous, &next["access_token"])
        .get(&own)
        .await
        .expect(200);
    for replayed in [&login, &next] {
        let response = refresh(&anonymous, replayed).await;
        assert_problem(&response, 401, "invalid refresh token");
    }

    // An API key with the scope read neither writes nor creates keys; revoked, it is refused.
    let path = format!("{own}/api-keys");
    let body = json!({"name": "reader", "scopes": ["read"]});
    let made = me.post(&path, body).await.expect(201);
    let program = as_token(&anonymous, &made["key"]);
    program.get(&own).await.expect(200);
    let preferences = program.post(&format!("{own}/preferences"), json!({})).await;
    assert_problem(&preferences, 403, "forbidden");
    assert_problem(&program.get(&path).await, 403, "forbidden");
    assert_problem(&program.get("/api/v1/users/1").await, 403, "forbidden");
    let gone = me
        .send(Method::DELETE, &format!("{path}/{}", made["id"]))
        .await;
    assert_eq!(gone.status, 204);
    let elsewhere = as_token(&Api::new(&platform.gateways[1].url()), &made["key"]);
    assert_problem(&elsewhere.get(&own).await, 401, "invalid bearer token");

    // The role of an administrator takes effect at the next login.
    let login = log_in(&anonymous, NAME).await.expect(200);
    platform.preference_service.run(&["admin", "grant", NAME]);
    assert_problem(&me.get("/api/v1/jobs").await, 403, "forbidden");
    let login = refresh(&anonymous, &login).await.expect(200);
    assert_eq!(login["user"]["role"], "admin");
    let administrator = as_token(&anonymous, &login["access_token"]);
    administrator.get("/api/v1/jobs").await.expect(200);
    administrator.get("/api/v1/users/1").await.expect(200);

    let body = json!({"refresh_token": login["refresh_token"]});
    let out = anonymous.post("/api/v1/auth/logout", body).await;
    assert_eq!(out.status, 204);
    assert_problem(
        &refresh(&anonymous, &login).await,
        401,
        "invalid refresh token",
    );

    // Logs contain no names, passwords or tokens.
    let secrets = [
        &made["key"],
        &next["refresh_token"],
        &login["refresh_token"],
        &login["access_token"],
    ];
    let secrets = secrets.map(|secret| secret.as_str().unwrap()).into_iter();
    for word in secrets.chain([NAME, EMAIL, PASSWORD]) {
        let word = word.to_lowercase();
        for service in platform.services() {
            let leak = service
                .lines()
                .into_iter()
                .find(|line| line.to_lowercase().contains(&word));
            assert_eq!(leak, None, "{} logs it", service.name());
        }
    }
    assert!(platform.errors_logged().is_empty());
}
