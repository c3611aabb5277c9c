//! Lists for a user.

use chassis::testing::{eventually, get};
use serde_json::json;
use sqlx::PgPool;

use crate::{TestApp, ids, owner::profile};

async fn list(test: &TestApp, path: &str) -> Vec<i64> {
    ids(&get(&test.app, path).await.body)
}

#[sqlx::test]
async fn a_list_has_every_documented_field_and_the_contracts_score(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    test.movies.film(1, 1, json!({
        "title": "Half", "popularity": 50.0, "release_date": "2025-01-01", "poster_path": "/p.jpg",
        "genres": [{"id": 1, "name": "Drama"}, {"id": 2, "name": "Comedy"}],
    }));
    test.movies.film(2, 1, json!({"popularity": 100.0}));
    test.users
        .user(7, 1, json!({"preferred_genres": ["drama"]}));
    eventually("both films", async || {
        list(&test, "/api/v1/users/7/recommendations").await.len() == 2
    })
    .await;
    let mut body = get(&test.app, "/api/v1/users/7/recommendations")
        .await
        .expect(200);
    let list_id = body["list_id"].take();
    assert_eq!(list_id.as_str().map(str::len), Some(36));
    assert_eq!(
        body,
        json!({
            "user_id": 7,
            "recommendations": [
                {"id": 1, "title": "Half", "release_date": "2025-01-01", "genres": ["Comedy", "Drama"],
                 "popularity": 50.0, "poster_url": "https://image.tmdb.org/t/p/w500/p.jpg",
                 "score": 0.5, "reason": "matches your preferred genres", "bookmarked": false},
                {"id": 2, "title": "Film 2", "release_date": "", "genres": [], "popularity": 100.0,
                 "poster_url": "", "score": 0.4, "reason": "highly popular", "bookmarked": false},
            ],
            "generated_at": "2026-01-01T00:00:00Z",
            "strategy": "rules",
            "model": {"version": null, "strategy": "rules"},
            "list_id": null,
            "next_cursor": null,
            "fresh_as_of": null,
        })
    );
}

#[sqlx::test]
async fn movies_that_a_user_knows_or_rules_out_are_not_recommended(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    for id in 1..=8 {
        test.movies.film(
            id,
            1,
            json!({"popularity": 10.0 - id as f64, "vote_average": 7.9}),
        );
    }
    test.movies.film(
        9,
        1,
        json!({"original_language": "ko", "vote_average": 7.9}),
    );
    test.movies.film(10, 1, json!({"vote_average": 3.0}));
    // Too few votes for their average to count.
    for (id, votes) in [(11, 3), (12, 0)] {
        let more = json!({"popularity": 9.0, "vote_average": 9.5, "vote_count": votes});
        test.movies.film(id, 1, more);
    }
    test.users
        .user(7, 1, json!({"min_rating": 7.9, "preferred_language": "en"}));
    test.users.user(8, 1, json!({"preferred_language": "xx"}));
    for (id, kind) in [
        (1, "like"),
        (2, "dislike"),
        (3, "watched"),
        (4, "watchlist"),
        (5, "superlike"),
    ] {
        test.users.interaction(id, 7, id, kind);
    }
    // An interaction type of a later preference-service is ignored.
    test.users.interaction(6, 7, 6, "rewound");
    eventually("all is known", async || {
        let mut films = list(&test, "/api/v1/users/7/recommendations").await;
        films.sort_unstable();
        films == [4, 6, 7, 8]
    })
    .await;
    let body = get(&test.app, "/api/v1/users/7/recommendations?limit=2")
        .await
        .expect(200);
    let films = list(&test, "/api/v1/users/7/recommendations").await;
    assert_eq!(ids(&body), films[..2]);
    assert_eq!(body["fresh_as_of"], "2026-01-01T00:00:06Z");
    assert!(
        list(&test, "/api/v1/users/8/recommendations")
            .await
            .is_empty(),
        "no film is in xx"
    );
}

#[sqlx::test]
async fn equal_scores_are_ordered_by_id(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    for id in [5, 3, 9, 1] {
        test.movies.film(id, 1, json!({"popularity": 4.0}));
    }
    test.users.user(7, 1, json!({}));
    eventually("all four", async || {
        list(&test, "/api/v1/users/7/recommendations?limit=50").await == [1, 3, 5, 9]
    })
    .await;
}

#[sqlx::test]
async fn an_unknown_user_is_requested_once_from_preference_service(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    test.movies.film(1, 1, json!({}));
    test.users.know(7, profile(7, 1, json!({})));
    eventually("the film", async || {
        get(&test.app, "/api/v1/users/7/recommendations")
            .await
            .status
            == 200
    })
    .await;
    let requests = test.users.requests();
    get(&test.app, "/api/v1/users/7/recommendations")
        .await
        .expect(200);
    assert_eq!(
        test.users.requests(),
        requests,
        "a warm list needs no request"
    );
    let problem = get(&test.app, "/api/v1/users/8/recommendations")
        .await
        .expect(404);
    assert_eq!(problem["error"], "user not found");
    assert_eq!(problem["type"], "/problems/user-not-found");
}

#[sqlx::test]
async fn a_catalogue_without_movies_gives_an_empty_list(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    test.users.know(7, profile(7, 1, json!({})));
    let body = get(&test.app, "/api/v1/users/7/recommendations")
        .await
        .expect(200);
    assert_eq!(body["recommendations"], json!([]));
    get(&test.app, "/api/v1/users/8/recommendations")
        .await
        .expect(404);
}

#[sqlx::test]
async fn invalid_parameters_are_named(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    for (path, error, field) in [
        ("/api/v1/users/x/recommendations", "invalid user ID", "id"),
        ("/api/v1/users/0/recommendations", "invalid user ID", "id"),
        (
            "/api/v1/users/9223372036854775808/recommendations",
            "invalid user ID",
            "id",
        ),
        (
            "/api/v1/users/7/recommendations?limit=0",
            "invalid limit: must be a whole number from 1 to 100",
            "limit",
        ),
        (
            "/api/v1/users/7/recommendations?limit=101",
            "invalid limit: must be a whole number from 1 to 100",
            "limit",
        ),
        (
            "/api/v1/users/7/recommendations?limti=3",
            "invalid limti: unknown query parameter; did you mean `limit`?",
            "limti",
        ),
    ] {
        let problem = get(&test.app, path).await.expect(400);
        assert_eq!(problem["error"], error, "{path}");
        assert_eq!(problem["errors"][0]["field"], field, "{path}");
    }
    get(&test.app, "/api/v1/users/7/recommendations?strategy=luck")
        .await
        .expect(400);
}

#[sqlx::test]
async fn a_change_and_a_removal_show_in_the_next_list(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    test.users.user(7, 1, json!({}));
    test.movies.film(1, 1, json!({"popularity": 1.0}));
    test.movies.film(2, 1, json!({"popularity": 2.0}));
    eventually("both", async || {
        get(&test.app, "/api/v1/users/7/recommendations")
            .await
            .status
            == 200
            && list(&test, "/api/v1/users/7/recommendations").await == [2, 1]
    })
    .await;
    test.movies.film(1, 3, json!({"popularity": 3.0}));
    test.movies.film(1, 2, json!({"popularity": 0.0}));
    eventually("the newer version", async || {
        list(&test, "/api/v1/users/7/recommendations").await == [1, 2]
    })
    .await;
    test.movies
        .tell("movie.removed", json!({"id": 1, "version": 4}));
    test.movies.film(1, 3, json!({"popularity": 3.0}));
    test.movies.film(3, 1, json!({}));
    eventually(
        "gone, and not brought back by an older change",
        async || list(&test, "/api/v1/users/7/recommendations").await == [2, 3],
    )
    .await;
}

#[sqlx::test]
async fn movies_return_after_an_undo_and_erased_users_are_gone(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    for id in 1..=4 {
        test.movies
            .film(id, 1, json!({"popularity": 10.0 - id as f64}));
    }
    test.users.user(7, 1, json!({}));
    for (id, kind) in [(1, "dislike"), (2, "rating"), (3, "progress")] {
        test.users.interaction(id, 7, id, kind);
    }
    let path = "/api/v1/users/7/recommendations";
    eventually("what was judged is left out", async || {
        list(&test, path).await == [3, 4]
    })
    .await;
    test.users.interaction(4, 7, 1, "reaction_removed");
    // A late change record of a state that has been cleared since.
    test.users.interaction(1, 7, 1, "dislike");
    eventually("the film is back", async || {
        list(&test, path).await == [1, 3, 4]
    })
    .await;

    test.users.erase(7);
    eventually("no user is left", async || {
        get(&test.app, path).await.status == 404
    })
    .await;
    let (movies, users) = test.stop().await;
    let again = TestApp::beside(&pool, movies, users).await;
    again.until_ready().await;
    assert_eq!(get(&again.app, path).await.status, 404);
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from user_movie) + (select count(*) from user_profile)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(left, 0);
}

#[sqlx::test]
async fn one_movies_outlier_does_not_decide_the_first_list(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    for id in 1..=120 {
        test.movies.film(id, 1, json!({"popularity": id as f64}));
    }
    // Of a snapshot with another scale.
    test.movies.film(121, 1, json!({"popularity": 1_000_000.0}));
    test.users.user(7, 1, json!({}));
    let path = "/api/v1/users/7/recommendations?limit=3";
    eventually("all films", async || {
        list(&test, path).await == [121, 120, 119]
    })
    .await;
    let scores = async |query: &str| -> Vec<f64> {
        let body = get(&test.app, &format!("{path}{query}")).await.expect(200);
        let films = body["recommendations"].as_array().unwrap().iter();
        films.map(|film| film["score"].as_f64().unwrap()).collect()
    };
    assert_eq!(scores("").await, [0.4, 0.4, 0.3967]);
    // The documented formula.
    assert_eq!(scores("&strategy=rules").await, [0.4, 0.0, 0.0]);
}
