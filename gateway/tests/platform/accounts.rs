//! The life of an account, through the gateway, with real processes.

use chassis::testing::{TestResponse, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Api, Platform, Wants, assert_problem};

const NAME: &str = "Wilhelmina";
const EMAIL: &str = "wilhelmina@example.org";
const PASSWORD: &str = "a password that nobody guesses";

/// A platform that knows the keys which access tokens are signed with.
async fn start(wants: Wants) -> Platform {
    let platform = Platform::start(Wants {
        auth_mode: "jwt",
        ..wants
    })
    .await;
    let nobody = platform.client().bare();
    nobody
        .post(
            "/api/v1/users",
            json!({"username": "first", "email": "first@b", "password": PASSWORD}),
        )
        .await
        .expect(201);
    let login = log_in(&nobody, "first").await.expect(200);
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
async fn an_account_from_signing_up_to_its_keys() {
    let platform = start(Wants {
        gateways: 2,
        log_level: "debug",
        ..Wants::default()
    })
    .await;
    let nobody = platform.client().bare();
    let body = json!({"username": NAME, "email": EMAIL, "password": PASSWORD});
    let user = nobody.post("/api/v1/users", body.clone()).await.expect(201);
    let taken = nobody.post("/api/v1/users", body).await;
    assert_problem(&taken, 409, "username is already taken");
    let own = format!("/api/v1/users/{}", user["id"]);

    // Logging in, and not.
    let wrong = json!({"username": NAME, "password": "wrong"});
    let wrong = nobody.post("/api/v1/auth/token", wrong).await;
    assert_problem(&wrong, 401, "wrong username or password");
    let login = log_in(&nobody, EMAIL).await.expect(200);
    let me = as_token(&nobody, &login["access_token"]);
    assert_eq!(me.get(&own).await.expect(200), user);
    let account = me.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(
        (&account["id"], &account["role"]),
        (&user["id"], &json!("user"))
    );
    let first = me.get("/api/v1/users/1").await;
    assert_problem(&first, 403, "forbidden");
    let keys = nobody.get("/.well-known/jwks.json").await;
    assert_eq!(keys.headers["cache-control"], "public, max-age=300");
    assert_eq!(keys.expect(200)["keys"][0]["alg"], "EdDSA");

    // Staying logged in; a replay ends it.
    let next = refresh(&nobody, &login).await.expect(200);
    as_token(&nobody, &next["access_token"])
        .get(&own)
        .await
        .expect(200);
    for replayed in [&login, &next] {
        let answer = refresh(&nobody, replayed).await;
        assert_problem(&answer, 401, "invalid refresh token");
    }

    // An API key reads, but neither writes nor makes others; taken away it is refused.
    let path = format!("{own}/api-keys");
    let body = json!({"name": "reader", "scopes": ["read"]});
    let made = me.post(&path, body).await.expect(201);
    let program = as_token(&nobody, &made["key"]);
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

    // A command makes them an administrator, from the next login on.
    let login = log_in(&nobody, NAME).await.expect(200);
    platform.preference_service.run(&["admin", "grant", NAME]);
    assert_problem(&me.get("/api/v1/jobs").await, 403, "forbidden");
    let login = refresh(&nobody, &login).await.expect(200);
    assert_eq!(login["user"]["role"], "admin");
    let administrator = as_token(&nobody, &login["access_token"]);
    administrator.get("/api/v1/jobs").await.expect(200);
    administrator.get("/api/v1/users/1").await.expect(200);

    let body = json!({"refresh_token": login["refresh_token"]});
    let out = nobody.post("/api/v1/auth/logout", body).await;
    assert_eq!(out.status, 204);
    assert_problem(
        &refresh(&nobody, &login).await,
        401,
        "invalid refresh token",
    );

    // Of all this no log knows who it was, or by what they proved it.
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
            let told = service
                .lines()
                .into_iter()
                .find(|line| line.to_lowercase().contains(&word));
            assert_eq!(told, None, "{} tells", service.name());
        }
    }
    assert!(platform.errors_logged().is_empty());
}
