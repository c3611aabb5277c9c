//! Preferences of users.

use futures_util::future::join_all;
use serde_json::json;
use sqlx::PgPool;

use crate::stage::{MovieService, TestApp, assert_problem};

#[sqlx::test]
async fn preferences_have_defaults(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let user = app.get(&format!("/api/v1/users/{id}")).await.expect(200);
    let preferences = app.get(&format!("/api/v1/users/{id}/preferences")).await;
    assert_eq!(
        preferences.expect(200),
        json!({
            "id": 0,
            "user_id": id,
            "preferred_genres": [],
            "preferred_language": "en",
            "min_rating": 0.0,
            "updated_at": user["created_at"],
        })
    );
}

#[sqlx::test]
async fn set_preferences_replace_the_former_as_a_whole(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/preferences");
    let body = json!({
        "preferred_genres": ["Science Fiction", "Drama", " drama ", "DRAMA", "Ｄrama"],
        "preferred_language": "ko",
        "min_rating": 6.5,
    });
    let set = app.post(&path, body).await.expect(200);
    insta::assert_json_snapshot!(set, {".updated_at" => "[timestamp]"}, @r#"
    {
      "id": 1,
      "min_rating": 6.5,
      "preferred_genres": [
        "Science Fiction",
        "Drama"
      ],
      "preferred_language": "ko",
      "updated_at": "[timestamp]",
      "user_id": 1
    }
    "#);
    assert!(
        set["updated_at"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    assert_eq!(app.get(&path).await.expect(200), set);

    for body in [
        json!({}),
        json!({"preferred_genres": null, "preferred_language": null, "min_rating": null}),
        json!({"preferred_language": ""}),
        json!({"preferred_language": "  ", "min_rating": -0.0}),
    ] {
        let replaced = app.post(&path, body).await.expect(200);
        assert_eq!(replaced["id"], set["id"]);
        assert_eq!(replaced["preferred_genres"], json!([]));
        assert_eq!(replaced["preferred_language"], "en");
        assert_eq!(replaced["min_rating"].to_string(), "0.0");
        assert!(replaced["updated_at"].as_str() > set["updated_at"].as_str());
        let change = app.get(&format!("/internal/v1/users/{id}")).await;
        assert!(change.expect(200)["preferred_language"].is_null());
    }
}

#[sqlx::test]
async fn a_language_is_understood_in_any_case_and_with_a_region(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/preferences");
    for language in ["ko", "KO", " ko-KR ", "ko_kr", "Ko-Kore-KR"] {
        let body = json!({"preferred_language": language, "preferred_genres": ["드라마", "SF"]});
        let set = app.post(&path, body).await.expect(200);
        assert_eq!(set["preferred_language"], "ko", "{language}");
        assert_eq!(set["preferred_genres"], json!(["Drama", "Science Fiction"]));
        let change = app.get(&format!("/internal/v1/users/{id}")).await;
        assert_eq!(change.expect(200)["preferred_language"], "ko");
    }
}

/// A movie of drama and action, whose names are known in Thai.
fn film(id: i64) -> serde_json::Value {
    json!({"id": id, "version": 1, "title": "a film", "genres": [
        {"id": 18, "name": "Drama", "names": {"th": "หนังชีวิต"}}, {"id": 28, "name": "Action"},
    ]})
}

#[sqlx::test]
async fn genres_are_understood_and_stored_by_their_names_in_the_catalogue(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::new(&pool, &movies);
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/preferences");
    // No genre is known yet, so none is unknown.
    let set = app
        .post(&path, json!({"preferred_genres": ["Actoin", "SF"]}))
        .await;
    assert_eq!(
        set.expect(200)["preferred_genres"],
        json!(["Actoin", "Science Fiction"])
    );

    movies.tell("movie.synced", 603, film(603));
    app.knows_films(1).await;
    for (given, stored) in [
        (
            json!(["Sci-Fi", "SF", "science fiction", "공상과학"]),
            json!(["Science Fiction"]),
        ),
        (
            json!(["หนังชีวิต", "드라마", "dramas", "Drame"]),
            json!(["Drama"]),
        ),
        (json!(["romcom", "comedy"]), json!(["Romance", "Comedy"])),
        // No movie has it yet.
        (json!(["서부극"]), json!(["Western"])),
    ] {
        let set = app.post(&path, json!({"preferred_genres": given})).await;
        assert_eq!(set.expect(200)["preferred_genres"], stored, "{given}");
        let change = app.get(&format!("/internal/v1/users/{id}")).await;
        assert_eq!(change.expect(200)["preferred_genres"], stored);
    }
    let body = json!({"preferred_genres": ["Drama", "drama", "Actoin", "zzzz"]});
    let problem = app.post(&path, body).await.expect(400);
    assert_eq!(
        problem["errors"],
        json!([
            {"field": "preferred_genres[2]", "message": "unknown genre `Actoin`; did you mean `Action`?"},
            {"field": "preferred_genres[3]",
             "message": "unknown genre `zzzz`; GET /api/v1/genres lists those that exist"},
        ])
    );
    assert_eq!(
        app.get(&path).await.expect(200)["preferred_genres"],
        json!(["Western"])
    );

    let taste = format!("/api/v1/users/{id}/taste");
    let edit = json!({"edits": [{"kind": "genre", "name": "드라마", "score": 5}]});
    let taste_after = app.patch(&taste, edit).await.expect(200);
    assert_eq!(taste_after["genres"][0]["name"], "Drama");
    let edit = json!({"edits": [{"kind": "genre", "name": "Actoin", "score": 5}]});
    let problem = app.patch(&taste, edit).await.expect(400);
    assert_eq!(
        problem["errors"][0]["message"],
        "unknown genre `Actoin`; did you mean `Action`?"
    );
}

#[sqlx::test]
async fn a_language_can_be_stated_at_sign_up(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let sign_up = async |name: &str, language: &str| {
        let body = json!({"username": name, "email": format!("{name}@example.org"),
                          "preferred_language": language});
        app.post("/api/v1/users", body).await
    };
    let user = sign_up("minsu", "KO-kr").await.expect(201);
    let path = format!("/api/v1/users/{}/preferences", user["id"]);
    let preferences = app.get(&path).await.expect(200);
    assert_eq!(preferences["preferred_language"], "ko");
    assert_eq!(preferences["preferred_genres"], json!([]));
    let change = app.get(&format!("/internal/v1/users/{}", user["id"])).await;
    let change = change.expect(200);
    assert_eq!(
        (&change["version"], &change["preferred_language"]),
        (&json!(1), &json!("ko"))
    );
    let user = sign_up("anna", "").await.expect(201);
    let change = app.get(&format!("/internal/v1/users/{}", user["id"])).await;
    assert!(change.expect(200)["preferred_language"].is_null());
    let problem = sign_up("boris", "korean").await.expect(400);
    assert_eq!(problem["errors"][0]["field"], "preferred_language");
    assert_eq!(app.count("user_account").await, 2);
}

#[sqlx::test]
async fn preferences_of_an_unknown_user_are_not_stored(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let response = app.post("/api/v1/users/7/preferences", json!({})).await;
    assert_problem(&response, 404, "user not found");
    assert_eq!(app.count("preference").await, 0);
    assert_eq!(app.count("outbox").await, 0);
}

#[sqlx::test]
async fn an_invalid_preference_is_named_and_nothing_is_stored(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/preferences");
    let many: Vec<String> = (0..51).map(|number| format!("genre {number}")).collect();
    for (body, field) in [
        (json!({"preferred_genres": many}), "preferred_genres"),
        (
            json!({"preferred_genres": ["ok", ""]}),
            "preferred_genres[1]",
        ),
        (
            json!({"preferred_genres": ["x".repeat(51)]}),
            "preferred_genres[0]",
        ),
        (
            json!({"preferred_genres": ["a\u{0}b"]}),
            "preferred_genres[0]",
        ),
        (json!({"preferred_genres": [1]}), "preferred_genres[0]"),
        (json!({"preferred_genres": "Drama"}), "preferred_genres"),
        (json!({"preferred_language": "ko-"}), "preferred_language"),
        (json!({"preferred_language": "ko|ja"}), "preferred_language"),
        (
            json!({"preferred_language": "korean"}),
            "preferred_language",
        ),
        (json!({"preferred_language": "e"}), "preferred_language"),
        (json!({"preferred_language": "eng"}), "preferred_language"),
        (json!({"preferred_language": "é"}), "preferred_language"),
        (json!({"preferred_language": "e1"}), "preferred_language"),
        (json!({"preferred_language": 7}), "preferred_language"),
        (json!({"min_rating": -0.5}), "min_rating"),
        (json!({"min_rating": 10.01}), "min_rating"),
        (json!({"min_rating": "7"}), "min_rating"),
        (json!({"min_ratting": 7}), "min_ratting"),
    ] {
        let response = app.post(&path, body.clone()).await;
        assert_eq!(response.status.as_u16(), 400, "{body}: {}", response.text);
        assert_eq!(response.body["errors"][0]["field"], field, "{body}");
    }
    let body = json!({
        "preferred_genres": ["ok", "", "a\u{0}b", "x".repeat(51)],
        "preferred_language": "korean",
        "min_rating": 11,
    });
    let response = app.post(&path, body).await;
    let fields = assert_problem(
        &response,
        400,
        response.body["error"].as_str().expect("a text"),
    );
    assert_eq!(
        fields,
        [
            "preferred_genres[1]",
            "preferred_genres[2]",
            "preferred_genres[3]",
            "preferred_language",
            "min_rating"
        ]
    );
    assert_eq!(app.count("preference").await, 0);
    assert_eq!(app.count("outbox").await, 1);
    let limits = json!({"preferred_genres": many[..50], "min_rating": 10.0});
    let _ = app.post(&path, limits).await.expect(200);
}

#[sqlx::test]
async fn concurrent_changes_are_all_recorded(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let id = app.user("anna").await;
    let path = format!("/api/v1/users/{id}/preferences");
    let responses = join_all((0..16).map(|rating| {
        let (app, path) = (&app, &path);
        async move {
            app.post(path, json!({"min_rating": f64::from(rating) / 2.0}))
                .await
        }
    }))
    .await;
    for response in responses {
        let _ = response.expect(200);
    }
    let change = app
        .get(&format!("/internal/v1/users/{id}"))
        .await
        .expect(200);
    assert_eq!(change["version"], 17);
    assert_eq!(app.count("preference").await, 1);
    assert_eq!(app.count("outbox").await, 17);
}
