//! Similar movies.

use chassis::testing::{eventually, get};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::TestApp;

fn films(body: &Value) -> Vec<i64> {
    let films = body["similar"].as_array();
    films
        .into_iter()
        .flatten()
        .filter_map(|film| film["id"].as_i64())
        .collect()
}

#[sqlx::test]
async fn movies_are_similar_by_content_and_by_audience(pool: PgPool) {
    let test = TestApp::trained(&pool).await;
    for id in 1..=12 {
        test.movies.film(
            id,
            1,
            json!({"original_language": format!("{}{}", "a", (b'a' + id as u8) as char)}),
        );
    }
    let person = json!([
        {"id": 6, "name": "Director One", "job": "Director"}, {"id": 7, "name": "Actor Two", "job": "Actor"},
    ]);
    test.movies.film(
        21,
        1,
        json!({"people": person, "keywords": [{"id": 1, "name": "heist"}], "vote_average": 8.0, "vote_count": 9}),
    );
    test.movies.film(
        22,
        1,
        json!({"people": person, "keywords": [{"id": 2, "name": "war"}], "vote_average": 3.0, "vote_count": 9}),
    );
    test.movies.film(
        23,
        1,
        json!({"keywords": [{"id": 1, "name": "heist"}, {"id": 2, "name": "war"}],
            "vote_average": 6.0, "vote_count": 9}),
    );
    eventually("the last film", async || {
        get(&test.app, "/api/v1/movies/23/similar").await.status == 200
    })
    .await;

    let body = get(&test.app, "/api/v1/movies/1/similar?limit=3")
        .await
        .expect(200);
    assert_eq!(body["model_version"], 5);
    assert!(
        films(&body).iter().all(|id| id % 2 == 1 && *id != 1),
        "{body}"
    );
    let first = &body["similar"][0];
    assert_eq!(first["reason"], "who likes one likes the other");
    assert_eq!(
        first["score"],
        json!(first["content"].as_f64().unwrap() + first["learned"].as_f64().unwrap())
    );

    let body = get(&test.app, "/api/v1/movies/21/similar")
        .await
        .expect(200);
    assert_eq!(body["model_version"], Value::Null);
    assert_eq!(films(&body)[..2], [22, 23]);
    assert_eq!(
        body["similar"][0]["reason"],
        "also directed by Director One, also with Actor Two"
    );
    assert_eq!(body["similar"][1]["reason"], "also about heist");
    let body = get(&test.app, "/api/v1/movies/21/similar?vote_average_min=5")
        .await
        .expect(200);
    assert_eq!(films(&body)[0], 23);

    // Public, and the same for every caller.
    let path = "/api/v1/movies/1/similar";
    let anonymous = get(&test.app, path).await;
    for who in ["7", "8", "admin"] {
        let response = test.get_as(who, path).await;
        let control = response.headers["cache-control"].to_str().unwrap();
        assert!(control.starts_with("public, max-age=60, "), "{control}");
        assert_eq!(response.headers["etag"], anonymous.headers["etag"]);
        assert_eq!(response.expect(200), anonymous.body);
    }
    let own = test.get_as("7", "/api/v1/users/7/recommendations").await;
    assert!(!own.headers.contains_key("cache-control"));

    get(&test.app, "/api/v1/movies/99/similar")
        .await
        .expect(404);
    for (path, field) in [
        ("/api/v1/movies/x/similar", "id"),
        ("/api/v1/movies/1/similar?limit=101", "limit"),
        ("/api/v1/movies/1/similar?year=soon", "year"),
        ("/api/v1/movies/1/similar?page=2", "page"),
    ] {
        let problem = get(&test.app, path).await.expect(400);
        assert_eq!(problem["errors"][0]["field"], field);
    }
}

#[sqlx::test]
async fn parts_of_a_series_do_not_crowd_similar_movies_or_lists(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let heist = json!([{"id": 1, "name": "heist"}]);
    for id in 1..=20 {
        // Of the better known ones, five are parts of a series.
        let collection = (id <= 5).then_some(70);
        test.movies.film(
            id,
            1,
            json!({"keywords": heist, "collection_id": collection, "vote_average": 7.0,
                "vote_count": 9_000 - 100 * id, "popularity": 21 - id}),
        );
    }
    test.users.user(7, 1, json!({}));
    // It shares nothing with the others, but TMDB recommends it beside the last.
    test.movies
        .film(21, 1, json!({"vote_average": 7.0, "vote_count": 9}));
    test.movies.film(
        20,
        2,
        json!({"keywords": heist, "vote_average": 7.0, "vote_count": 5, "recommended": [21, 404]}),
    );
    eventually("all movies, with the recommended one", async || {
        let similar = get(&test.app, "/api/v1/movies/20/similar?limit=100").await;
        similar.status == 200 && films(&similar.body).len() == 20
    })
    .await;

    let similar = get(&test.app, "/api/v1/movies/20/similar?limit=10").await;
    let similar = films(&similar.expect(200));
    assert_eq!(similar.len(), 10);
    let parts = |ids: &[i64]| ids.iter().filter(|id| **id <= 5).count();
    assert_eq!(parts(&similar), 2, "{similar:?}");
    let list = test
        .get_as("7", "/api/v1/users/7/recommendations?limit=20")
        .await
        .expect(200);
    let list = crate::ids(&list);
    assert_eq!(parts(&list[..10]), 2, "{list:?}");
    assert_eq!(parts(&list), 4, "{list:?}");
}
