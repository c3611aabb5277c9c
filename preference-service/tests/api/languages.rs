//! Own lists with their movies, and the languages of responses.

use std::time::{Duration, Instant};

use axum::{body::Body, http::Request};
use chassis::testing::{TestResponse, eventually};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{Mood, MovieService, TestApp, assert_problem};

const LISTS: [&str; 4] = ["bookmarks", "reactions", "ratings", "watch"];

/// The service, and a user whose lists all have the movies 603 and 604, the latter first.
async fn with_lists(pool: &PgPool) -> (TestApp, MovieService, i64) {
    let (app, movies) = TestApp::beside_movies(pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    for movie in [603, 604] {
        for (list, body) in [
            ("bookmarks", Value::Null),
            ("reactions", json!({"reaction": "like"})),
            ("ratings", json!({"rating": 4})),
            (
                "watch",
                json!({"position_seconds": movie - 597, "duration_seconds": 100}),
            ),
        ] {
            let path = format!("/api/v1/users/{user}/{list}/{movie}");
            let _ = app.put(&path, body).await.expect(200);
        }
    }
    (app, movies, user)
}

async fn get(app: &TestApp, path: &str, accepted: &str) -> TestResponse {
    let request = Request::get(path).header("accept-language", accepted);
    let request = request.body(Body::empty()).expect("a request");
    chassis::testing::send(&app.router, request).await
}

/// The `Content-Language` of `response`, empty if it has none; it varies by the client's language.
fn language(response: &TestResponse) -> &str {
    let mut vary = response.headers.get_all("vary").iter();
    assert!(vary.any(|name| name == "Accept-Language"));
    let language = response.headers.get("content-language");
    language.map_or("", |language| language.to_str().expect("text"))
}

#[sqlx::test]
async fn own_lists_have_titles_posters_and_progress_by_one_request_a_page(pool: PgPool) {
    let (app, movies, user) = with_lists(&pool).await;
    for list in LISTS {
        let response = app.get(&format!("/api/v1/users/{user}/{list}")).await;
        assert_eq!(language(&response), "en");
        let body = response.expect(200);
        let [first, second] = [0, 1].map(|place| &body[list][place]);
        assert_eq!(first["movie_id"], 604, "{list}");
        assert_eq!(first["title"], "The Matrix Reloaded");
        assert_eq!(first["poster_url"], "https://image.test/604.jpg");
        assert_eq!(first["progress"], 0.07);
        assert_eq!(second["title"], "The Matrix");
        assert_eq!(second["progress"], 0.06);
        assert_eq!(
            movies.take_selections(),
            [(vec![604, 603], String::new())],
            "{list}"
        );
    }
    // Marked as watched without a position, removed from the catalogue, never watched.
    app.interact(user, "watched", 603).await;
    let watch = format!("/api/v1/users/{user}/watch");
    assert_eq!(app.delete(&format!("{watch}/604")).await.status, 204);
    movies.remove(604, 2);
    let bookmarks = app.get(&format!("/api/v1/users/{user}/bookmarks")).await;
    let bookmarks = bookmarks.expect(200);
    assert_eq!(bookmarks["bookmarks"][0]["title"], Value::Null);
    assert_eq!(bookmarks["bookmarks"][0]["progress"], Value::Null);
    assert_eq!(bookmarks["bookmarks"][1]["progress"], 0.06);
    // A list without items needs no request.
    movies.take_selections();
    let other = app.user("boris").await;
    let empty = app.get(&format!("/api/v1/users/{other}/bookmarks")).await;
    assert_eq!(language(&empty), "");
    assert_eq!(movies.take_selections(), []);
}

#[sqlx::test]
async fn own_lists_are_in_the_language_of_the_request_or_of_the_user(pool: PgPool) {
    let (app, movies, user) = with_lists(&pool).await;
    let preferences = format!("/api/v1/users/{user}/preferences");
    let path = format!("/api/v1/users/{user}/watch");
    let korean = "The Matrix Reloaded (ko)";
    for (preferred, accepted, query, asked, title) in [
        ("", "", "", "", "The Matrix Reloaded"),
        ("", "ko-KR,ko;q=0.9", "", "ko-KR", korean),
        ("", "en", "?language=KO", "ko", korean),
        ("ko-KR", "", "", "ko", korean),
        ("ko", "en-US", "", "en-US", "The Matrix Reloaded"),
        ("ko", "ko", "?language=ja", "ja", "The Matrix Reloaded"),
        ("en", "", "", "en", "The Matrix Reloaded"),
    ] {
        let _ = app
            .post(&preferences, json!({"preferred_language": preferred}))
            .await
            .expect(200);
        let response = get(&app, &format!("{path}{query}"), accepted).await;
        let shown = if title == korean { asked } else { "en" };
        assert_eq!(language(&response), shown, "{preferred} {accepted} {query}");
        assert_eq!(response.expect(200)["watch"][0]["title"], title);
        assert_eq!(movies.take_selections()[0].1, asked);
    }
    let page = app.get(&format!("{path}?limit=1&language=ko_KR")).await;
    let link = page.headers["link"].to_str().expect("text");
    assert!(link.contains("language=ko-KR"), "{link}");
    let problem = app.get(&format!("{path}?language=korean")).await;
    assert_eq!(problem.expect(400)["errors"][0]["field"], "language");
}

#[sqlx::test]
async fn own_lists_are_served_without_titles_while_movie_service_is_away(pool: PgPool) {
    let (app, movies, user) = with_lists(&pool).await;
    for mood in [Mood::Failing, Mood::Silent] {
        movies.mood(mood);
        for list in LISTS {
            let started = Instant::now();
            let response = app.get(&format!("/api/v1/users/{user}/{list}")).await;
            assert!(started.elapsed() < Duration::from_secs(4));
            assert_eq!(language(&response), "");
            let body = response.expect(200);
            let first = &body[list][0];
            assert_eq!(first["movie_id"], 604);
            assert_eq!(first["title"], Value::Null);
            assert_eq!(first["poster_url"], Value::Null);
            assert_eq!(first["progress"], 0.07);
        }
    }
}

#[sqlx::test]
async fn charts_are_in_the_display_language(pool: PgPool) {
    let (app, movies, _) = with_lists(&pool).await;
    let path = "/api/v1/charts/top?metric=bookmarks&limit=1";
    eventually("the chart", async || {
        let chart = app.get(path).await.expect(200);
        chart["data"][0]["movie"]["title"] == "The Matrix"
    })
    .await;
    let korean = get(&app, path, "ko").await;
    assert_eq!(language(&korean), "ko");
    let etag = korean.headers["etag"].clone();
    assert_eq!(
        korean.expect(200)["data"][0]["movie"]["title"],
        "The Matrix (ko)"
    );
    let english = get(&app, path, "en").await;
    assert_eq!(language(&english), "en");
    assert_ne!(english.headers["etag"], etag);
    movies.take_selections();
    // A region is no filter, a code alone is one.
    let shown = app.get(&format!("{path}&language=ko-KR")).await;
    assert_eq!(language(&shown), "ko-KR");
    assert_eq!(
        movies.take_selections(),
        [(vec![603, 604], "ko-KR".to_owned())]
    );
    let problem = app.get(&format!("{path}&language=ko-KR%7Cja")).await;
    let error = "invalid language: must be a language (BCP 47), such as ko or ko-KR";
    assert_eq!(assert_problem(&problem, 400, error), ["language"]);
}
