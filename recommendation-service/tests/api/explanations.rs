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

#[sqlx::test]
async fn a_movie_is_no_reason_for_itself_and_a_bookmark_is_marked(pool: PgPool) {
    for trained in [false, true] {
        sqlx::query("truncate movie, user_profile, user_movie")
            .execute(&pool)
            .await
            .unwrap();
        sqlx::query("update feed_cursor set cursor = null")
            .execute(&pool)
            .await
            .unwrap();
        let test = match trained {
            false => TestApp::ready(&pool).await,
            true => TestApp::trained(&pool).await,
        };
        for id in 1..=12 {
            let keywords = json!([{"id": id, "name": format!("k{id}")}, {"id": 20 + id % 2, "name": "shared"}]);
            test.movies.film(
                id,
                1,
                json!({"popularity": 20.0 - id as f64, "keywords": keywords}),
            );
        }
        test.users.user(7, 1, json!({}));
        test.users.interaction(1, 7, 12, "watchlist");
        test.users.interaction(2, 7, 10, "progress");
        let path = "/api/v1/users/7/recommendations?limit=50&explain=true";
        eventually("the bookmark", async || {
            let body = get(&test.app, path).await.body;
            ids(&body).len() == 12 && body["fresh_as_of"] == "2026-01-01T00:00:02Z"
        })
        .await;
        let list = get(&test.app, path).await.expect(200);
        let films = list["recommendations"].as_array().unwrap();
        assert_ne!(films[0]["id"], 12, "{list}");
        for film in films {
            assert_eq!(film["bookmarked"], film["id"] == 12, "{film}");
            let because = film["because"].as_array().unwrap();
            assert!(because.iter().all(|one| one["id"] != film["id"]), "{film}");
            let title = film["title"].as_str().unwrap();
            let reason = film["reason"].as_str().unwrap();
            assert!(!reason.ends_with(title), "{film}");
            assert_eq!(
                reason.starts_with("on your watchlist"),
                film["id"] == 12,
                "{reason}"
            );
            let parts = sum(&film["contributions"], "amount");
            assert_eq!(parts, whole(&film["score"]), "{film}");
            let shares = sum(&film["because"], "share") + whole(&film["others"]["share"]);
            assert_eq!(
                shares + whole(&film["base"]),
                whole(&film["score"]),
                "{film}"
            );
        }
        test.stop().await;
    }
}

#[sqlx::test]
async fn reasons_name_what_movies_have_in_common_and_the_placeholder_stands_alone(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    let person = |id: i64, job: &str| json!({"id": id, "name": format!("Person {id}"), "job": job});
    let cast = |ids: [i64; 5]| ids.map(|id| person(id, "Actor"));
    let people = |director: i64, ids: [i64; 5]| {
        let mut people = vec![person(director, "Director")];
        people.extend(cast(ids));
        json!(people)
    };
    for (id, people, keyword) in [
        (1, people(100, [1, 2, 3, 4, 5]), "dream"),
        (2, people(100, [6, 7, 8, 9, 10]), "boat"),
        (3, people(101, [3, 11, 12, 13, 14]), "boat"),
        // The fifth of the cast is no reason, and neither is a writer.
        (4, people(102, [15, 16, 17, 18, 5]), "dream"),
        (5, json!([person(100, "Writer")]), "aftercreditsstinger"),
    ] {
        let keywords =
            json!([{"id": keyword.len(), "name": keyword}, {"id": 99, "name": "based on novel"}]);
        let genres = json!([{"id": 53, "name": "Thriller"}]);
        let more =
            json!({"people": people, "keywords": keywords, "genres": genres, "popularity": 1.0});
        test.movies.film(id, 1, more);
    }
    for id in 6..=40 {
        test.movies.film(id, 1, json!({"popularity": 1.0}));
    }
    test.users.user(7, 1, json!({}));
    test.users.interaction(1, 7, 1, "like");
    let path = "/api/v1/users/7/recommendations?limit=50";
    eventually("the like", async || {
        let body = get(&test.app, path).await.body;
        ids(&body).len() == 39 && body["fresh_as_of"] == "2026-01-01T00:00:01Z"
    })
    .await;
    let list = get(&test.app, path).await.expect(200);
    let reason = |id: i64| {
        let mut films = list["recommendations"].as_array().unwrap().iter();
        let film = films.find(|film| film["id"] == id).unwrap();
        film["reason"].as_str().unwrap().to_owned()
    };
    for (id, common) in [
        (2, "also directed by Person 100"),
        (3, "also with Person 3"),
        (4, "also about dream"),
        (5, "also a thriller"),
    ] {
        let expected = format!("because you liked Film 1, {common}");
        assert!(reason(id).starts_with(&expected), "{}", reason(id));
    }
    for film in list["recommendations"].as_array().unwrap() {
        let reason = film["reason"].as_str().unwrap();
        let is_placeholder = reason == "recommended for you";
        assert_eq!(
            reason.contains("recommended for you"),
            is_placeholder,
            "{reason}"
        );
    }
}
