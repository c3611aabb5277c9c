//! Logins by a provider: the whole way over HTTP against a test provider, and each fault of a provider or a client.

use axum::{body::Body, http::Request};
use chassis::testing::TestResponse;
use serde_json::{Value, json};
use sqlx::PgPool;
use url::Url;

use crate::stage::{Fault, MovieService, PASSWORD, Person, TestApp, TestProvider, assert_problem};

const LOGIN: &str = "/api/v1/auth/oidc/test/login";
const JSON: &str = "application/json";
const HTML: &str = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

struct Stage {
    app: TestApp,
    provider: TestProvider,
    _movies: MovieService,
}

impl Stage {
    async fn new(pool: &PgPool) -> Self {
        Self::with(pool, &[]).await
    }

    async fn with(pool: &PgPool, settings: &[(&str, &str)]) -> Self {
        let provider = TestProvider::start().await;
        let movies = MovieService::start().await;
        let setting = provider.setting();
        let settings = [
            &[
                ("OIDC_PROVIDERS", setting.as_str()),
                ("AUTH_MODE", "jwt"),
                ("EMAIL_VERIFICATION", "true"),
            ],
            settings,
        ]
        .concat();
        let app = TestApp::with(pool, &movies, &settings);
        Self {
            app,
            provider,
            _movies: movies,
        }
    }

    async fn get(&self, path: &str, accept: &str, cookie: &str) -> TestResponse {
        let mut request = Request::builder().uri(path).header("accept", accept);
        request = request.header("x-real-ip", "192.0.2.1");
        if !cookie.is_empty() {
            request = request.header("cookie", cookie);
        }
        let request = request.body(Body::empty()).expect("a request");
        chassis::testing::send(&self.app.router, request).await
    }

    /// Begins a login; returns the authorization URL and the cookie.
    async fn begin(&self, path: &str) -> (String, String) {
        let begun = self.get(path, JSON, "").await;
        let cookie = cookie(&begun, "marquee_oidc");
        let url = begun.expect(200)["authorization_url"].clone();
        (url.as_str().expect("a URL").to_owned(), cookie)
    }

    /// The whole way of a program; returns the response of the callback.
    async fn log_in(&self) -> TestResponse {
        let (url, cookie) = self.begin(LOGIN).await;
        let callback = self.provider.approve(&url);
        self.get(&target(&callback), JSON, &cookie).await
    }

    async fn refusal(&self) -> Value {
        let refused = self.log_in().await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
        refused.body["code"].clone()
    }

    /// Makes the address of an account verified, as opening the link does.
    async fn verify(&self, id: i64) {
        sqlx::query("update user_account set email_verified_at = now(), unverified_since = null where id = $1")
            .bind(id)
            .execute(&self.app.pool)
            .await
            .expect("an update");
    }
}

/// Path and query of a URL.
fn target(url: &Url) -> String {
    format!("{}?{}", url.path(), url.query().unwrap_or_default())
}

/// The pair of the cookie `name` that a response sets.
fn cookie(response: &TestResponse, name: &str) -> String {
    let lines = response.headers.get_all("set-cookie").iter();
    let lines: Vec<&str> = lines.map(|line| line.to_str().expect("text")).collect();
    let line = lines.iter().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in {lines:?}"));
    line.split(';').next().expect("a pair").to_owned()
}

#[sqlx::test]
async fn a_new_person_logs_in_by_a_provider_in_a_browser(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let listed = stage.app.get("/api/v1/auth/oidc").await.expect(200);
    assert_eq!(
        listed["providers"][0],
        json!({"name": "test", "label": "Test", "login": LOGIN})
    );
    let begun = stage
        .get(&format!("{LOGIN}?return_to=/%23/me"), HTML, "")
        .await;
    assert_eq!(begun.status, 303, "{}", begun.text);
    let lines: Vec<_> = begun.headers.get_all("set-cookie").iter().collect();
    let line = lines[0].to_str().expect("text");
    assert!(line.contains("HttpOnly; SameSite=Lax"), "{line}");
    assert!(
        line.contains("Path=/api/v1/auth/oidc/test/callback"),
        "{line}"
    );
    let url = begun.headers["location"].to_str().expect("text");
    assert!(url.starts_with(&stage.provider.issuer()), "{url}");
    let callback = stage.provider.approve(url);
    let browser = cookie(&begun, "marquee_oidc");
    let ended = stage.get(&target(&callback), HTML, &browser).await;
    assert_eq!(ended.status, 303, "{}", ended.text);
    assert_eq!(ended.headers["location"], "/#/me");
    assert_eq!(ended.headers["cache-control"], "no-store");
    assert_eq!(cookie(&ended, "marquee_oidc"), "marquee_oidc=");
    for name in ["marquee_access", "marquee_refresh"] {
        assert!(cookie(&ended, name).len() > 20);
    }
    // The session is an ordinary one.
    let refresh = Request::post("/session/refresh")
        .header("x-marquee", "page")
        .header("cookie", cookie(&ended, "marquee_refresh"));
    let refresh = refresh.body(Body::empty()).expect("a request");
    let refreshed = chassis::testing::send(&stage.app.router, refresh).await;
    let user = refreshed.expect(200)["user"].clone();
    assert_eq!(user["username"], "anna");
    assert_eq!(user["email"], "anna@example.org");
    assert_eq!(user["role"], "user");

    // The same person is the same user, and a program receives tokens.
    let again = stage.log_in().await.expect(200);
    assert_eq!(again["user"]["id"], user["id"]);
    assert!(again["access_token"].is_string() && again["refresh_token"].is_string());
    // There is no password to log in with.
    let refused = stage.app.log_in("anna", "").await;
    assert_problem(&refused, 401, "wrong username or password");
}

#[sqlx::test]
async fn each_fault_of_a_provider_refuses_the_login(pool: PgPool) {
    let stage = Stage::with(&pool, &[("OIDC_LOGINS_PER_ADDRESS", "1000")]).await;
    stage.log_in().await.expect(200);
    let users = stage.app.count("user_account").await;
    for (fault, status, code) in [
        (Fault::Nonce, 400, "token"),
        (Fault::NoNonce, 400, "token"),
        (Fault::TokenIssuer, 400, "token"),
        (Fault::Audience, 400, "token"),
        (Fault::TwoAudiences, 400, "token"),
        (Fault::AuthorizedParty, 400, "token"),
        (Fault::Expired, 400, "token"),
        (Fault::Future, 400, "token"),
        (Fault::Old, 400, "token"),
        (Fault::AlgorithmNone, 400, "token"),
        (Fault::Hmac, 400, "token"),
        (Fault::ForeignKey, 400, "token"),
        (Fault::WrongSignature, 400, "token"),
        (Fault::Critical, 400, "token"),
        (Fault::NoIdToken, 400, "token"),
        (Fault::NoSubject, 400, "token"),
        (Fault::CodeExpired, 400, "code"),
        (Fault::CallbackIssuer, 400, "issuer"),
        (Fault::NoCallbackIssuer, 400, "issuer"),
        (Fault::Denied, 403, "denied"),
    ] {
        let (url, cookie) = stage.begin(LOGIN).await;
        stage.provider.fail(fault);
        let callback = stage.provider.approve(&url);
        let refused = stage.get(&target(&callback), JSON, &cookie).await;
        assert_problem(&refused, status, "the login was refused");
        assert_eq!(refused.body["code"], code, "{fault:?}");
        assert_eq!(refused.body["type"], "/problems/login-refused");
        assert!(refused.headers.get("set-cookie").is_none(), "{fault:?}");
        // A browser is led to the page, which explains the code.
        stage.provider.fail(None);
        let (url, cookie) = stage.begin(LOGIN).await;
        stage.provider.fail(fault);
        let callback = stage.provider.approve(&url);
        let refused = stage.get(&target(&callback), HTML, &cookie).await;
        assert_eq!(refused.status, 303);
        let location = refused.headers["location"].to_str().expect("text");
        assert_eq!(location, format!("/#/?login_error={code}"));
        stage.provider.fail(None);
    }
    // The exchange is a POST with our secret, which no redirect may lead elsewhere.
    let (url, cookie) = stage.begin(LOGIN).await;
    stage.provider.fail(Fault::Redirect);
    let callback = stage.provider.approve(&url);
    let refused = stage.get(&target(&callback), JSON, &cookie).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert_eq!(stage.app.count("user_account").await, users);
    assert_eq!(stage.app.count("refresh_family").await, 1);
}

#[sqlx::test]
async fn a_provider_with_unusable_metadata_is_unavailable(pool: PgPool) {
    for fault in [
        Fault::MetadataIssuer,
        Fault::PlainEndpoint,
        Fault::Huge,
        Fault::Down,
        Fault::Silent,
    ] {
        let stage = Stage::new(&pool).await;
        stage.provider.fail(fault);
        let started = std::time::Instant::now();
        let refused = stage.get(LOGIN, JSON, "").await;
        assert_problem(&refused, 503, "the login provider is unavailable");
        assert!(started.elapsed().as_secs() < 8, "{fault:?}");
        // Others do not wait for it again.
        let started = std::time::Instant::now();
        let refused = stage.get(LOGIN, HTML, "").await;
        assert_eq!(refused.headers["location"], "/#/?login_error=unavailable");
        assert!(started.elapsed().as_millis() < 1000, "{fault:?}");
    }
}

#[sqlx::test]
async fn a_callback_counts_once_in_the_browser_of_its_login(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let (url, cookie) = stage.begin(LOGIN).await;
    let callback = target(&stage.provider.approve(&url));
    let (other_url, other_cookie) = stage.begin(LOGIN).await;
    let naver = callback.replace("/oidc/test/", "/oidc/naver/");
    let twice = format!("{callback}&state=x");
    let no_state = callback.replace("state=", "stat=");
    for (path, cookie) in [
        // The cookie is missing, empty, made up, or of another login.
        (&callback, ""),
        (&callback, "marquee_oidc="),
        (&callback, "marquee_oidc=x"),
        (&callback, &other_cookie),
        // The callback of another provider: mix-up.
        (&naver, &cookie),
        (&twice, &cookie),
        (&no_state, &cookie),
    ] {
        let refused = stage.get(path, JSON, cookie).await;
        assert_problem(&refused, 400, "the login was refused");
        assert_eq!(refused.body["code"], "state", "{path}");
    }
    assert_eq!(stage.provider.token_requests(), 0);
    stage.get(&callback, JSON, &cookie).await.expect(200);
    let replayed = stage.get(&callback, JSON, &cookie).await;
    assert_eq!(replayed.expect(400)["code"], "state");
    // The code of one login in the callback of another: the verifier does not fit.
    let state = |url: &str| {
        let url = Url::parse(url).expect("a URL");
        let mut pairs = url.query_pairs();
        let (_, state) = pairs.find(|(name, _)| name == "state").expect("a state");
        state.into_owned()
    };
    let (third_url, _) = stage.begin(LOGIN).await;
    let injected = target(&stage.provider.approve(&third_url));
    let injected = injected.replace(&state(&third_url), &state(&other_url));
    let refused = stage.get(&injected, JSON, &other_cookie).await;
    assert_eq!(refused.expect(400)["code"], "code");
    // An expired login.
    let (url, cookie) = stage.begin(LOGIN).await;
    sqlx::query("update oidc_login set expires_at = now()")
        .execute(&pool)
        .await
        .expect("an update");
    let callback = target(&stage.provider.approve(&url));
    let refused = stage.get(&callback, JSON, &cookie).await;
    assert_eq!(refused.expect(400)["code"], "state");
    for (path, status) in [
        ("/api/v1/auth/oidc/unknown/login", 404),
        ("/api/v1/auth/oidc/unknown/callback?state=x&code=y", 404),
        (&format!("{LOGIN}?return_to=//evil.example"), 400),
        (&format!("{LOGIN}?return_to=https://evil.example"), 400),
    ] {
        let refused = stage.get(path, JSON, "marquee_oidc=x").await;
        assert_eq!(refused.status.as_u16(), status, "{path}");
    }
}

#[sqlx::test]
async fn logins_per_address_are_limited(pool: PgPool) {
    let stage = Stage::with(&pool, &[("OIDC_LOGINS_PER_ADDRESS", "2")]).await;
    for _ in 0..2 {
        stage.begin(LOGIN).await;
    }
    let refused = stage.get(LOGIN, JSON, "").await;
    assert_problem(&refused, 429, "too many attempts");
}

#[sqlx::test]
async fn new_keys_are_fetched_once_and_made_up_ones_seldom(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    stage.log_in().await.expect(200);
    assert_eq!(stage.provider.key_requests(), 1);
    stage.log_in().await.expect(200);
    assert_eq!(stage.provider.key_requests(), 1);
    stage.provider.rotate_key();
    stage.log_in().await.expect(200);
    assert_eq!(stage.provider.key_requests(), 2);
    for _ in 0..3 {
        stage.provider.fail(Fault::ForeignKey);
        assert_eq!(stage.refusal().await, "token");
        stage.provider.fail(None);
    }
    assert_eq!(stage.provider.key_requests(), 2);
    stage.log_in().await.expect(200);
}

#[sqlx::test]
async fn accounts_are_linked_by_an_address_that_both_sides_verified(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let id = stage.app.account("anna").await;
    let count = async || stage.app.count("user_account").await;
    // Nobody has proved the address to us: the account may be an attacker's.
    assert_eq!(stage.refusal().await, "account_exists");
    stage.verify(id).await;
    // The issuer does not vouch for it.
    for value in [json!(false), Value::Null, json!("no"), json!(1)] {
        stage.provider.person(Person {
            email_verified: value,
            ..Person::verified("anna")
        });
        assert_eq!(stage.refusal().await, "account_exists");
    }
    stage.provider.person(Person::verified("anna"));
    // Never to an administrator or a moderator.
    for role in ["admin", "moderator"] {
        sqlx::query("update user_account set role = $1")
            .bind(role)
            .execute(&pool)
            .await
            .expect("an update");
        assert_eq!(stage.refusal().await, "account_exists");
    }
    sqlx::query("update user_account set role = 'user'")
        .execute(&pool)
        .await
        .expect("an update");
    let login = stage.log_in().await.expect(200);
    assert_eq!(login["user"]["id"], id);
    assert_eq!(count().await, 1);
    // A linked account that becomes an administrator's logs in by password.
    sqlx::query("update user_account set role = 'admin'")
        .execute(&pool)
        .await
        .expect("an update");
    assert_eq!(stage.refusal().await, "administrator");
    sqlx::query(
        "update user_account set role = 'user', suspended_until = now() + interval '1 day'",
    )
    .execute(&pool)
    .await
    .expect("an update");
    let refused = stage.log_in().await;
    assert_problem(&refused, 403, "the account is suspended");
    sqlx::query("update user_account set suspended_until = null")
        .execute(&pool)
        .await
        .expect("an update");
    // The link is to the subject: the address may change.
    stage.provider.person(Person {
        email: Some("other@example.org".to_owned()),
        ..Person::verified("anna")
    });
    assert_eq!(stage.log_in().await.expect(200)["user"]["id"], id);
    // Another subject with the same address is linked as well; the same issuer vouches for both.
    stage.provider.person(Person {
        subject: "second".to_owned(),
        ..Person::verified("anna")
    });
    assert_eq!(stage.log_in().await.expect(200)["user"]["id"], id);
    assert_eq!(count().await, 1);
}

#[sqlx::test]
async fn a_new_account_is_named_and_its_address_verified_as_the_issuer_says(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let waiting = async |id: &Value| -> bool {
        sqlx::query_scalar("select unverified_since is not null from user_account where id = $1")
            .bind(id.as_i64())
            .fetch_one(&pool)
            .await
            .expect("a user")
    };
    let log_in = async |person: Person| {
        stage.provider.person(person);
        stage.log_in().await
    };
    let anna = log_in(Person::verified("anna")).await.expect(200)["user"].clone();
    assert!(!waiting(&anna["id"]).await);
    // The name is taken.
    let other = log_in(Person {
        subject: "2".to_owned(),
        email: Some("anna2@example.org".to_owned()),
        ..Person::verified("anna")
    });
    let other = other.await.expect(200)["user"].clone();
    let name = other["username"].as_str().expect("a name");
    assert!(name.starts_with("anna ") && name.len() == 9, "{name}");
    // A reserved name, and one that nobody may have.
    for (subject, nickname) in [("3", "admin"), ("4", "a\u{202e}b"), ("5", "")] {
        let user = log_in(Person {
            subject: subject.to_owned(),
            email: Some(format!("n{subject}@example.org")),
            nickname: nickname.to_owned(),
            ..Person::verified("x")
        });
        let user = user.await.expect(200)["user"].clone();
        let name = user["username"].as_str().expect("a name");
        assert!(name.starts_with("user "), "{name}");
    }
    // An address that the issuer does not vouch for waits for its link.
    let unsure = log_in(Person {
        email_verified: json!(false),
        ..Person::verified("unsure")
    });
    let unsure = unsure.await.expect(200)["user"].clone();
    assert!(waiting(&unsure["id"]).await);
    // One that the userinfo vouches for does not (Kakao).
    let kakao = log_in(Person {
        is_email_in_user_info: true,
        ..Person::verified("kim")
    });
    let kakao = kakao.await.expect(200)["user"].clone();
    assert_eq!(kakao["email"], "kim@example.org");
    assert!(!waiting(&kakao["id"]).await);
    stage.provider.fail(Fault::OtherUserInfo);
    assert_eq!(stage.refusal().await, "token");
    stage.provider.fail(None);
    for email in [
        None,
        Some("not an address"),
        Some("a@b@c"),
        Some("\u{202e}@x"),
    ] {
        let refused = log_in(Person {
            subject: "6".to_owned(),
            email: email.map(str::to_owned),
            ..Person::verified("bob")
        });
        let refused = refused.await;
        assert_problem(&refused, 409, "the login was refused");
        assert_eq!(refused.body["code"], "no_email");
    }
}

#[sqlx::test]
async fn naver_is_logged_in_by_its_profile_and_vouches_for_nothing(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let login = "/api/v1/auth/oidc/naver/login";
    let log_in = async || {
        let (url, cookie) = stage.begin(login).await;
        let callback = stage.provider.approve(&url);
        stage.get(&target(&callback), JSON, &cookie).await
    };
    let user = log_in().await.expect(200)["user"].clone();
    assert_eq!(log_in().await.expect(200)["user"]["id"], user["id"]);
    let id = stage.app.account("berta").await;
    stage.verify(id).await;
    stage.provider.person(Person::verified("berta"));
    assert_eq!(log_in().await.expect(409)["code"], "account_exists");
}

#[sqlx::test]
async fn a_user_links_and_unlinks_identities_with_proof(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let (anna, berta) = (
        stage.app.account("anna").await,
        stage.app.account("berta").await,
    );
    let now = chrono::Utc::now().timestamp();
    let send = async |user: i64, age: i64, method: &str, path: String, body: Value| {
        let principal =
            json!({"subject": user.to_string(), "role": "user", "auth_time": now - age});
        stage
            .app
            .send_as(method, &path, body, Some(principal), None)
            .await
    };
    let path = format!("/api/v1/users/{anna}/identities");
    let body = json!({"provider": "test", "return_to": "/#/me"});
    // An old login needs the password.
    let refused = send(anna, 3600, "POST", path.clone(), body.clone()).await;
    assert_problem(&refused, 403, "the present password is wrong");
    let refused = send(berta, 0, "POST", path.clone(), body.clone()).await;
    assert_eq!(refused.status, 403, "only users themselves");
    let link = async |user: i64, body: Value| {
        let path = format!("/api/v1/users/{user}/identities");
        let begun = send(user, 3600, "POST", path, body).await;
        let cookie = cookie(&begun, "marquee_oidc");
        let url = begun.expect(200)["authorization_url"].clone();
        let callback = stage.provider.approve(url.as_str().expect("a URL"));
        stage.get(&target(&callback), HTML, &cookie).await
    };
    let mut confirmed = body.clone();
    confirmed["current_password"] = json!(PASSWORD);
    let linked = link(anna, confirmed.clone()).await;
    assert_eq!(linked.headers["location"], "/#/me");
    assert_eq!(linked.headers.get_all("set-cookie").iter().count(), 1);
    let listed = send(anna, 3600, "GET", path.clone(), Value::Null).await;
    let listed = listed.expect(200)["identities"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["provider"], "test");
    // The account logs in by it, although the address is not verified here.
    assert_eq!(stage.log_in().await.expect(200)["user"]["id"], anna);
    // It is linked to one account.
    let refused = link(berta, confirmed.clone()).await;
    assert_eq!(refused.headers["location"], "/#/?login_error=linked");
    // Nor can an administrator link one.
    sqlx::query("update user_account set role = 'admin' where id = $1")
        .bind(berta)
        .execute(&pool)
        .await
        .expect("an update");
    stage.provider.person(Person::verified("boss"));
    let refused = link(berta, confirmed).await;
    assert_eq!(refused.headers["location"], "/#/?login_error=administrator");
    stage.provider.person(Person::verified("anna"));

    let one = format!("{path}/{}", listed[0]["id"]);
    let refused = send(anna, 3600, "DELETE", one.clone(), Value::Null).await;
    assert_problem(&refused, 403, "the present password is wrong");
    let unlinked = send(anna, 0, "DELETE", one.clone(), Value::Null).await;
    assert_eq!(unlinked.status, 204);
    let refused = send(anna, 0, "DELETE", one, Value::Null).await;
    assert_problem(&refused, 404, "identity not found");
    assert_eq!(stage.refusal().await, "account_exists");
}

#[sqlx::test]
async fn an_account_without_a_password_is_confirmed_by_a_fresh_login(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let login = stage.log_in().await.expect(200);
    let id = login["user"]["id"].as_i64().expect("an id");
    let now = chrono::Utc::now().timestamp();
    let send = async |age: i64, method: &str, path: String, body: Value| {
        let principal = json!({"subject": id.to_string(), "role": "user", "auth_time": now - age});
        stage
            .app
            .send_as(method, &path, body, Some(principal), None)
            .await
    };
    let keys = format!("/api/v1/users/{id}/api-keys");
    let key = json!({"name": "k", "scopes": ["read"]});
    let refused = send(3600, "POST", keys.clone(), key.clone()).await;
    assert_problem(&refused, 403, "the present password is wrong");
    send(0, "POST", keys, key).await.expect(201);
    // The only way to log in stays until there is a password.
    let path = format!("/api/v1/users/{id}/identities");
    let listed = send(0, "GET", path.clone(), Value::Null).await.expect(200);
    let one = format!("{path}/{}", listed["identities"][0]["id"]);
    let refused = send(0, "DELETE", one.clone(), Value::Null).await;
    assert_problem(&refused, 409, "it is the only way to log in");
    let password = json!({"password": PASSWORD});
    let user = format!("/api/v1/users/{id}");
    send(0, "PATCH", user.clone(), password).await.expect(200);
    stage.app.log_in("anna", PASSWORD).await.expect(200);
    assert_eq!(send(0, "DELETE", one, Value::Null).await.status, 204);
    // Erasure leaves nothing of it.
    stage.log_in().await;
    assert_eq!(send(0, "DELETE", user, Value::Null).await.status, 204);
    let left: i64 = sqlx::query_scalar("select count(*) from external_identity")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(left, 0);
}
