//! Protection of accounts: wrong passwords of others, stolen access tokens, traces of what was erased.

use axum::{body::Body, http::Request};
use chassis::testing::{RedisServer, TestResponse};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    accounts::{WRONG, refresh, verified},
    stage::{MovieService, PASSWORD, TestApp, assert_problem},
};

const LOG_IN: &str = "/api/v1/auth/token";

/// A login from `address` with the cookies of a client.
async fn log_in_from(app: &TestApp, address: &str, password: &str, cookie: &str) -> TestResponse {
    let body = json!({"username": "anna", "password": password});
    let request = Request::builder()
        .method("POST")
        .uri(LOG_IN)
        .header("x-real-ip", address)
        .header("cookie", cookie)
        .body(Body::from(body.to_string()))
        .expect("a request");
    chassis::testing::send(&app.router, request).await
}

#[sqlx::test]
async fn wrong_passwords_of_others_do_not_lock_out_the_owner(pool: PgPool) {
    let redis = RedisServer::start();
    let movies = MovieService::start().await;
    for url in [redis.url(), String::new()] {
        let settings = [
            ("REDIS_URL", url.as_str()),
            ("REDIS_TIMEOUT_MS", "5000"),
            ("LOGIN_ATTEMPTS_PER_ACCOUNT", "5"),
            ("LOGIN_ATTEMPTS_PER_ADDRESS", "1000"),
        ];
        let app = TestApp::with(&pool, &movies, &settings);
        if app.count("user_account").await == 0 {
            app.account("anna").await;
        }
        let login = log_in_from(&app, "1.1.1.1", PASSWORD, "").await;
        let cookie = login.headers["set-cookie"].to_str().expect("text");
        for attribute in [
            "; HttpOnly",
            "; SameSite=Strict",
            "; Path=/api/v1/auth/token",
        ] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        let cookie = cookie.split(';').next().expect("a pair").to_owned();
        let login = login.expect(200);
        for number in 0..6 {
            let response = log_in_from(&app, "6.6.6.6", "wrong", "").await;
            let error = if number < 5 {
                WRONG
            } else {
                "too many attempts"
            };
            assert_problem(&response, if number < 5 { 401 } else { 429 }, error);
        }
        // From another address; from the attacker's with a known device; and by the session.
        log_in_from(&app, "1.1.1.1", PASSWORD, "").await.expect(200);
        let device = format!("theme=dark; {cookie}");
        log_in_from(&app, "6.6.6.6", PASSWORD, &device)
            .await
            .expect(200);
        refresh(&app, &login["refresh_token"]).await.expect(200);
        // The attacker gains nothing by the cookie of another, or a made-up one.
        for cookie in ["marquee_device=x", ""] {
            let refused = log_in_from(&app, "6.6.6.6", PASSWORD, cookie).await;
            assert_problem(&refused, 429, "too many attempts");
        }
        // A stolen cookie allows ten attempts.
        for _ in 0..9 {
            let wrong = log_in_from(&app, "6.6.6.6", "wrong", &device).await;
            assert_problem(&wrong, 401, WRONG);
        }
        let refused = log_in_from(&app, "6.6.6.6", PASSWORD, &device).await;
        assert_problem(&refused, 429, "too many attempts");
    }
}

#[sqlx::test]
async fn wrong_passwords_are_slowed_down_before_they_are_refused(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::with(&pool, &movies, &[("LOGIN_DELAY_MS", "100")]);
    app.account("anna").await;
    let timed = async |name: &str| {
        let started = std::time::Instant::now();
        assert_problem(&app.log_in(name, "wrong").await, 401, WRONG);
        started.elapsed().as_millis()
    };
    for name in ["anna", "nobody"] {
        for _ in 0..3 {
            timed(name).await;
        }
        assert!(timed(name).await >= 100);
        assert!(timed(name).await >= 200);
        assert!(timed(name).await >= 400);
    }
    // Twelve wrong passwords do not refuse the right one.
    app.log_in("anna", PASSWORD).await.expect(200);
}

/// A principal of the gateway, whose login was `age` seconds ago.
fn principal(id: i64, role: &str, age: Option<i64>) -> Option<Value> {
    let mut principal = json!({"subject": id.to_string(), "role": role});
    if let Some(age) = age {
        principal["auth_time"] = json!(chrono::Utc::now().timestamp() - age);
    }
    Some(principal)
}

#[sqlx::test]
async fn a_stolen_access_token_becomes_nothing_more(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.account("anna").await;
    let path = format!("/api/v1/users/{id}");
    let keys = format!("{path}/api-keys");
    let hooks = format!("{path}/webhooks");
    let key = json!({"name": "k", "scopes": ["read"]});
    let hook = json!({"provider": "jellyfin", "name": "attic"});
    let email = json!({"email": "new@example.org"});
    let password = json!({"password": "another password of mine"});
    let requests = [
        ("POST", &keys, &key),
        ("POST", &hooks, &hook),
        ("PATCH", &path, &email),
        ("PATCH", &path, &password),
        ("DELETE", &path, &Value::Null),
    ];
    let error = "the present password is wrong";
    for age in [None, Some(301), Some(100_000)] {
        for (method, path, body) in requests {
            for given in [None, Some("wrong")] {
                let mut body = body.clone();
                if let Some(given) = given {
                    body["current_password"] = json!(given);
                }
                let stolen = principal(id, "user", age);
                let response = app.send_as(method, path, body, stolen, None).await;
                let error = match response.status.as_u16() {
                    429 => "too many attempts",
                    _ => error,
                };
                let status = response.status.as_u16();
                assert!([403, 429].contains(&status), "{method} {path}: {status}");
                assert_problem(&response, status, error);
            }
        }
    }
    assert_eq!(app.get(&keys).await.expect(200)["api_keys"], json!([]));
    assert_eq!(app.get(&hooks).await.expect(200)["webhooks"], json!([]));
    // Ten wrong passwords do not lock out the owner, who logs in again.
    let fresh = || principal(id, "user", Some(10));
    app.send_as("POST", &keys, key.clone(), fresh(), None)
        .await
        .expect(201);
    app.send_as("POST", &hooks, hook, fresh(), None)
        .await
        .expect(201);
    app.send_as("PATCH", &path, email, fresh(), None)
        .await
        .expect(200);
    // Other changes need no proof.
    let name = json!({"username": "hanna"});
    app.send_as("PATCH", &path, name, principal(id, "user", None), None)
        .await
        .expect(200);
    // An administrator proves themselves, not the user.
    let boss = app.account("boss").await;
    for (proof, status) in [
        (Value::Null, 403),
        (json!("wrong"), 403),
        (json!(PASSWORD), 201),
    ] {
        let mut body = key.clone();
        body["current_password"] = proof;
        let admin = principal(boss, "admin", None);
        app.send_as("POST", &keys, body, admin, None)
            .await
            .expect(status);
    }
    let erased = app
        .send_as("DELETE", &path, Value::Null, fresh(), None)
        .await;
    assert_eq!(erased.status.as_u16(), 204);
    let path = format!("/api/v1/users/{boss}");
    let body = json!({"current_password": PASSWORD});
    let erased = app
        .send_as("DELETE", &path, body, principal(boss, "admin", None), None)
        .await;
    assert_eq!(erased.status.as_u16(), 204);
}

#[sqlx::test]
async fn who_has_no_password_needs_none_unless_the_login_is_old(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/api-keys");
    let key = json!({"name": "k", "scopes": ["read"]});
    for (age, status) in [(None, 201), (Some(1), 201), (Some(301), 403)] {
        app.send_as("POST", &path, key.clone(), principal(id, "user", age), None)
            .await
            .expect(status);
    }
}

#[sqlx::test]
async fn refreshing_keeps_the_time_of_the_login(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    let (_, claims) = verified(&app, &login["access_token"]).await;
    assert_eq!(claims["auth_time"], claims["iat"]);
    sqlx::query("update refresh_family set created_at = created_at - interval '1 day'")
        .execute(&pool)
        .await
        .expect("an update");
    let next = refresh(&app, &login["refresh_token"]).await.expect(200);
    let (_, later) = verified(&app, &next["access_token"]).await;
    let days = |claims: &Value| claims["auth_time"].as_i64().expect("seconds");
    assert!(
        (days(&claims) - days(&later) - 86_400).abs() <= 1,
        "{later}"
    );
}

#[sqlx::test]
async fn keys_expire_by_default_and_a_new_password_can_end_them(pool: PgPool) {
    let movies = MovieService::start().await;
    let settings = [
        ("API_KEY_MAX_DAYS", "365"),
        ("API_KEYS_WITHOUT_END", "false"),
    ];
    let app = TestApp::with(&pool, &movies, &settings);
    let id = app.account("anna").await;
    let path = format!("/api/v1/users/{id}/api-keys");
    let create = async |expires: Option<Value>| {
        let mut body = json!({"name": "k", "scopes": ["read"]});
        if let Some(expires) = expires {
            body["expires_at"] = expires;
        }
        app.post(&path, body).await
    };
    let days = |days: i64| chrono::Utc::now() + chrono::TimeDelta::days(days);
    let key = create(None).await.expect(201);
    let ends = key["expires_at"].as_str().expect("a time");
    let ends: chrono::DateTime<chrono::Utc> = ends.parse().expect("a time");
    assert!(ends > days(89) && ends < days(91), "{ends}");
    create(Some(json!(days(364)))).await.expect(201);
    for refused in [Value::Null, json!(days(366)), json!(days(-1))] {
        let refused = create(Some(refused)).await;
        assert_eq!(refused.expect(400)["errors"][0]["field"], "expires_at");
    }
    let path = format!("/api/v1/users/{id}");
    let body = json!({"password": "another password of mine", "current_password": PASSWORD});
    let changed = app.patch(&path, body).await.expect(200);
    assert_eq!(changed["api_keys"].as_array().map(Vec::len), Some(2));
    assert!(changed["api_keys"][0].get("key").is_none());
    let alone = app.patch(&path, json!({"revoke_api_keys": true})).await;
    assert_eq!(alone.expect(400)["errors"][0]["field"], "revoke_api_keys");
    let body = json!({"password": PASSWORD, "revoke_api_keys": true});
    let changed = app.patch(&path, body).await.expect(200);
    assert_eq!(changed["api_keys"], json!([]));
    assert_eq!(
        app.get(&format!("{path}/api-keys")).await.expect(200)["api_keys"],
        json!([])
    );
}

#[sqlx::test]
async fn anonymous_keys_of_requests_are_separated_by_client(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let sign_up = async |name: &str, address: &str| {
        let body = json!({"username": name, "email": format!("{name}@example.org")});
        let request = Request::builder()
            .method("POST")
            .uri("/api/v1/users")
            .header("x-real-ip", address)
            .header("idempotency-key", "1")
            .body(Body::from(body.to_string()))
            .expect("a request");
        chassis::testing::send(&app.router, request).await
    };
    sign_up("anna", "1.1.1.1").await.expect(201);
    // Another client neither sees the response nor is refused because of it.
    sign_up("berta", "2.2.2.2").await.expect(201);
    let taken = sign_up("anna", "3.3.3.3").await;
    assert_problem(&taken, 409, "username is already taken");
    let again = sign_up("anna", "1.1.1.1").await;
    assert_eq!(again.headers["idempotency-replayed"], "true");
}

/// Every table and every Redis key after an account's whole life.
#[sqlx::test]
async fn an_erasure_finds_everything_whatever_the_user_was_called(pool: PgPool) {
    let redis = RedisServer::start();
    let movies = MovieService::start().await;
    movies.sync(603, 1, "The Matrix");
    let url = redis.url();
    let settings = [("REDIS_URL", url.as_str()), ("REDIS_TIMEOUT_MS", "5000")];
    let app = TestApp::with(&pool, &movies, &settings);
    app.knows_films(1).await;
    let keyed = async |path: &str, body: Value, who: Option<Value>, key: &str| {
        let mut request = Request::builder().method("POST").uri(path);
        if let Some(who) = who {
            request = request.header("x-principal", who.to_string());
        }
        let request = request
            .header("x-real-ip", "1.1.1.1")
            .header("idempotency-key", key)
            .body(Body::from(body.to_string()))
            .expect("a request");
        chassis::testing::send(&app.router, request).await
    };
    let body = json!({
        "username": "zebulon", "email": "zebulon@old.example", "password": PASSWORD,
    });
    let user = keyed("/api/v1/users", body, None, "sign-up")
        .await
        .expect(201);
    let id = user["id"].as_i64().expect("an id");
    let path = format!("/api/v1/users/{id}");
    let fresh = || principal(id, "user", Some(1));
    app.log_in("zebulon", "wrong").await;
    let login = log_in_from(&app, "1.1.1.1", "wrong", "").await;
    assert_eq!(login.status, 401);
    app.log_in("zebulon", PASSWORD).await.expect(200);
    for body in [
        json!({"username": "yolanda", "email": "yolanda@new.example"}),
        json!({"username": "xerxes"}),
    ] {
        app.send_as("PATCH", &path, body, fresh(), None)
            .await
            .expect(200);
    }
    let like = json!({"movie_id": 603, "interaction_type": "like"});
    let likes = format!("{path}/interactions");
    keyed(&likes, like.clone(), fresh(), "like")
        .await
        .expect(201);
    keyed(
        &likes,
        like,
        principal(99, "admin", None),
        "like-by-another",
    )
    .await
    .expect(201);
    let viewing = json!({"movie_id": 603, "day": "2026-01-02"});
    keyed(&format!("{path}/viewings"), viewing, fresh(), "viewing").await;
    let key = json!({"name": "zebulon's key", "scopes": ["read"]});
    app.post(&format!("{path}/api-keys"), key).await.expect(201);
    let hook = json!({"provider": "jellyfin", "name": "zebulon's hook"});
    app.post(&format!("{path}/webhooks"), hook)
        .await
        .expect(201);
    let csv = "Date,Name,Year,Letterboxd URI,Rating\n2026-01-01,zebulon's film,1999,https://boxd.it/2a9q,4\n";
    let request = Request::builder()
        .method("POST")
        .uri(format!("{path}/imports"))
        .header("idempotency-key", "import")
        .header("x-principal", fresh().expect("a principal").to_string())
        .body(Body::from(csv))
        .expect("a request");
    let import = chassis::testing::send(&app.router, request).await;
    let job = import.headers["location"]
        .to_str()
        .expect("text")
        .to_owned();
    import.expect(202);
    chassis::testing::eventually("the import ends", async || {
        let status = app.get(&job).await.body["status"].clone();
        !["queued", "running"].contains(&status.as_str().unwrap_or_default())
    })
    .await;
    let group = app.send_as(
        "POST",
        "/api/v1/groups",
        json!({"name": "zebulon's"}),
        fresh(),
        None,
    );
    group.await.expect(201);
    app.post(
        &format!("{path}/preferences"),
        json!({"preferred_genres": []}),
    )
    .await;

    let erased = app
        .send_as("DELETE", &path, Value::Null, fresh(), None)
        .await;
    assert_eq!(erased.status.as_u16(), 204, "{}", erased.text);
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&pool)
    .await
    .expect("tables");
    let names = "zebulon|yolanda|xerxes|old\\.example|new\\.example";
    for table in tables {
        // bytea is read as text, as far as it is text.
        let statement = format!(
            "select t::text || coalesce((select string_agg(encode(value::bytea, 'escape'), ' ')
                                         from jsonb_each_text(to_jsonb(t))
                                         where value ~ '^\\\\x[0-9a-f]*$'), '')
             from {table} t"
        );
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_all(&pool)
            .await
            .expect("rows");
        let found: Vec<&String> = rows
            .iter()
            .filter(|row| {
                let row = row.to_lowercase();
                names
                    .replace('\\', "")
                    .split('|')
                    .any(|name| row.contains(name))
            })
            .collect();
        assert!(found.is_empty(), "{table}: {found:?}");
    }
    let dump = redis_dump(&url).await.to_lowercase();
    assert!(dump.contains("people:v1:"), "{dump}");
    for name in ["zebulon", "yolanda", "xerxes", "example"] {
        assert!(!dump.contains(name), "{name} in {dump}");
    }
}

/// All keys of a Redis with their values, as text.
async fn redis_dump(url: &str) -> String {
    let client = redis::Client::open(url).expect("a URL");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("a connection");
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut connection)
        .await
        .expect("keys");
    let mut dump = String::new();
    for key in keys {
        let value: Vec<u8> = redis::cmd("DUMP")
            .arg(&key)
            .query_async(&mut connection)
            .await
            .expect("a value");
        dump.push_str(&format!("{key} {}\n", String::from_utf8_lossy(&value)));
    }
    dump
}

#[sqlx::test]
async fn common_passwords_and_names_are_refused(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let sign_up = |name: &str, password: &str| {
        let body =
            json!({"username": name, "email": "wilhelmina.w@example.org", "password": password});
        app.post("/api/v1/users", body)
    };
    for password in [
        "password1",
        "12345678",
        "qwertyuiop",
        "Wilhelmina",
        "wilhelmina.w@example.org",
        "wilhelmina.w",
    ] {
        let refused = sign_up("Wilhelmina", password).await;
        assert_eq!(
            refused.expect(400)["errors"][0]["field"],
            "password",
            "{password}"
        );
    }
    let user = sign_up("Wilhelmina", PASSWORD).await.expect(201);
    let path = format!("/api/v1/users/{}", user["id"]);
    for password in ["wilhelmina", "iloveyou1"] {
        let refused = app.patch(&path, json!({"password": password})).await;
        assert_eq!(
            refused.expect(400)["errors"][0]["field"],
            "password",
            "{password}"
        );
    }
}

#[sqlx::test]
async fn names_that_look_alike_or_official_are_refused(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let number = std::sync::atomic::AtomicUsize::new(0);
    let sign_up = |name: &str, who| {
        let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let body = json!({"username": name, "email": format!("{number}@example.org")});
        app.send("POST", "/api/v1/users", body, who, None)
    };
    let first = sign_up("Alice", None).await.expect(201);
    for name in ["AIice", "a1ice", "ALICE"] {
        let refused = sign_up(name, None).await;
        assert_problem(&refused, 409, "username is already taken");
    }
    for name in ["аlice", "admin", "Аdmіn", "rnoderator", "sup-port"] {
        let refused = sign_up(name, None).await;
        assert_eq!(
            refused.expect(400)["errors"][0]["field"],
            "username",
            "{name}"
        );
    }
    sign_up("support", Some((1, "admin"))).await.expect(201);
    for name in ["김민수", "Anna 김", "Анна"] {
        sign_up(name, None).await.expect(201);
    }
    let other = app.user("berta").await;
    let rename = app
        .patch(
            &format!("/api/v1/users/{other}"),
            json!({"username": "a1ice"}),
        )
        .await;
    assert_problem(&rename, 409, "username is already taken");
    // Names from before are compared as well, as soon as their skeletons are filled in.
    sqlx::query("update user_account set username_skeleton = null where id = $1")
        .bind(first["id"].as_i64())
        .execute(&pool)
        .await
        .expect("an update");
    let again = TestApp::new(&pool, &_movies);
    chassis::testing::eventually("the skeletons are filled in", async || {
        let skeleton: Option<String> =
            sqlx::query_scalar("select username_skeleton from user_account where id = $1")
                .bind(first["id"].as_i64())
                .fetch_one(&pool)
                .await
                .expect("a row");
        skeleton.is_some()
    })
    .await;
    let body = json!({"username": "AIice", "email": "x@example.org"});
    let refused = again.post("/api/v1/users", body).await;
    assert_problem(&refused, 409, "username is already taken");
}

#[sqlx::test]
async fn an_account_that_nobody_could_log_in_to_cannot_be_made(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::with(&pool, &movies, &[("AUTH_MODE", "jwt")]);
    let body = json!({"username": "anna", "email": "anna@example.org"});
    for who in [None, Some((1, "admin"))] {
        let refused = app
            .send("POST", "/api/v1/users", body.clone(), who, None)
            .await;
        assert_eq!(refused.expect(400)["errors"][0]["field"], "password");
    }
    app.account("anna").await;
    // An administrator vouches for the address.
    let body = json!({"username": "berta", "email": "berta@example.org", "password": PASSWORD});
    let berta = app
        .send("POST", "/api/v1/users", body, Some((1, "admin")), None)
        .await;
    let path = format!("/api/v1/admin/users/{}", berta.expect(201)["id"]);
    assert_eq!(app.get(&path).await.expect(200)["email_verified"], true);
}

/// The token of the link that waits for `email`, as if it had been read from the mail: stored tokens are hashes, so the test
/// stores one of its own.
async fn token_of(pool: &PgPool, email: &str) -> String {
    let token = format!("token of {email}");
    let hash = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let stored = sqlx::query("update email_verification set token_hash = $1 where email = $2")
        .bind(hash.as_ref())
        .bind(email)
        .execute(pool)
        .await
        .expect("an update");
    assert_eq!(stored.rows_affected(), 1, "{email}");
    token.replace(' ', "%20").replace('@', "%40")
}

#[sqlx::test]
async fn addresses_take_effect_when_their_links_are_opened(pool: PgPool) {
    let movies = MovieService::start().await;
    let settings = [("AUTH_MODE", "jwt")];
    let app = TestApp::with(&pool, &movies, &settings);
    let id = app.account("anna").await;
    let path = format!("/api/v1/users/{id}");
    let admin = async || {
        let path = format!("/api/v1/admin/users/{id}");
        app.get(&path).await.expect(200)["email_verified"].clone()
    };
    // The account works meanwhile.
    app.log_in("anna", PASSWORD).await.expect(200);
    assert_eq!(admin().await, false);
    let open = async |token: &str| {
        app.get(&format!("/api/v1/auth/verify-email?token={token}"))
            .await
    };
    assert_problem(&open("x").await, 404, "verification link not found");
    let token = token_of(&pool, "anna@example.org").await;
    assert_eq!(open(&token).await.expect(200), json!({"verified": true}));
    assert_eq!(admin().await, true);
    assert_problem(&open(&token).await, 404, "verification link not found");
    let again = format!("{path}/email-verification");
    let refused = app.post(&again, Value::Null).await;
    assert_problem(&refused, 409, "the e-mail address is verified");

    // A new address waits, also for its owner.
    let berta = app.account("berta").await;
    let change = |email: &str| {
        let body = json!({"email": email, "current_password": PASSWORD});
        app.send("PATCH", &path, body, Some((id, "user")), None)
    };
    let taken = change("Berta@example.org").await;
    assert_problem(&taken, 409, "email is already taken");
    let changed = change("new@example.org").await.expect(200);
    assert_eq!(changed["email"], "anna@example.org");
    assert_eq!(changed["pending_email"], "new@example.org");
    assert_eq!(app.post(&again, Value::Null).await.status.as_u16(), 204);
    let token = token_of(&pool, "new@example.org").await;
    // A stolen token of an administrator does not give it to another.
    let body = json!({"email": "new@example.org"});
    app.send(
        "PATCH",
        &format!("/api/v1/users/{berta}"),
        body,
        Some((id, "admin")),
        None,
    )
    .await
    .expect(403);
    open(&token).await.expect(200);
    assert_eq!(app.get(&path).await.expect(200)["email"], "new@example.org");
    let mut last = 0;
    for _ in 0..6 {
        last = change("other@example.org").await.status.as_u16();
    }
    assert_eq!(last, 429);
}

#[sqlx::test]
async fn an_unverified_account_holds_name_and_address_for_a_day(pool: PgPool) {
    let movies = MovieService::start().await;
    let settings = [("AUTH_MODE", "jwt")];
    let app = TestApp::with(&pool, &movies, &settings);
    let [old, verified, new] = [
        app.account("anna").await,
        app.account("berta").await,
        app.account("carl").await,
    ];
    let token = token_of(&pool, "berta@example.org").await;
    app.get(&format!("/api/v1/auth/verify-email?token={token}"))
        .await
        .expect(200);
    sqlx::query("update user_account set unverified_since = unverified_since - interval '25 hours' where id <> $1")
        .bind(new)
        .execute(&pool)
        .await
        .expect("an update");
    app.stop().await;
    let app = TestApp::with(&pool, &movies, &settings);
    chassis::testing::eventually("the account is erased", async || {
        app.get(&format!("/api/v1/users/{old}")).await.status == 404
    })
    .await;
    for id in [verified, new] {
        app.get(&format!("/api/v1/users/{id}")).await.expect(200);
    }
    app.account("anna").await;
}
