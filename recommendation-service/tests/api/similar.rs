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
