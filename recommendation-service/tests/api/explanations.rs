//! Explanations: contributions add up to the score.

use chassis::testing::{eventually, get};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{TestApp, ids};

/// A number in ten-thousandths, which add up without rounding.
fn whole(value: &Value) -> i64 {
    (value.as_f64().unwrap() * 10_000.0).round() as i64
}

fn sum(list: &Value, field: &str) -> i64 {
    list.as_array()
        .unwrap()
        .iter()
        .map(|one| whole(&one[field]))
        .sum()
}

#[sqlx::test]
async fn contributions_and_shares_add_up_to_each_score(pool: PgPool) {
    let test = TestApp::trained(&pool).await;
    for id in (1..=12).chain(100..=110) {
        test.movies.film(
            id,
            1,
            json!({
                "popularity": id as f64, "release_date": "2025-06-01",
                "keywords": [{"id": 10 + id % 2, "name": "k"}, {"id": 20 + id % 3, "name": "l"}],
                "people": [{"id": id % 5, "name": format!("P{}", id % 5)}],
                "genres": [{"id": 18, "name": "Drama"}],
            }),
        );
    }
    test.users.user(7, 1, json!({
        "preferred_genres": ["drama"], "taste_edits": [{"kind": "keyword", "tag": "21", "score": 9.0}],
    }));
    for (id, film, kind) in [
        (1, 1, "like"),
        (2, 3, "superlike"),
        (3, 2, "dislike"),
        (4, 100, "watched"),
        (5, 5, "watchlist"),
    ] {
        test.users.interaction(id, 7, film, kind);
    }
    let path = |strategy| {
        format!("/api/v1/users/7/recommendations?limit=50&explain=true&strategy={strategy}")
    };
    eventually("all is known", async || {
        let body = get(&test.app, &path("blend")).await.body;
        ids(&body).len() == 19 && body["fresh_as_of"] == "2026-01-01T00:00:05Z"
    })
    .await;
    for (strategy, parts) in [
        (
            "blend",
            &[
                "content",
                "taste",
                "rules",
                "popularity",
                "ease",
                "ials",
                "stand_in",
            ][..],
        ),
        ("rules", &["popularity", "recency", "genre_match"]),
        ("ease", &["ease"]),
        ("ials", &["ials"]),
        ("popularity", &["popularity"]),
        ("content", &["content"]),
        ("taste", &["taste"]),
    ] {
        let body = get(&test.app, &path(strategy)).await.expect(200);
        let films = body["recommendations"].as_array().unwrap();
        assert!(!films.is_empty());
        for film in films {
            let names: Vec<&str> = film["contributions"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|part| part["name"].as_str())
                .collect();
            assert_eq!(names, parts, "{strategy}");
            assert_eq!(
                sum(&film["contributions"], "amount"),
                whole(&film["score"]),
                "{strategy} {film}"
            );
            let shares = sum(&film["because"], "share")
                + whole(&film["others"]["share"])
                + whole(&film["base"]);
            assert_eq!(shares, whole(&film["score"]), "{strategy} {film}");
        }
    }
    let body = get(&test.app, &path("ease")).await.expect(200);
    for film in body["recommendations"].as_array().unwrap() {
        // With one learned model alone `base` is 0, up to the rounding of each contribution.
        assert!(whole(&film["base"]).abs() <= 3, "{film}");
    }
    let body = get(&test.app, &path("content")).await.expect(200);
    let disliked = body["recommendations"]
        .as_array()
        .unwrap()
        .iter()
        .any(|film| whole(&film["others"]["share"]) < 0);
    assert!(disliked, "what is disliked speaks against its like");
}
