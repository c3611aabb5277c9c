//! Signing up, and who somebody is.

use chassis::testing::post;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{TestApp, assert_problem};

#[sqlx::test]
async fn who_signs_up_is_found_again(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = json!({"username": "  Anna ", "email": "anna@example.org"});
    let user = app.post("/api/v1/users", body).await.expect(201);
    assert_eq!(user["username"], "Anna");
    assert_eq!(user["email"], "anna@example.org");
    assert!(user["id"].as_i64().is_some_and(|id| id > 0));
    let created = user["created_at"].as_str().expect("an instant");
    assert!(created.ends_with('Z'), "{created}");
    assert_eq!(user.as_object().map(|user| user.len()), Some(4));

    let found = app.get(&format!("/api/v1/users/{}", user["id"])).await;
    assert_eq!(found.expect(200), user);
}

#[sqlx::test]
async fn an_id_that_cannot_be_one_is_refused_on_every_path(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    for id in [
        "0",
        "-1",
        "abc",
        "1.5",
        "+1",
        "%201",
        "9223372036854775808",
        "99999999999999999999999999",
    ] {
        for path in ["", "/preferences", "/interactions"] {
            let answer = app.get(&format!("/api/v1/users/{id}{path}")).await;
            assert_problem(&answer, 400, "invalid user ID");
        }
        for path in ["/preferences", "/interactions"] {
            let answer = app
                .post(&format!("/api/v1/users/{id}{path}"), json!({}))
                .await;
            assert_problem(&answer, 400, "invalid user ID");
        }
    }
}

#[sqlx::test]
async fn nobody_is_not_found(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    for id in ["1", "9223372036854775807"] {
        for path in ["", "/preferences", "/interactions"] {
            let answer = app.get(&format!("/api/v1/users/{id}{path}")).await;
            assert_problem(&answer, 404, "user not found");
        }
    }
}

#[sqlx::test]
async fn name_and_address_are_required(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    for (body, missing) in [
        (json!({}), vec!["username", "email"]),
        (
            json!({"username": "", "email": " "}),
            vec!["username", "email"],
        ),
        (
            json!({"username": null, "email": null}),
            vec!["username", "email"],
        ),
        (json!({"username": "anna"}), vec!["email"]),
        (json!({"email": "anna@example.org"}), vec!["username"]),
    ] {
        let answer = app.post("/api/v1/users", body).await;
        let fields = assert_problem(&answer, 400, "username and email are required");
        assert_eq!(fields, missing);
    }
    assert_eq!(app.count("user_account").await, 0);
}

#[sqlx::test]
async fn a_taken_name_or_address_is_told_apart_from_case_and_form(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = json!({"username": "Éva ﬁlm", "email": "eva@example.org"});
    let _ = app.post("/api/v1/users", body).await.expect(201);
    for (username, email, field) in [
        ("Éva ﬁlm", "other@example.org", "username"),
        ("E\u{301}VA FILM", "other@example.org", "username"),
        ("other", "EVA@Example.ORG", "email"),
        ("other", "ｅva@example.org", "email"),
    ] {
        let body = json!({"username": username, "email": email});
        let answer = app.post("/api/v1/users", body).await;
        let fields = assert_problem(&answer, 409, &format!("{field} is already taken"));
        assert_eq!(fields, [field]);
        assert_eq!(answer.body["type"], "/problems/conflict");
    }
    assert_eq!(app.count("user_account").await, 1);
    assert_eq!(app.count("outbox").await, 1);
}

#[sqlx::test]
async fn of_many_who_sign_up_under_one_name_at_once_one_gets_it(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let answers = join_all((0..32).map(|number| {
        let name = if number % 2 == 0 { "anna" } else { "ANNA" };
        let body = json!({"username": name, "email": format!("{number}@example.org")});
        let router = app.router.clone();
        async move { post(&router, "/api/v1/users", body).await }
    }))
    .await;
    let of = |status: u16| {
        answers
            .iter()
            .filter(|answer| answer.status.as_u16() == status)
            .count()
    };
    assert_eq!((of(201), of(409)), (1, 31));
    assert_eq!(app.count("user_account").await, 1);
}

#[sqlx::test]
async fn other_services_see_a_profile_as_the_feed_tells_it(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/internal/v1/users/{id}");
    let profile = app.get(&path).await.expect(200);
    assert_eq!(profile["user_id"], id);
    assert_eq!(profile["version"], 1);
    assert_eq!(profile["preferred_genres"], json!([]));
    assert_eq!(profile["preferred_language"], Value::Null);
    assert_eq!(profile["min_rating"].as_f64(), Some(0.0));
    let user = app.get(&format!("/api/v1/users/{id}")).await.expect(200);
    let instant = |value: &Value| {
        let text = value.as_str().expect("an instant");
        chrono::DateTime::parse_from_rfc3339(text).expect("RFC 3339")
    };
    assert_eq!(
        instant(&profile["created_at"]),
        instant(&user["created_at"])
    );

    let body = json!({"preferred_genres": ["Drama"], "preferred_language": "ko", "min_rating": 7});
    let preferences = format!("/api/v1/users/{id}/preferences");
    let _ = app.post(&preferences, body).await.expect(200);
    let profile = app.get(&path).await.expect(200);
    assert_eq!(profile["version"], 2);
    assert_eq!(profile["preferred_genres"], json!(["Drama"]));
    assert_eq!(profile["preferred_language"], "ko");
    assert_eq!(profile["min_rating"].as_f64(), Some(7.0));

    let answer = app.get("/internal/v1/users/999").await;
    assert_problem(&answer, 404, "user not found");
    let answer = app.get("/internal/v1/users/x").await;
    assert_problem(&answer, 400, "invalid user ID");
}

#[sqlx::test]
async fn of_a_password_only_a_hash_is_kept(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    for (name, password) in [
        ("anna", "correct horse battery"),
        ("bea", "correct horse battery"),
    ] {
        let body = json!({"username": name, "email": format!("{name}@b"), "password": password});
        let user = app.post("/api/v1/users", body).await.expect(201);
        assert_eq!(user.as_object().map(|user| user.len()), Some(4), "{user}");
    }
    let hashes: Vec<String> = sqlx::query_scalar("select password_hash from user_account")
        .fetch_all(&pool)
        .await
        .expect("hashes");
    assert!(
        hashes.iter().all(|hash| hash.starts_with("$argon2id$")),
        "{hashes:?}"
    );
    assert_ne!(hashes[0], hashes[1], "each has a salt of its own");
}
