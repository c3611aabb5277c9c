//! Invalid requests: each is refused with a clear problem, and nothing is stored.

use axum::{body::Body, http::Request};
use chassis::testing::send;
use serde_json::json;
use sqlx::PgPool;

use crate::stage::TestApp;

#[sqlx::test]
async fn an_invalid_body_is_refused_with_its_field(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let user = app.user("anna").await;
    let users = "/api/v1/users".to_owned();
    let preferences = format!("/api/v1/users/{user}/preferences");
    let interactions = format!("/api/v1/users/{user}/interactions");
    let long = "a".repeat(101);
    let long_name = format!(r#"{{"username":"{long}","email":"a@b"}}"#);
    let long_address = format!(r#"{{"username":"a","email":"{}@b"}}"#, "a".repeat(254));
    // Each of these characters stands for a phrase.
    let phrases = format!(
        r#"{{"username":"{}","email":"a@b"}}"#,
        "\u{fdfa}".repeat(100)
    );
    let address = "\u{3300}".repeat(200);
    let address_of_phrases = format!(r#"{{"username":"a","email":"{address}@b"}}"#);
    let deep = format!(r#"{{"movie_id":{}}}"#, "[".repeat(100_000));
    for (path, body, field) in [
        (&users, "", None),
        (&users, "{", None),
        (&users, "null", None),
        (&users, "\u{feff}{}", None),
        (&users, r#"["x","x@y"]"#, None),
        (&users, r#""x""#, None),
        (&users, r#"{"username":"x","email":"x@y"} {}"#, None),
        (&users, r#"{"username":"\ud800","email":"x@y"}"#, None),
        (
            &users,
            r#"{"username":"x","username":"y","email":"x@y"}"#,
            None,
        ),
        (&users, r#"{"username":1,"email":"x@y"}"#, Some("username")),
        (
            &users,
            r#"{"username":["x"],"email":"x@y"}"#,
            Some("username"),
        ),
        (
            &users,
            r#"{"username":"x\u0000","email":"x@y"}"#,
            Some("username"),
        ),
        (
            &users,
            r#"{"username":"x\u202ey","email":"x@y"}"#,
            Some("username"),
        ),
        (
            &users,
            r#"{"username":"x","email":"x@y\u0000"}"#,
            Some("email"),
        ),
        (&users, r#"{"username":"x","email":"x"}"#, Some("email")),
        (&users, r#"{"username":"x","email":"x@y@z"}"#, Some("email")),
        (&users, r#"{"username":"x","email":"x y@z"}"#, Some("email")),
        (&users, r#"{"username":"x","email":"@"}"#, Some("email")),
        (&users, r#"{"username":"x","email":"x@"}"#, Some("email")),
        (&users, r#"{"username":"x","email":"@y"}"#, Some("email")),
        (
            &users,
            "{\"username\":\"x\",\"email\":\"x@y\u{200b}\"}",
            Some("email"),
        ),
        (&users, &phrases, Some("username")),
        (&users, &address_of_phrases, Some("email")),
        (&users, &long_name, Some("username")),
        (&users, &long_address, Some("email")),
        (
            &users,
            r#"{"username":"x","email":"x@y","password":"1234567"}"#,
            Some("password"),
        ),
        (&users, r#"{"usernam":"x","email":"x@y"}"#, Some("usernam")),
        (&preferences, "[]", None),
        (&preferences, r#"{"min_rating":NaN}"#, None),
        (&preferences, r#"{"min_rating":1e999}"#, None),
        (&preferences, r#"{"genres":[]}"#, Some("genres")),
        (&interactions, r#"[603,"like"]"#, None),
        (&interactions, &deep, None),
        (
            &interactions,
            r#"{"movie_id":603,"interaction_type":null}"#,
            Some("interaction_type"),
        ),
        (
            &interactions,
            r#"{"movie_id":603,"interaction_type":7}"#,
            Some("interaction_type"),
        ),
        (
            &interactions,
            r#"{"movie_id":603,"interaction_type":"like\u0000"}"#,
            Some("interaction_type"),
        ),
        (
            &interactions,
            r#"{"movie_id":{"a":1},"interaction_type":"like"}"#,
            Some("movie_id"),
        ),
        (
            &interactions,
            r#"{"movie_id":603,"interaction_type":"like","rating":5}"#,
            Some("rating"),
        ),
    ] {
        let request = Request::post(path).body(Body::from(body.to_owned()));
        let response = send(&app.router, request.expect("a request")).await;
        let shown: String = body.chars().take(80).collect();
        assert_eq!(response.status.as_u16(), 400, "{shown}: {}", response.text);
        assert_eq!(response.headers["content-type"], "application/problem+json");
        if let Some(field) = field {
            assert_eq!(response.body["errors"][0]["field"], field, "{shown}");
        }
    }
    assert_eq!(app.count("user_account").await, 1);
    assert_eq!(app.count("preference").await, 0);
    assert_eq!(app.count("interaction").await, 0);
    assert_eq!(app.count("outbox").await, 1);
    // Limits count characters and are inclusive.
    let longest = json!({"username": "é".repeat(100), "email": format!("{}@b", "a".repeat(253))});
    let _ = app.post(&users, longest).await.expect(201);
}

#[sqlx::test]
async fn a_body_is_limited_to_one_mebibyte(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = |size: usize| {
        let start = r#"{"username":"anna","email":"anna@example.org""#;
        format!("{start}{}}}", " ".repeat(size - start.len() - 1))
    };
    for (size, status) in [(1024 * 1024 + 1, 413), (1024 * 1024, 201)] {
        let request = Request::post("/api/v1/users").body(Body::from(body(size)));
        let response = send(&app.router, request.expect("a request")).await;
        assert_eq!(response.status.as_u16(), status, "{}", response.text);
    }
}

#[sqlx::test]
async fn invalid_utf8_is_refused(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = b"{\"username\":\"\xff\xfe\",\"email\":\"a@b\"}".to_vec();
    let request = Request::post("/api/v1/users").body(Body::from(body));
    let response = send(&app.router, request.expect("a request")).await;
    assert_eq!(response.status.as_u16(), 400, "{}", response.text);
    assert_eq!(app.count("user_account").await, 0);
}

#[sqlx::test]
async fn the_content_type_is_ignored(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let request = Request::post("/api/v1/users")
        .header("content-type", "text/plain")
        .body(Body::from(r#"{"username":"anna","email":"a@b"}"#));
    let response = send(&app.router, request.expect("a request")).await;
    let _ = response.expect(201);
}

#[sqlx::test]
async fn an_unknown_path_or_method_is_a_problem(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let response = app.get("/api/v1/nothing").await;
    crate::stage::assert_problem(&response, 404, "Not Found");
    let response = app.get("/api/v1/users").await;
    crate::stage::assert_problem(&response, 405, "Method Not Allowed");
    assert_eq!(response.headers["allow"], "POST");
}
