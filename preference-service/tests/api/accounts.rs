//! Logging in, staying logged in, logging out; what tokens say and what verifies them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::{
    Settings,
    testing::{RedisServer, TestResponse, post},
};
use futures_util::future::join_all;
use preference_service::{config::DEFAULTS, service::signing::SigningKeys};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{MovieService, PASSWORD, TestApp, assert_problem};

const WRONG: &str = "wrong username or password";
const INVALID: &str = "invalid refresh token";

async fn refresh(app: &TestApp, token: &Value) -> TestResponse {
    let body = json!({"refresh_token": token});
    app.post("/api/v1/auth/refresh", body).await
}

/// The signing keys as a process of its own has them.
fn signing_keys(pool: &PgPool, settings: &[(&str, &str)]) -> SigningKeys {
    let environment = settings
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let config = Settings::merge(DEFAULTS, &environment).and_then(|settings| settings.read());
    SigningKeys::new(pool.clone(), &config.expect("settings")).expect("keys")
}

/// Head and claims of an access token, verified with the published key that it names.
async fn verified(app: &TestApp, token: &Value) -> (Value, Value) {
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
async fn who_logs_in_gets_tokens_that_the_published_keys_verify(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.account("Anna").await;
    for name in [
        "Anna",
        " aNNA ",
        "anna@example.org",
        "ANNA@EXAMPLE.ORG",
        "ＡＮＮＡ",
    ] {
        let answer = app.log_in(name, PASSWORD).await;
        assert_eq!(answer.headers["cache-control"], "no-store");
        let login = answer.expect(200);
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
async fn a_wrong_name_is_answered_as_a_wrong_password(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.account("anna").await;
    app.user("nopassword").await;
    let mut answers = Vec::new();
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
        let mut answer = app.log_in(name, password).await;
        assert_problem(&answer, 401, WRONG);
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        answer.body["request_id"] = Value::Null;
        answers.push(answer.body);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    for body in [json!({"username": "anna"}), json!({"password": PASSWORD})] {
        let answer = app.post("/api/v1/auth/token", body).await;
        assert_eq!(answer.status.as_u16(), 400);
    }
}

#[sqlx::test]
async fn an_address_is_its_owners_even_where_another_took_it_for_a_name(pool: PgPool) {
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
async fn the_same_characters_are_the_same_password(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = json!({"username": "anna", "email": "a@b", "password": "cafe\u{301} cr\u{e8}me"});
    app.post("/api/v1/users", body).await.expect(201);
    app.log_in("anna", "caf\u{e9} cre\u{300}me")
        .await
        .expect(200);
}

#[sqlx::test]
async fn a_refresh_token_is_good_for_one_use_and_a_second_ends_the_login(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.account("anna").await;
    let other = app.log_in("anna", PASSWORD).await.expect(200);
    let first = app.log_in("anna", PASSWORD).await.expect(200);
    let answer = refresh(&app, &first["refresh_token"]).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let second = answer.expect(200);
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
async fn of_many_who_show_one_refresh_token_at_once_one_wins(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.account("anna").await;
    for _ in 0..5 {
        let login = app.log_in("anna", PASSWORD).await.expect(200);
        let body = json!({"refresh_token": login["refresh_token"]});
        let answers = join_all((0..8).map(|_| {
            let (router, body) = (app.router.clone(), body.clone());
            async move { post(&router, "/api/v1/auth/refresh", body).await }
        }))
        .await;
        let won: Vec<&TestResponse> = answers
            .iter()
            .filter(|answer| answer.status == 200)
            .collect();
        assert_eq!(won.len(), 1);
        // The others were replays, so what the one won is void as well.
        let next = refresh(&app, &won[0].body["refresh_token"]).await;
        assert_problem(&next, 401, INVALID);
    }
}

#[sqlx::test]
async fn a_login_that_was_not_used_for_long_is_over(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::with(&pool, &movies, &[("REFRESH_TTL_SECONDS", "0")]);
    app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    let late = refresh(&app, &login["refresh_token"]).await;
    assert_problem(&late, 401, INVALID);
}

#[sqlx::test]
async fn who_logs_out_is_out_and_old_logins_make_room(pool: PgPool) {
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
        let answer = app.post("/api/v1/auth/logout", body).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
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
async fn who_i_am_is_who_the_gateway_let_in(pool: PgPool) {
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
async fn attempts_are_limited_for_each_name_and_each_address(pool: PgPool) {
    let redis = RedisServer::start();
    let movies = MovieService::start().await;
    let url = redis.url();
    // In Redis, where all processes count together, and without it.
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
            let answer = post(router, "/api/v1/auth/token", body).await;
            assert_problem(&answer, 401, WRONG);
        }
        // Whether there is such a user or not, and whether the password is right or not.
        let answer = app.log_in(&name.to_uppercase(), PASSWORD).await;
        assert_problem(&answer, 429, "too many attempts");
        assert_eq!(answer.body["type"], "/problems/rate-limited");
        let seconds = answer.body["retry_after"].as_u64().expect("seconds");
        assert!((1..=60).contains(&seconds), "{seconds}");
        assert_eq!(answer.headers["retry-after"], seconds.to_string().as_str());
        let nobody = format!("nobody{}", url.len());
        for _ in 0..3 {
            assert_problem(&app.log_in(&nobody, "wrong").await, 401, WRONG);
        }
        let answer = app.log_in(&nobody, "wrong").await;
        assert_problem(&answer, 429, "too many attempts");

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
async fn a_success_forgives_the_attempts_before_it(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::with(&pool, &movies, &[("LOGIN_ATTEMPTS_PER_ACCOUNT", "2")]);
    app.account("anna").await;
    for _ in 0..3 {
        assert_problem(&app.log_in("anna", "wrong").await, 401, WRONG);
        app.log_in("anna", PASSWORD).await.expect(200);
    }
}

#[sqlx::test]
async fn sign_ups_are_limited_for_each_address_but_not_for_an_administrator(pool: PgPool) {
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
async fn a_password_hashed_with_other_parameters_is_hashed_anew(pool: PgPool) {
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
async fn when_too_many_passwords_are_checked_one_more_is_told_to_come_again(pool: PgPool) {
    let movies = MovieService::start().await;
    let settings = [
        ("ARGON2_AT_ONCE", "1"),
        ("ARGON2_WAIT_MS", "0"),
        ("ARGON2_MEMORY_KIB", "65536"),
        ("LOGIN_ATTEMPTS_PER_ACCOUNT", "1000"),
    ];
    let app = TestApp::with(&pool, &movies, &settings);
    let answers = join_all((0..8).map(|_| app.log_in("nobody", PASSWORD))).await;
    let busy = answers.iter().find(|answer| answer.status == 503);
    let busy = busy.expect("one that found no room");
    assert_problem(busy, 503, "too many passwords are being checked");
    assert_eq!(busy.headers["retry-after"], "1");
    let refused = answers.iter().filter(|answer| answer.status == 401);
    assert_eq!(
        refused.count() + answers.iter().filter(|answer| answer.status == 503).count(),
        8
    );
}

#[sqlx::test]
async fn a_user_changes_name_address_and_password(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.account("anna").await;
    app.account("bea").await;
    let path = format!("/api/v1/users/{id}");
    let change = |body: Value| app.send("PATCH", &path, body, Some((id, "user")), None);
    let user = change(json!({"username": " Änna ", "email": "a@c"}))
        .await
        .expect(200);
    assert_eq!(
        (&user["username"], &user["email"]),
        (&json!("Änna"), &json!("a@c"))
    );
    assert_eq!(app.get(&path).await.expect(200), user);
    assert_eq!(change(json!({})).await.expect(200), user);
    app.log_in("a@c", PASSWORD).await.expect(200);
    assert_problem(&app.log_in("anna", PASSWORD).await, 401, WRONG);
    for (body, error) in [
        (json!({"username": "BEA"}), "username is already taken"),
        (
            json!({"email": "Bea@example.org"}),
            "email is already taken",
        ),
    ] {
        assert_problem(&change(body).await, 409, error);
    }
    for (body, field) in [
        (json!({"username": " "}), "username"),
        (json!({"email": "none"}), "email"),
        (json!({"password": "short"}), "password"),
    ] {
        let answer = change(body).await;
        assert_eq!(answer.status.as_u16(), 400);
        assert_eq!(answer.body["errors"][0]["field"], field);
    }
    let nobody = app.send(
        "PATCH",
        "/api/v1/users/999",
        json!({"username": "x"}),
        None,
        None,
    );
    assert_problem(&nobody.await, 404, "user not found");
    // The feed hears of each change, and of nothing that identifies anybody.
    let profile = app
        .get(&format!("/internal/v1/users/{id}"))
        .await
        .expect(200);
    assert_eq!(profile["version"], 2);
    assert!(profile["username"].is_null() && profile["email"].is_null());
}

#[sqlx::test]
async fn a_new_password_takes_the_present_one_and_ends_all_logins(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    let path = format!("/api/v1/users/{id}");
    let change = |body: Value, by| app.send("PATCH", &path, body, Some(by), None);
    let new = "another password of mine";
    for present in [Value::Null, json!("wrong")] {
        let body = json!({"password": new, "current_password": present});
        let answer = change(body, (id, "user")).await;
        let fields = assert_problem(&answer, 403, "the present password is wrong");
        assert_eq!(fields, ["current_password"]);
    }
    // An administrator is asked for their own as well.
    let answer = change(json!({"password": new}), (id, "admin")).await;
    assert_problem(&answer, 403, "the present password is wrong");
    let body = json!({"password": new, "current_password": PASSWORD});
    change(body, (id, "user")).await.expect(200);
    assert_problem(&refresh(&app, &login["refresh_token"]).await, 401, INVALID);
    assert_problem(&app.log_in("anna", PASSWORD).await, 401, WRONG);
    app.log_in("anna", new).await.expect(200);

    // Somebody else's needs none, and who has none needs none.
    change(json!({"password": PASSWORD}), (id + 100, "admin"))
        .await
        .expect(200);
    app.log_in("anna", PASSWORD).await.expect(200);
    let bare = app.user("bea").await;
    let path = format!("/api/v1/users/{bare}");
    app.send(
        "PATCH",
        &path,
        json!({"password": PASSWORD}),
        Some((bare, "user")),
        None,
    )
    .await
    .expect(200);
    app.log_in("bea", PASSWORD).await.expect(200);
}

#[sqlx::test]
async fn a_new_signing_key_is_published_before_it_signs_and_the_old_one_after(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::new(&pool, &movies);
    app.account("anna").await;
    let answer = app.get("/.well-known/jwks.json").await;
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    assert!(answer.headers.contains_key("etag"));
    let first = answer.expect(200)["keys"][0]["kid"].clone();
    let kids = async |app: &TestApp| -> Vec<Value> {
        let keys = app.get("/.well-known/jwks.json").await.expect(200);
        let keys = keys["keys"].as_array().expect("keys").clone();
        keys.into_iter().map(|key| key["kid"].clone()).collect()
    };
    let signs_with = async |app: &TestApp| -> Value {
        let login = app.log_in("anna", PASSWORD).await.expect(200);
        verified(app, &login["access_token"]).await.0["kid"].clone()
    };
    assert_eq!(signs_with(&app).await, first);

    let rotate = async |delay: &str| {
        let keys = signing_keys(&pool, &[("SIGNING_KEY_DELAY_SECONDS", delay)]);
        keys.rotate().await.expect("a rotation");
    };
    rotate("3600").await;
    // A process that has just started reads the keys as they are.
    let app = TestApp::new(&pool, &movies);
    assert_eq!(kids(&app).await.len(), 2);
    assert_eq!(
        signs_with(&app).await,
        first,
        "the new one is not known everywhere yet"
    );
    rotate("0").await;
    let app = TestApp::new(&pool, &movies);
    assert_eq!(kids(&app).await.len(), 3);
    let second = signs_with(&app).await;
    assert_ne!(second, first);
    assert!(
        kids(&app).await.contains(&first),
        "its tokens are still about"
    );
    // Once they have expired, it is no longer published.
    sqlx::query("update signing_key set verifies_until = now() where kid = $1")
        .bind(first.as_str())
        .execute(&pool)
        .await
        .expect("an update");
    let app = TestApp::new(&pool, &movies);
    assert!(!kids(&app).await.contains(&first));
    rotate("0").await;
    assert_eq!(app.count("signing_key").await, 3);
}

#[sqlx::test]
async fn many_processes_that_start_at_once_make_one_key(pool: PgPool) {
    let all: Vec<SigningKeys> = (0..8).map(|_| signing_keys(&pool, &[])).collect();
    let sets = join_all(all.iter().map(SigningKeys::published)).await;
    let sets: Vec<Value> = sets
        .into_iter()
        .map(|set| json!(set.expect("keys")))
        .collect();
    assert_eq!(sets[0].as_array().map(Vec::len), Some(1));
    assert!(sets.iter().all(|set| *set == sets[0]), "{sets:?}");
}

#[sqlx::test]
async fn private_keys_are_encrypted_where_there_is_a_secret(pool: PgPool) {
    let movies = MovieService::start().await;
    let secret = "a secret of the tests, which is long enough";
    let app = TestApp::with(&pool, &movies, &[("SIGNING_KEY_SECRET", secret)]);
    app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    verified(&app, &login["access_token"]).await;
    let (length, encrypted): (i32, bool) =
        sqlx::query_as("select octet_length(private_key), encrypted from signing_key")
            .fetch_one(&pool)
            .await
            .expect("a key");
    assert_eq!((length, encrypted), (12 + 32 + 16, true));
    for wrong in ["", "another secret that is as long as it must be"] {
        let app = TestApp::with(&pool, &movies, &[("SIGNING_KEY_SECRET", wrong)]);
        let answer = app.get("/.well-known/jwks.json").await;
        assert_problem(&answer, 500, "internal error");
    }
}
