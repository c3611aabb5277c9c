//! Counters per movie.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{TestApp, assert_problem};

async fn stats(app: &TestApp, movie: i64) -> Value {
    app.get(&format!("/api/v1/movies/{movie}/stats"))
        .await
        .expect(200)
}

#[sqlx::test]
async fn counters_follow_every_change_of_state(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let (anna, boris) = (app.user("anna").await, app.user("boris").await);
    let nothing = json!({"movie_id": 603, "like_count": 0, "dislike_count": 0, "superlike_count": 0,
        "bookmark_count": 0, "view_count": 0, "rating_count": 0, "rating_average": null});
    assert_eq!(stats(&app, 603).await, nothing);
    let put = async |user: i64, path: &str, body: Value| {
        let path = format!("/api/v1/users/{user}/{path}/603");
        let _ = app.put(&path, body).await.expect(200);
    };
    for user in [anna, boris] {
        put(user, "reactions", json!({"reaction": "like"})).await;
        put(user, "bookmarks", Value::Null).await;
        put(
            user,
            "watch",
            json!({"position_seconds": 95, "duration_seconds": 100}),
        )
        .await;
    }
    put(anna, "ratings", json!({"rating": 4.5})).await;
    put(boris, "ratings", json!({"rating": 2})).await;
    put(boris, "reactions", json!({"reaction": "superlike"})).await;
    assert_eq!(
        stats(&app, 603).await,
        json!({"movie_id": 603, "like_count": 1, "dislike_count": 0, "superlike_count": 1,
               "bookmark_count": 2, "view_count": 2, "rating_count": 2, "rating_average": 3.25})
    );
    for user in [anna, boris] {
        for path in ["reactions", "bookmarks", "watch", "ratings"] {
            let path = format!("/api/v1/users/{user}/{path}/603");
            assert_eq!(app.delete(&path).await.status, 204);
        }
    }
    assert_eq!(stats(&app, 603).await, nothing);

    let answer = app.get("/api/v1/movies/1/stats").await;
    assert_problem(&answer, 404, "movie not found");
    movies.hide(11);
    assert_eq!(stats(&app, 11).await["like_count"], 0);
    let answer = app.get("/api/v1/movies/x/stats").await;
    assert_problem(&answer, 400, "invalid movie ID");
}

#[sqlx::test]
async fn other_services_get_the_counters_of_many_movies(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let anna = app.user("anna").await;
    app.interact(anna, "like", 604).await;
    let body = app
        .get("/internal/v1/stats?ids=603,604,1")
        .await
        .expect(200);
    assert_eq!(body, json!({"stats": [stats(&app, 604).await]}));
    let many = vec!["7"; 1001].join(",");
    for ids in ["", "603,", "x", "0", &many] {
        let answer = app.get(&format!("/internal/v1/stats?ids={ids}")).await;
        assert_eq!(answer.status.as_u16(), 400);
        assert_eq!(answer.body["errors"][0]["field"], "ids");
    }
}
