//! Fields of other services: included on request, null while the services are unavailable.

use axum::{Json, Router, extract::RawQuery, http::HeaderMap, routing::get};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::TestApp;

/// Imitates preference-service, which counts one more like per request, and recommendation-service.
async fn others() -> String {
    let likes = std::sync::atomic::AtomicI64::new(0);
    let likes = std::sync::Arc::new(likes);
    let stats = move |RawQuery(query): RawQuery| {
        let likes = std::sync::Arc::clone(&likes);
        async move {
            let query = query.unwrap();
            let first: i64 = query["ids=".len()..]
                .split(',')
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let count = likes.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            // Movies without reactions are left out.
            Json(json!({"stats": [{
                "movie_id": first, "like_count": count, "dislike_count": 0, "superlike_count": 0,
                "bookmark_count": 2, "view_count": 3, "rating_count": 1, "rating_average": 4.5
            }]}))
        }
    };
    let similar = async |headers: HeaderMap| {
        let mut movie = json!({"id": 9, "score": 0.5});
        if let Some(language) = headers.get("accept-language") {
            movie["title"] = json!(language.to_str().unwrap());
        }
        Json(json!({"id": 1, "similar": [movie], "model_version": null}))
    };
    let app = Router::new()
        .route("/internal/v1/stats", get(stats))
        .route("/api/v1/movies/{id}/similar", get(similar));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn beside(test: &TestApp, pool: &PgPool, url: &str) -> TestApp {
    let settings = [
        ("USER_PREFERENCE_SERVICE_URL", url),
        ("RECOMMENDATION_SERVICE_URL", url),
        // A busy machine may exceed the default.
        ("INCLUDE_TIMEOUT_MS", "20000"),
    ];
    TestApp::beside(pool, std::sync::Arc::clone(&test.tmdb), &settings)
}

#[sqlx::test]
async fn stats_and_similar_movies_are_included_and_not_cached(pool: PgPool) {
    let synced = TestApp::synced(&pool, 1).await;
    let test = beside(&synced, &pool, &others().await);
    let id = test.ids("/api/v1/movies").await[0];
    let plain = test.get(&format!("/api/v1/movies/{id}")).await.expect(200);
    assert!(plain.get("stats").is_none() && plain.get("similar").is_none());
    let path = format!("/api/v1/movies/{id}?include=stats,similar,credits");
    for likes in 1..3 {
        let answer = test.get(&path).await;
        assert_eq!(answer.headers["cache-control"], "private, no-cache");
        let film = answer.expect(200);
        assert_eq!(film["stats"]["like_count"], likes);
        assert_eq!(film["stats"]["rating_average"], 4.5);
        assert_eq!(film["similar"], json!([{"id": 9, "score": 0.5}]));
        assert!(film["credits"].is_array());
        assert_eq!(film["title"], plain["title"]);
    }
    let korean = test
        .get(&format!(
            "/api/v1/movies/{id}?include=similar&language=ko-KR"
        ))
        .await;
    assert_eq!(korean.headers["content-language"], "ko-KR");
    let similar = json!([{"id": 9, "score": 0.5, "title": "ko-KR"}]);
    assert_eq!(korean.expect(200)["similar"], similar);
    for likes in 3..5 {
        let answer = test.get("/api/v1/movies?page_size=2&include=stats").await;
        assert_eq!(answer.headers["cache-control"], "private, no-cache");
        let page = answer.expect(200);
        assert_eq!(page["data"][0]["stats"]["like_count"], likes);
        assert_eq!(page["data"][1]["stats"]["like_count"], 0);
        assert_eq!(page["data"][1]["stats"]["rating_average"], Value::Null);
    }
}

#[sqlx::test]
async fn included_fields_are_null_while_their_services_are_unavailable(pool: PgPool) {
    let synced = TestApp::synced(&pool, 1).await;
    let test = beside(&synced, &pool, "http://127.0.0.1:1");
    let id = test.ids("/api/v1/movies").await[0];
    let path = format!("/api/v1/movies/{id}?include=stats,similar");
    let film = test.get(&path).await.expect(200);
    assert_eq!(
        (&film["stats"], &film["similar"]),
        (&Value::Null, &Value::Null)
    );
    assert!(film.as_object().unwrap().contains_key("stats"), "{film}");
    let page = test.get("/api/v1/movies?include=stats").await.expect(200);
    assert_eq!(page["data"].as_array().unwrap().len(), 20);
    assert_eq!(page["data"][0]["stats"], Value::Null);
}
