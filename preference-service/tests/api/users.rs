//! Sign-ups and accounts.

use chassis::testing::post;
use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{
    accounts::{INVALID, WRONG, refresh},
    stage::{PASSWORD, TestApp, assert_problem},
};

#[sqlx::test]
async fn a_user_can_sign_up_and_be_read(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = json!({"username": "  Anna \t", "email": " anna@example.org "});
    let user = app.post("/api/v1/users", body).await.expect(201);
    let created = user["created_at"].as_str().expect("a timestamp");
    assert!(created.ends_with('Z'), "{created}");
    insta::assert_json_snapshot!(user, {".created_at" => "[timestamp]"}, @r#"
    {
      "created_at": "[timestamp]",
      "email": "anna@example.org",
      "id": 1,
      "username": "Anna"
    }
    "#);

    let found = app.get(&format!("/api/v1/users/{}", user["id"])).await;
    assert_eq!(found.expect(200), user);
}

#[sqlx::test]
async fn an_invalid_id_is_refused_on_every_path(pool: PgPool) {
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
            let response = app.get(&format!("/api/v1/users/{id}{path}")).await;
            assert_problem(&response, 400, "invalid user ID");
        }
        for path in ["/preferences", "/interactions"] {
            let response = app
                .post(&format!("/api/v1/users/{id}{path}"), json!({}))
                .await;
            assert_problem(&response, 400, "invalid user ID");
        }
    }
}

#[sqlx::test]
async fn an_unknown_user_is_not_found(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    for id in ["1", "9223372036854775807"] {
        for path in ["", "/preferences", "/interactions"] {
            let response = app.get(&format!("/api/v1/users/{id}{path}")).await;
            assert_problem(&response, 404, "user not found");
        }
    }
}

#[sqlx::test]
async fn username_and_email_are_required(pool: PgPool) {
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
        (json!({"username": "a\u{0}"}), vec!["email"]),
        (json!({"email": "anna@example.org"}), vec!["username"]),
    ] {
        let response = app.post("/api/v1/users", body).await;
        let fields = assert_problem(&response, 400, "username and email are required");
        assert_eq!(fields, missing);
    }
    assert_eq!(app.count("user_account").await, 0);
}

#[sqlx::test]
async fn usernames_and_emails_are_unique_ignoring_case_and_unicode_form(pool: PgPool) {
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
        let response = app.post("/api/v1/users", body).await;
        let fields = assert_problem(&response, 409, &format!("{field} is already taken"));
        assert_eq!(fields, [field]);
        assert_eq!(response.body["type"], "/problems/conflict");
    }
    assert_eq!(app.count("user_account").await, 1);
    assert_eq!(app.count("outbox").await, 1);
}

#[sqlx::test]
async fn of_concurrent_sign_ups_with_one_username_one_succeeds(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let responses = join_all((0..32).map(|number| {
        let name = if number % 2 == 0 { "anna" } else { "ANNA" };
        let body = json!({"username": name, "email": format!("{number}@example.org")});
        let router = app.router.clone();
        async move { post(&router, "/api/v1/users", body).await }
    }))
    .await;
    let of = |status: u16| {
        responses
            .iter()
            .filter(|response| response.status.as_u16() == status)
            .count()
    };
    assert_eq!((of(201), of(409)), (1, 31));
    assert_eq!(app.count("user_account").await, 1);
}

#[sqlx::test]
async fn the_internal_profile_is_that_of_the_feed(pool: PgPool) {
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
    let timestamp = |value: &Value| {
        let text = value.as_str().expect("a timestamp");
        chrono::DateTime::parse_from_rfc3339(text).expect("RFC 3339")
    };
    assert_eq!(
        timestamp(&profile["created_at"]),
        timestamp(&user["created_at"])
    );

    let body = json!({"preferred_genres": ["Drama"], "preferred_language": "ko", "min_rating": 7});
    let preferences = format!("/api/v1/users/{id}/preferences");
    let _ = app.post(&preferences, body).await.expect(200);
    let profile = app.get(&path).await.expect(200);
    assert_eq!(profile["version"], 2);
    assert_eq!(profile["preferred_genres"], json!(["Drama"]));
    assert_eq!(profile["preferred_language"], "ko");
    assert_eq!(profile["min_rating"].as_f64(), Some(7.0));

    let response = app.get("/internal/v1/users/999").await;
    assert_problem(&response, 404, "user not found");
    let response = app.get("/internal/v1/users/x").await;
    assert_problem(&response, 400, "invalid user ID");
}

#[sqlx::test]
async fn only_a_salted_hash_of_a_password_is_stored(pool: PgPool) {
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
    assert_ne!(hashes[0], hashes[1], "each hash has its own salt");
}

#[sqlx::test]
async fn a_user_can_update_username_email_and_password(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.account("anna").await;
    app.account("bea").await;
    let path = format!("/api/v1/users/{id}");
    let change = |mut body: Value| {
        body["current_password"] = json!(PASSWORD);
        app.send("PATCH", &path, body, Some((id, "user")), None)
    };
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
        let response = change(body).await;
        assert_eq!(response.status.as_u16(), 400);
        assert_eq!(response.body["errors"][0]["field"], field);
    }
    let unknown = app.send(
        "PATCH",
        "/api/v1/users/999",
        json!({"username": "x"}),
        None,
        None,
    );
    assert_problem(&unknown.await, 404, "user not found");
    // The feed has each change, and nothing that identifies the user.
    let profile = app
        .get(&format!("/internal/v1/users/{id}"))
        .await
        .expect(200);
    assert_eq!(profile["version"], 2);
    assert!(profile["username"].is_null() && profile["email"].is_null());
}

#[sqlx::test]
async fn a_new_password_requires_the_present_one_and_ends_all_logins(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.account("anna").await;
    let login = app.log_in("anna", PASSWORD).await.expect(200);
    let path = format!("/api/v1/users/{id}");
    let change = |body: Value, by| app.send("PATCH", &path, body, Some(by), None);
    let new = "another password of mine";
    for present in [Value::Null, json!("wrong")] {
        let body = json!({"password": new, "current_password": present});
        let response = change(body, (id, "user")).await;
        let fields = assert_problem(&response, 403, "the present password is wrong");
        assert_eq!(fields, ["current_password"]);
    }
    // An administrator needs the present password for their own account.
    let response = change(json!({"password": new}), (id, "admin")).await;
    assert_problem(&response, 403, "the present password is wrong");
    let body = json!({"password": new, "current_password": PASSWORD});
    change(body, (id, "user")).await.expect(200);
    assert_problem(&refresh(&app, &login["refresh_token"]).await, 401, INVALID);
    assert_problem(&app.log_in("anna", PASSWORD).await, 401, WRONG);
    app.log_in("anna", new).await.expect(200);

    // Not for another user, nor for a user without a password.
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
