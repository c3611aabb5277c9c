//! Taste profiles and users' edits of them.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{MovieService, TestApp, assert_problem};

fn film(id: i64, version: i64, genres: Value) -> Value {
    json!({
        "id": id, "version": version, "title": "a film", "original_language": "ko",
        "genres": genres,
        "keywords": [{"id": 310, "name": "artificial intelligence"}],
        "people": [
            {"id": 1, "name": "A Director", "job": "Director"},
            {"id": 2, "name": "A Writer", "job": "Writer"},
            {"id": 1, "name": "A Director", "job": "Actor"},
            {"id": 3, "name": "First", "job": "Actor"},
            {"id": 4, "name": "Second", "job": "Actor"},
            {"id": 5, "name": "Third", "job": "Actor"},
            {"id": 6, "name": "Fourth", "job": "Actor"},
            {"id": 7, "name": "Sixth", "job": "Actor"},
        ],
    })
}

/// The service beside movies 603 (drama, comedy) and 604 (drama), and a user.
async fn stage(pool: &PgPool) -> (TestApp, MovieService, i64) {
    let movies = MovieService::start().await;
    let drama = json!({"id": 18, "name": "Drama"});
    let comedy = json!({"id": 35, "name": "Comedy"});
    movies.tell(
        "movie.synced",
        603,
        film(603, 1, json!([drama.clone(), comedy])),
    );
    movies.tell("movie.synced", 604, film(604, 1, json!([drama])));
    let app = TestApp::new(pool, &movies);
    app.knows_films(2).await;
    let user = app.user("anna").await;
    (app, movies, user)
}

async fn taste(app: &TestApp, user: i64) -> Value {
    app.get(&format!("/api/v1/users/{user}/taste"))
        .await
        .expect(200)
}

/// The names and scores of one kind.
fn scores(taste: &Value, kind: &str) -> Vec<(String, f64)> {
    let scores = taste[kind].as_array().expect("scores").iter();
    scores
        .map(|score| {
            let name = score["name"].as_str().expect("a name").to_owned();
            (name, score["score"].as_f64().expect("a number"))
        })
        .collect()
}

#[sqlx::test]
async fn actions_add_up_by_the_tags_of_movies(pool: PgPool) {
    let (app, movies, user) = stage(&pool).await;
    let empty = taste(&app, user).await;
    assert_eq!(
        empty,
        json!({"user_id": user, "half_life_days": 180.0, "genres": [], "keywords": [],
               "people": [], "languages": []})
    );
    app.interact(user, "like", 603).await;
    app.interact(user, "dislike", 604).await;
    app.interact(user, "like", 604).await;
    app.interact(user, "watchlist", 604).await;
    let known = taste(&app, user).await;
    let named = |name: &str, score: f64| (name.to_owned(), score);
    assert_eq!(
        scores(&known, "genres"),
        [named("Drama", 11.0), named("Comedy", 5.0)]
    );
    assert_eq!(
        scores(&known, "keywords"),
        [named("artificial intelligence", 11.0)]
    );
    // The director, once, and the first five of the cast; equal scores are ordered by id.
    let people: Vec<String> = ["A Director", "First", "Second", "Third", "Fourth"]
        .map(str::to_owned)
        .to_vec();
    let shown: Vec<String> = scores(&known, "people")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(shown, people);
    assert_eq!(scores(&known, "languages"), [named("ko", 11.0)]);
    assert_eq!(known["genres"][0]["id"], 18);

    let path = format!("/api/v1/users/{user}/reactions/604");
    assert_eq!(app.delete(&path).await.status, 204);
    let path = format!("/api/v1/users/{user}/taste?limit=1");
    let known = app.get(&path).await.expect(200);
    assert_eq!(scores(&known, "genres"), [named("Drama", 6.0)]);

    // The profile follows the movie's tags.
    let western = json!([{"id": 37, "name": "Western"}]);
    movies.tell("movie.synced", 603, film(603, 2, western));
    chassis::testing::eventually("the new genre", async || {
        let known = taste(&app, user).await;
        scores(&known, "genres") == [named("Western", 5.0), named("Drama", 1.0)]
    })
    .await;
}

#[sqlx::test]
async fn tags_of_a_movie_that_was_watched_and_then_judged_badly_fall(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let watched = json!({"position_seconds": 6000, "duration_seconds": 6000});
    for movie in [603, 604] {
        let path = format!("/api/v1/users/{user}/watch/{movie}");
        app.put(&path, watched.clone()).await.expect(200);
    }
    let score = |taste: &Value, name: &str| {
        let scores = scores(taste, "genres");
        scores
            .into_iter()
            .find(|(own, _)| own == name)
            .map(|(_, score)| score)
    };
    assert_eq!(score(&taste(&app, user).await, "Comedy"), Some(13.0));
    app.interact(user, "dislike", 603).await;
    assert_eq!(score(&taste(&app, user).await, "Comedy"), Some(-2.5));
    let path = format!("/api/v1/users/{user}/ratings/604");
    app.put(&path, json!({"rating": 1})).await.expect(200);
    assert_eq!(score(&taste(&app, user).await, "Drama"), Some(-6.5));
}

#[sqlx::test]
async fn weights_halve_with_every_half_life_before_the_newest_action(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    app.interact(user, "superlike", 604).await;
    let age = async |days: i32| {
        sqlx::query(
            "update user_movie set reacted_at = reacted_at - make_interval(days => $1)
             where movie_id = 604",
        )
        .bind(days)
        .execute(&pool)
        .await
        .expect("a row");
    };
    age(360).await;
    let genres = scores(&taste(&app, user).await, "genres");
    assert_eq!(genres, [("Drama".to_owned(), 7.0)], "the newest action");
    app.interact(user, "watchlist", 603).await;
    for (days, expected) in [(0, 1.75 + 1.0), (3600, 0.875 + 1.0)] {
        age(days).await;
        let score = scores(&taste(&app, user).await, "genres")[0].1;
        assert!((score - expected).abs() < 0.001, "{score}");
    }
}

#[sqlx::test]
async fn an_edit_replaces_the_computed_score_until_it_is_removed(pool: PgPool) {
    let (app, _movies, user) = stage(&pool).await;
    let path = format!("/api/v1/users/{user}/taste");
    app.interact(user, "like", 603).await;
    let edits = json!({"edits": [
        {"kind": "genre", "name": "drama", "score": -20},
        {"kind": "person", "id": 2, "score": 3.5},
        {"kind": "language", "name": "fr", "score": 1},
    ]});
    // Writers do not count towards taste, so the id is unknown.
    let answer = app.patch(&path, edits).await;
    assert_eq!(answer.status.as_u16(), 400);
    assert_eq!(answer.body["errors"][0]["field"], "edits[1].id");
    let edits = json!({"edits": [
        {"kind": "genre", "name": "drama", "score": -20},
        {"kind": "language", "name": "fr", "score": 1},
    ]});
    let edited = app.patch(&path, edits.clone()).await.expect(200);
    assert_eq!(
        edited["genres"][0],
        json!({"id": 18, "name": "Drama", "score": -20.0, "edited": true})
    );
    assert_eq!(edited["genres"][1]["edited"], false);
    assert_eq!(
        edited["languages"][1],
        json!({"name": "fr", "score": 1.0, "edited": true})
    );

    app.interact(user, "superlike", 604).await;
    assert_eq!(taste(&app, user).await["genres"][0]["score"], -20.0);
    // One change record is published.
    let outbox = app.count("outbox").await;
    let _ = app.patch(&path, edits).await.expect(200);
    assert_eq!(app.count("outbox").await, outbox);
    let profile = app
        .get(&format!("/internal/v1/users/{user}"))
        .await
        .expect(200);
    assert_eq!(profile["version"], 2);
    assert_eq!(
        profile["taste_edits"],
        json!([{"kind": "genre", "tag": "18", "score": -20}, {"kind": "language", "tag": "fr", "score": 1}])
    );

    let back = json!({"edits": [{"kind": "genre", "id": 18, "score": null}]});
    let back = app.patch(&path, back).await.expect(200);
    assert_eq!(
        back["genres"][0],
        json!({"id": 18, "name": "Drama", "score": 12.0, "edited": false})
    );
}

#[sqlx::test]
async fn an_invalid_edit_is_reported_and_nothing_is_stored(pool: PgPool) {
    let (app, movies, user) = stage(&pool).await;
    let twins = json!([{"id": 100, "name": "Twin"}, {"id": 101, "name": "twin"}]);
    movies.tell("movie.synced", 605, film(605, 1, twins));
    app.knows_films(3).await;
    let path = format!("/api/v1/users/{user}/taste");
    for (edit, field) in [
        (json!({"kind": "genre", "id": 18}), "score"),
        (
            json!({"kind": "genre", "id": 18, "score": 101}),
            "edits[0].score",
        ),
        (
            json!({"kind": "genre", "id": 18, "score": "high"}),
            "edits[0].score",
        ),
        (
            json!({"kind": "genre", "id": 99, "score": 1}),
            "edits[0].id",
        ),
        (json!({"kind": "genre", "score": 1}), "edits[0].id"),
        (
            json!({"kind": "genre", "id": 18, "name": "Drama", "score": 1}),
            "edits[0].id",
        ),
        (
            json!({"kind": "genre", "name": "Noir", "score": 1}),
            "edits[0].name",
        ),
        (
            json!({"kind": "genre", "name": "twin", "score": 1}),
            "edits[0].name",
        ),
        (
            json!({"kind": "language", "name": "korean", "score": 1}),
            "edits[0].name",
        ),
        (
            json!({"kind": "mood", "name": "x", "score": 1}),
            "edits[0].kind",
        ),
    ] {
        let answer = app.patch(&path, json!({"edits": [edit]})).await;
        assert_eq!(answer.status.as_u16(), 400, "{edit}");
        let named = answer.body["errors"][0]["field"]
            .as_str()
            .unwrap_or_default();
        assert!(named.ends_with(field), "{edit}: {named}");
    }
    let drama = json!({"kind": "genre", "id": 18, "score": 1});
    let twice = json!({"edits": [drama, drama]});
    let many = json!({"edits": vec![drama.clone(); 101]});
    for body in [json!({"edits": []}), twice, many, json!({})] {
        assert_eq!(app.patch(&path, body).await.status, 400);
    }
    let one = json!({"edits": [drama]});
    let answer = app.patch("/api/v1/users/999/taste", one).await;
    assert_problem(&answer, 404, "user not found");
    let answer = app.get("/api/v1/users/999/taste").await;
    assert_problem(&answer, 404, "user not found");
    assert_eq!(taste(&app, user).await["genres"], json!([]));
}
