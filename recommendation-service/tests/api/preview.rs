//! Previews for hypothetical users.

use chassis::testing::{eventually, get};
use serde_json::json;
use sqlx::PgPool;

use crate::{TestApp, ids};

const PATH: &str = "/api/v1/recommendations/preview";

async fn with_films(pool: &PgPool) -> TestApp {
    let test = TestApp::trained(pool).await;
    for id in 1..=12 {
        test.movies.film(
            id,
            1,
            json!({
                "popularity": id as f64, "vote_average": if id <= 4 { 8.0 } else { 5.0 },
                "genres": [match id {
                    2 => json!({"id": 18, "name": "Drama"}),
                    _ => json!({"id": 10752, "name": "War"}),
                }],
            }),
        );
    }
    test.users.user(7, 1, json!({}));
    test.users.interaction(1, 7, 1, "like");
    eventually("all is known", async || {
        let body = get(&test.app, "/api/v1/users/7/recommendations?limit=50")
            .await
            .body;
        ids(&body).len() == 11 && body["model"]["strategy"] == "blend"
    })
    .await;
    test
}

#[sqlx::test]
async fn a_hypothesis_changes_the_preview_and_nothing_is_stored(pool: PgPool) {
    let test = with_films(&pool).await;
    let own = async || get(&test.app, "/api/v1/users/7/recommendations").await.text;
    let before = own().await;
    let post = async |body| ids(&test.post_as("7", PATH, body).await.expect(200));
    let without_history = post(json!({"limit": 3})).await;
    assert_eq!(without_history, [12, 11, 10], "by the rules");
    let films = post(json!({"likes": [2, 4], "dislikes": [6], "limit": 12})).await;
    assert_eq!(films.len(), 9);
    assert!([2, 4, 6].iter().all(|id| !films.contains(id)), "{films:?}");
    let likes = json!({"likes": [2, 4], "strategy": "ease", "limit": 4});
    assert!(post(likes).await.iter().all(|id| id % 2 == 0));
    let own_likes = json!({"user_id": 7, "strategy": "ease", "limit": 3});
    assert!(
        post(own_likes)
            .await
            .iter()
            .all(|id| id % 2 == 1 && *id != 1)
    );
    let preferences = json!({"preferred_genres": ["drama"], "min_rating": 7});
    let weights = json!({"popularity": 0, "recency": 0, "genre_match": 10});
    let body = json!({"preferences": preferences, "weights": weights});
    assert_eq!(post(body).await, [2, 4, 3, 1]);
    let rules =
        json!({"likes": [2, 4], "weights": {"learned": 0, "content": 0, "taste": 0}, "limit": 2});
    assert_eq!(post(rules).await, [12, 11], "what is left is the rules");
    assert_eq!(own().await, before);
}

#[sqlx::test]
async fn invalid_parameters_are_named(pool: PgPool) {
    let test = with_films(&pool).await;
    for (body, fields) in [
        (
            json!({"likes": [99, 2], "dislikes": [2]}),
            &["likes[0]", "dislikes[0]"][..],
        ),
        (json!({"likes": vec![1; 101]}), &["likes"]),
        (
            json!({"weights": {"learned": -1, "rules": 10.5}}),
            &["weights.learned", "weights.rules"],
        ),
        (json!({"weights": {"luck": 1}}), &["weights.luck"]),
        (json!({"weights": {"taste": "NaN"}}), &["weights.taste"]),
        (
            json!({"preferences": {"min_rating": 11, "preferred_language": "korean"}}),
            &["preferences.min_rating", "preferences.preferred_language"],
        ),
        (
            json!({"preferences": {"preferred_genres": ["War", "Drma"]}}),
            &["preferences.preferred_genres[1]"],
        ),
        (json!({"strategy": "luck"}), &["strategy"]),
        (json!({"diversity": 2, "limit": 0}), &["diversity", "limit"]),
        (json!({"user_id": 0}), &["user_id"]),
        (json!({"lkies": []}), &["lkies"]),
    ] {
        let problem = test.post_as("admin", PATH, body.clone()).await.expect(400);
        let named: Vec<&str> = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|error| error["field"].as_str())
            .collect();
        assert_eq!(named, fields, "{body}");
    }
    test.post_as("8", PATH, json!({"user_id": 7}))
        .await
        .expect(403);
    test.post_as("", PATH, json!({"user_id": 7}))
        .await
        .expect(403);
    test.post_as("admin", PATH, json!({"user_id": 99}))
        .await
        .expect(404);
    test.post_as("8", PATH, json!({"strategy": "spectral"}))
        .await
        .expect(409);
}
