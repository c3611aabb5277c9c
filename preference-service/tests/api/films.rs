//! Bookmarks, ratings and the watch history: setting, clearing and listing.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{TestApp, assert_problem};

fn movies(page: &Value, list: &str) -> Vec<i64> {
    page[list]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| entry["movie_id"].as_i64())
        .collect()
}

async fn types(app: &TestApp, user: i64) -> Vec<String> {
    let path = format!("/api/v1/users/{user}/interactions");
    let log = app.get(&path).await.expect(200);
    let entries = log["interactions"].as_array().expect("interactions");
    let kinds = entries.iter().rev();
    kinds
        .filter_map(|entry| entry["interaction_type"].as_str().map(str::to_owned))
        .collect()
}

#[sqlx::test]
async fn a_bookmark_is_set_once_and_removed(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/bookmarks/603");
    let first = app.put(&path, Value::Null).await.expect(200);
    assert_eq!(
        first,
        json!({"user_id": user, "movie_id": 603, "bookmarked_at": first["bookmarked_at"]})
    );
    // The same action through the older endpoint `interactions` changes nothing.
    app.interact(user, "watchlist", 603).await;
    assert_eq!(app.put(&path, Value::Null).await.expect(200), first);
    for _ in 0..2 {
        assert_eq!(app.delete(&path).await.status, 204);
    }
    assert_eq!(types(&app, user).await, ["watchlist", "bookmark_removed"]);
    let list = app.get(&format!("/api/v1/users/{user}/bookmarks")).await;
    assert_eq!(
        list.expect(200),
        json!({"user_id": user, "bookmarks": [], "next_cursor": null})
    );
}

#[sqlx::test]
async fn a_rating_is_half_a_star_to_five_and_replaces_the_previous_one(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/ratings/603");
    for rating in [0.5, 5.0, 3.5, 3.5] {
        let rated = app.put(&path, json!({"rating": rating})).await.expect(200);
        assert_eq!(rated["rating"], rating);
        assert_eq!(app.get(&path).await.expect(200), rated);
    }
    for (body, field) in [
        (json!({"rating": 0}), "rating"),
        (json!({"rating": 5.5}), "rating"),
        (json!({"rating": 2.25}), "rating"),
        (json!({"rating": "4"}), "rating"),
        (json!({"rating": null}), "rating"),
        (json!({}), "rating"),
        (json!({"stars": 4}), "stars"),
    ] {
        let answer = app.put(&path, body.clone()).await;
        assert_eq!(answer.status.as_u16(), 400, "{body}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(app.delete(&path).await.status, 204);
    assert_problem(&app.get(&path).await, 404, "rating not found");
    assert_eq!(
        types(&app, user).await,
        ["rating", "rating", "rating", "rating_removed"]
    );
}

#[sqlx::test]
async fn each_minute_counts_once_and_nine_tenths_complete_a_movie(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/watch/603");
    assert_problem(&app.get(&path).await, 404, "watch entry not found");
    for (position, watched, completed) in [
        (600, 600, false),
        (300, 600, false),
        (300, 600, false),
        (7343, 7343, false),
        (7344, 7344, true),
        // Started again, it still counts as watched.
        (10, 7344, true),
    ] {
        let body = json!({"position_seconds": position, "duration_seconds": 8160});
        let entry = app.put(&path, body).await.expect(200);
        assert_eq!(entry["position_seconds"], position);
        assert_eq!(entry["watched_seconds"], watched);
        assert_eq!(entry["completed"], completed);
        assert_eq!(entry["completed_at"].is_null(), !completed);
        assert_eq!(app.get(&path).await.expect(200), entry);
    }
    let log = ["progress", "progress", "progress", "watched", "progress"];
    assert_eq!(types(&app, user).await, log);
    for (body, field) in [
        (json!({"position_seconds": 1}), "duration_seconds"),
        (json!({"duration_seconds": 10}), "position_seconds"),
        (
            json!({"position_seconds": 11, "duration_seconds": 10}),
            "position_seconds",
        ),
        (
            json!({"position_seconds": 0, "duration_seconds": 0}),
            "duration_seconds",
        ),
        (
            json!({"position_seconds": 1.5, "duration_seconds": 10}),
            "position_seconds",
        ),
    ] {
        let answer = app.put(&path, body.clone()).await;
        assert_eq!(answer.status.as_u16(), 400, "{body}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(app.delete(&path).await.status, 204);
    assert_problem(&app.get(&path).await, 404, "watch entry not found");
    let body = json!({"position_seconds": 60, "duration_seconds": 8160});
    let again = app.put(&path, body).await.expect(200);
    assert_eq!(
        (&again["watched_seconds"], &again["completed"]),
        (&json!(60), &json!(false))
    );
}

#[sqlx::test]
async fn pages_neither_skip_nor_repeat_while_movies_are_added(pool: PgPool) {
    let (app, films) = TestApp::beside_movies(&pool).await;
    (700..710).for_each(|film| films.sync(film, 1, "a film"));
    app.knows_films(12).await;
    let (anna, boris) = (app.user("anna").await, app.user("boris").await);
    let lists = [
        ("reactions", json!({"reaction": "like"})),
        ("bookmarks", Value::Null),
        ("ratings", json!({"rating": 4})),
        (
            "watch",
            json!({"position_seconds": 1, "duration_seconds": 100}),
        ),
    ];
    for film in 700..707 {
        for user in [anna, boris] {
            for (list, body) in [
                ("reactions", json!({"reaction": "like"})),
                ("bookmarks", Value::Null),
                ("ratings", json!({"rating": 4})),
                (
                    "watch",
                    json!({"position_seconds": 1, "duration_seconds": 100}),
                ),
            ] {
                let path = format!("/api/v1/users/{user}/{list}/{film}");
                let _ = app.put(&path, body).await.expect(200);
            }
        }
    }
    for (list, body) in lists {
        // Cleared values are in no list.
        let taken_back = format!("/api/v1/users/{anna}/{list}/703");
        assert_eq!(app.delete(&taken_back).await.status, 204);
        let mut path = format!("/api/v1/users/{anna}/{list}?limit=2");
        let mut seen = Vec::new();
        for last in [false, false, true] {
            let page = app.get(&path).await;
            seen.extend(movies(&page.body, list));
            assert_eq!(page.body["next_cursor"].is_null(), last, "{list}");
            let link = page
                .headers
                .get("link")
                .map(|link| link.to_str().expect("text"));
            assert_eq!(link.is_none(), last);
            if let Some(target) = link.and_then(|link| link.split_once('>')) {
                path = target.0.trim_start_matches('<').to_owned();
            }
            let newer = format!("/api/v1/users/{anna}/{list}/708");
            let _ = app.put(&newer, body.clone()).await.expect(200);
        }
        assert_eq!(seen, [706, 705, 704, 702, 701, 700], "{list}");
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("cursor=x", "cursor"),
        ("page=1", "page"),
    ] {
        let answer = app
            .get(&format!("/api/v1/users/{anna}/ratings?{query}"))
            .await;
        assert_eq!(answer.status.as_u16(), 400, "{query}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{query}");
    }
    let answer = app.get("/api/v1/users/999/watch").await;
    assert_problem(&answer, 404, "user not found");
}
