//! Reactions: at most one per user and movie, whatever the order of requests.

use futures_util::future::join_all;
use serde_json::json;
use sqlx::PgPool;

use crate::stage::{TestApp, assert_problem};

#[sqlx::test]
async fn a_reaction_is_set_replaced_and_removed(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/reactions/603");
    assert_problem(&app.get(&path).await, 404, "reaction not found");
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(app.count("interaction").await, 0);

    let liked = app
        .put(&path, json!({"reaction": "like"}))
        .await
        .expect(200);
    assert_eq!(
        liked,
        json!({"user_id": user, "movie_id": 603, "reaction": "like",
               "reacted_at": liked["reacted_at"]})
    );
    assert_eq!(app.get(&path).await.expect(200), liked);
    let again = app
        .put(&path, json!({"reaction": "like"}))
        .await
        .expect(200);
    assert_eq!(again, liked);
    assert_eq!(
        (app.count("interaction").await, app.count("outbox").await),
        (1, 2)
    );

    let disliked = app
        .put(&path, json!({"reaction": "dislike"}))
        .await
        .expect(200);
    assert_eq!(disliked["reaction"], "dislike");
    for _ in 0..2 {
        assert_eq!(app.delete(&path).await.status, 204);
        assert_problem(&app.get(&path).await, 404, "reaction not found");
    }
    let log = app
        .get(&format!("/api/v1/users/{user}/interactions"))
        .await
        .expect(200);
    let kinds: Vec<&str> = log["interactions"]
        .as_array()
        .expect("interactions")
        .iter()
        .filter_map(|entry| entry["interaction_type"].as_str())
        .collect();
    assert_eq!(kinds, ["reaction_removed", "dislike", "like"]);
}

#[sqlx::test]
async fn unknown_and_invalid_users_movies_and_reactions_are_reported(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let like = json!({"reaction": "like"});
    for (path, error) in [
        (
            "/api/v1/users/999/reactions/603".to_owned(),
            "user not found",
        ),
        (
            format!("/api/v1/users/{user}/reactions/1"),
            "movie not found",
        ),
    ] {
        assert_problem(&app.put(&path, like.clone()).await, 404, error);
        assert_problem(&app.delete(&path).await, 404, error);
    }
    // Clearing a reaction that was never set causes no request to movie-service.
    assert_eq!(movies.asked_movies(), [1]);
    for (path, error, field) in [
        ("/api/v1/users/0/reactions/603", "invalid user ID", "id"),
        (
            "/api/v1/users/1/reactions/x",
            "invalid movie ID",
            "movie_id",
        ),
    ] {
        for answer in [
            app.put(path, like.clone()).await,
            app.get(path).await,
            app.delete(path).await,
        ] {
            assert_eq!(assert_problem(&answer, 400, error), [field]);
        }
    }
    let path = format!("/api/v1/users/{user}/reactions/603");
    for (body, field) in [
        (json!({}), "reaction"),
        (json!({"reaction": "love"}), "reaction"),
        (json!({"reaction": null}), "reaction"),
        (json!({"reactoin": "like"}), "reactoin"),
    ] {
        let answer = app.put(&path, body).await;
        assert_eq!(answer.status.as_u16(), 400, "{}", answer.text);
        assert_eq!(answer.body["errors"][0]["field"], field);
    }
    assert_eq!(app.count("user_movie").await, 0);
}

#[sqlx::test]
async fn a_reaction_to_a_removed_movie_can_be_cleared_but_not_set(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/reactions/603");
    let _ = app
        .put(&path, json!({"reaction": "like"}))
        .await
        .expect(200);
    movies.remove(603, 2);
    app.knows_films(1).await;
    assert_problem(
        &app.put(&path, json!({"reaction": "dislike"})).await,
        404,
        "movie not found",
    );
    assert_eq!(app.delete(&path).await.status, 204);
    assert_problem(&app.get(&path).await, 404, "reaction not found");
}

#[sqlx::test]
async fn one_of_many_concurrent_reactions_wins_and_counters_match_the_rows(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    // Two processes, so that one needs users that the other has locked.
    let other = TestApp::new(&pool, &movies);
    let mut users = Vec::new();
    for number in 0..8 {
        users.push(app.user(&format!("user{number}")).await);
    }
    join_all((0..32_usize).map(|connection| {
        let (users, app) = (&users, [&app, &other][connection % 2]);
        async move {
            for round in 0..12 {
                let number = connection * 7 + round * 5;
                let path = format!("/api/v1/users/{}/reactions/603", users[number % 8]);
                match ["like", "dislike", "superlike"].get(number % 4) {
                    Some(reaction) => {
                        let body = json!({"reaction": reaction});
                        let _ = app.put(&path, body).await.expect(200);
                    }
                    None => assert_eq!(app.delete(&path).await.status, 204),
                }
            }
        }
    }))
    .await;
    let rows: (i64, i64, i64) = sqlx::query_as(
        "select count(*) filter (where reaction = 'like'), count(*) filter (where reaction = 'dislike'),
                count(*) filter (where reaction = 'superlike') from user_movie where movie_id = 603",
    )
    .fetch_one(&pool)
    .await
    .expect("rows");
    let counters: (i64, i64, i64) = sqlx::query_as(
        "select like_count, dislike_count, superlike_count from movie_stats where movie_id = 603",
    )
    .fetch_one(&pool)
    .await
    .expect("counters");
    assert_eq!(counters, rows);
}
