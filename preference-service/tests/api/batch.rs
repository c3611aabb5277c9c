//! Batches of interactions.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chassis::testing::TestResponse;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{Mood, TestApp, assert_problem};

const PATH: &str = "/api/v1/interactions/batch";

async fn batch(app: &TestApp, principal: Option<(i64, &str)>, events: Value) -> TestResponse {
    let mut request = Request::builder().method(Method::POST).uri(PATH);
    if let Some((subject, role)) = principal {
        let principal = json!({"subject": subject.to_string(), "role": role}).to_string();
        request = request.header("x-principal", principal);
    }
    let body = Body::from(json!({"interactions": events}).to_string());
    chassis::testing::send(&app.router, request.body(body).expect("valid")).await
}

fn statuses(answer: &Value) -> Vec<i64> {
    let results = answer["results"].as_array().expect("results");
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index);
    }
    let status = |result: &Value| result["status"].as_i64().expect("a status");
    results.iter().map(status).collect()
}

#[sqlx::test]
async fn each_interaction_has_its_own_result_in_order(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let events = json!([
        {"user_id": user, "movie_id": 603, "interaction_type": "rating", "rating": 2.5, "occurred_at": "2020-02-02T10:00:00Z"},
        {"user_id": user, "movie_id": 603, "interaction_type": "rating", "rating": 2.75},
        {"user_id": user, "movie_id": 603, "interaction_type": "rating", "rating": 2.5, "occurred_at": "2020-02-02T10:00:00Z"},
        {"user_id": user, "movie_id": 605, "interaction_type": "like"},
        {"user_id": user + 1, "movie_id": 603, "interaction_type": "like"},
        {"user_id": user, "movie_id": 604, "interaction_type": "progress", "position_seconds": 60, "duration_seconds": 600},
        {"user_id": user, "movie_id": 604, "interaction_type": "love"},
        {"user_id": user, "movie_id": "604", "interaction_type": "like"},
        {"user_id": user, "movie_id": 604, "interaction_type": "like", "ratng": 1},
        {"movie_id": 604, "interaction_type": "like"},
        {"user_id": user, "movie_id": 604, "interaction_type": "like", "occurred_at": "1066-10-14T00:00:00Z"},
        7,
        {"user_id": user, "movie_id": 604, "interaction_type": "like", "occurred_at": "yesterday"},
    ]);
    let answer = batch(&app, None, events).await.expect(200);
    let wanted = [
        201, 400, 200, 404, 404, 201, 400, 400, 400, 400, 400, 400, 400,
    ];
    assert_eq!(statuses(&answer), wanted, "{answer:#}");
    assert_eq!(
        (answer["succeeded"].as_i64(), answer["failed"].as_i64()),
        (Some(3), Some(10))
    );
    let results = &answer["results"];
    assert_eq!(results[0]["interaction"]["rating"], 2.5);
    assert_eq!(
        results[0]["interaction"]["occurred_at"],
        "2020-02-02T10:00:00Z"
    );
    assert_eq!(results[2]["interaction"], results[0]["interaction"]);
    assert_eq!(results[5]["interaction"]["position_seconds"], 60);
    assert_eq!(results[3]["error"], "movie not found");
    assert_eq!(results[3]["type"], "/problems/movie-not-found");
    assert_eq!(results[4]["error"], "user not found");
    for (place, field) in [
        (1, "interactions[1].rating"),
        (6, "interactions[6].interaction_type"),
        (7, "interactions[7].movie_id"),
        (8, "interactions[8].ratng"),
        (9, "interactions[9].user_id"),
        (10, "interactions[10].occurred_at"),
        (11, "interactions[11]"),
        (12, "interactions[12].occurred_at"),
    ] {
        assert_eq!(
            results[place]["errors"][0]["field"], field,
            "{}",
            results[place]
        );
    }
    assert_eq!(app.count("interaction").await, 2);
}

#[sqlx::test]
async fn users_record_for_themselves_and_administrators_for_all(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let (anna, berta) = (app.user("anna").await, app.user("berta").await);
    let events = json!([
        {"movie_id": 603, "interaction_type": "like"},
        {"user_id": anna, "movie_id": 603, "interaction_type": "like"},
        {"user_id": berta, "movie_id": 603, "interaction_type": "like"},
    ]);
    let by_anna = batch(&app, Some((anna, "user")), events.clone())
        .await
        .expect(200);
    assert_eq!(statuses(&by_anna), [201, 200, 403]);
    assert_eq!(by_anna["results"][0]["interaction"]["user_id"], anna);
    assert_eq!(by_anna["results"][2]["type"], "/problems/forbidden");
    let by_admin = batch(&app, Some((berta, "admin")), events.clone())
        .await
        .expect(200);
    assert_eq!(statuses(&by_admin), [201, 200, 200]);
    let inside = batch(&app, None, events).await.expect(200);
    assert_eq!(statuses(&inside), [400, 200, 200]);
    // A token whose subject is not a user.
    let stranger = Request::builder()
        .method(Method::POST)
        .uri(PATH)
        .header("x-principal", r#"{"subject":"partner","role":"user"}"#)
        .body(Body::from(json!({"interactions": [{"user_id": anna, "movie_id": 603, "interaction_type": "like"}]}).to_string()))
        .expect("valid");
    let answer = chassis::testing::send(&app.router, stranger)
        .await
        .expect(200);
    assert_eq!(statuses(&answer), [403]);
}

#[sqlx::test]
async fn movies_missing_from_the_read_model_are_confirmed_in_one_request(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    movies.hide(700);
    movies.leave_to_tmdb(800);
    let like = |movie: i64| json!({"user_id": user, "movie_id": movie, "interaction_type": "like"});
    let mut events: Vec<Value> = (0..50).map(|_| like(700)).collect();
    events.extend([like(603), like(800), like(900), like(700)]);
    let answer = batch(&app, None, json!(events)).await.expect(200);
    assert_eq!(statuses(&answer)[49..], [200, 201, 201, 404, 200]);
    assert_eq!(statuses(&answer)[0], 201);
    let asked: Vec<usize> = movies.asked_matches().iter().map(Vec::len).collect();
    assert_eq!(asked, [3]);
    assert_eq!(movies.asked_movies(), [0_i64; 0]);

    movies.mood(Mood::Failing);
    let answer = batch(&app, None, json!([like(603), like(901)]))
        .await
        .expect(200);
    assert_eq!(
        statuses(&answer),
        [200, 503],
        "a known movie is stored all the same"
    );
}

#[sqlx::test]
async fn an_empty_or_oversized_batch_is_refused(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let event = json!({"movie_id": 603, "interaction_type": "like"});
    for events in [json!([]), json!(vec![event; 1001])] {
        let answer = batch(&app, None, events).await;
        let error = "invalid interactions: must be 1 to 1000 interactions";
        assert_eq!(assert_problem(&answer, 400, error), ["interactions"]);
    }
    let answer = batch(&app, None, json!({})).await;
    assert_eq!(
        assert_problem(&answer, 400, "invalid request body"),
        ["interactions"]
    );
}

#[sqlx::test]
async fn a_batch_under_an_idempotency_key_is_recorded_once(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let body =
        json!({"interactions": [{"user_id": user, "movie_id": 603, "interaction_type": "like"}]});
    let send = async || {
        let request = Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header("idempotency-key", "k")
            .body(Body::from(body.to_string()));
        chassis::testing::send(&app.router, request.expect("valid"))
            .await
            .expect(200)
    };
    let first = send().await;
    assert_eq!(statuses(&first), [201]);
    assert_eq!(send().await, first);
}
