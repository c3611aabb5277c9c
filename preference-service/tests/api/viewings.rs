//! Viewings: recording, listing and deleting, and the watch state that follows from them.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{TestApp, assert_problem};

async fn stage(pool: &PgPool) -> (TestApp, i64, String) {
    let (app, _movies) = TestApp::beside_movies(pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    (app, user, format!("/api/v1/users/{user}/viewings"))
}

/// The days, ratings and sources of a list.
fn listed(page: &Value) -> Vec<(i64, Option<&str>, Option<f64>)> {
    page["viewings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|viewing| {
            let movie = viewing["movie_id"].as_i64().expect("a movie");
            (movie, viewing["day"].as_str(), viewing["rating"].as_f64())
        })
        .collect()
}

#[sqlx::test]
async fn a_movie_is_seen_many_times_and_a_day_counts_once(pool: PgPool) {
    let (app, user, path) = stage(&pool).await;
    let unknown = json!({"movie_id": 603});
    let first = app.post(&path, unknown.clone()).await.expect(201);
    assert_eq!(
        first,
        json!({"id": "603-unknown", "user_id": user, "movie_id": 603, "day": null,
               "watched_at": null, "rating": null, "source": "manual"})
    );
    assert_eq!(app.post(&path, unknown.clone()).await.expect(200), first);
    let watch = format!("/api/v1/users/{user}/watch/603");
    let state = app.get(&watch).await.expect(200);
    assert_eq!(
        (
            &state["completed"],
            &state["completed_at"],
            &state["watched_at"]
        ),
        (&json!(true), &Value::Null, &json!("1970-01-01T00:00:00Z"))
    );
    for (day, rating) in [
        ("2021-05-01", Some(4.0)),
        ("2020-03-02", None),
        ("2022-07-08", Some(4.5)),
    ] {
        let body = json!({"movie_id": 603, "day": day, "rating": rating, "source": "letterboxd"});
        let seen = app.post(&path, body.clone()).await.expect(201);
        assert_eq!(app.post(&path, body).await.expect(200), seen);
    }
    // The unknown day counts no more, and does not when it is reported again.
    app.post(&path, unknown).await.expect(200);
    let page = app.get(&path).await.expect(200);
    assert_eq!(
        listed(&page),
        [
            (603, Some("2022-07-08"), Some(4.5)),
            (603, Some("2021-05-01"), Some(4.0)),
            (603, Some("2020-03-02"), None),
        ]
    );
    let state = app.get(&watch).await.expect(200);
    assert_eq!(state["completed_at"], "2020-03-02T00:00:00Z");
    assert_eq!(state["watched_at"], "2022-07-08T00:00:00Z");
    let rating = format!("/api/v1/users/{user}/ratings/603");
    assert_eq!(app.get(&rating).await.expect(200)["rating"], 4.5);
    let stats = app.get("/api/v1/movies/603/stats").await.expect(200);
    assert_eq!(stats["view_count"], 1, "each user counts once");

    // The exact time and another rating are merged into the viewing of their day.
    let exact = json!({"movie_id": 603, "watched_at": "2022-07-08T20:15:00Z", "rating": 3.0});
    let merged = app.post(&path, exact).await.expect(201);
    assert_eq!(
        (&merged["id"], &merged["watched_at"], &merged["rating"]),
        (
            &json!("603-2022-07-08"),
            &json!("2022-07-08T20:15:00Z"),
            &json!(3.0)
        )
    );

    for day in ["2022-07-08", "2021-05-01", "2020-03-02"] {
        let path = format!("{path}/603-{day}");
        assert_eq!(app.delete(&path).await.status, 204);
        assert_eq!(app.delete(&path).await.status, 204);
    }
    let page = app.get(&path).await.expect(200);
    assert_eq!(
        listed(&page),
        [(603, None, None)],
        "the unknown day counts again"
    );
    app.delete(&watch).await;
    assert_eq!(listed(&app.get(&path).await.expect(200)), []);
    assert_problem(&app.get(&watch).await, 404, "watch entry not found");
}

#[sqlx::test]
async fn viewings_are_listed_in_pages_the_last_day_first(pool: PgPool) {
    let (app, user, path) = stage(&pool).await;
    for body in [
        json!({"movie_id": 603, "day": "2020-01-01"}),
        json!({"movie_id": 604, "day": "2020-01-01"}),
        json!({"movie_id": 603, "day": "2021-01-01"}),
    ] {
        app.post(&path, body).await.expect(201);
    }
    let undated = app.user("boris").await;
    let other = format!("/api/v1/users/{undated}/viewings");
    for movie in [603, 604] {
        app.post(&other, json!({"movie_id": movie}))
            .await
            .expect(201);
    }
    for (path, expected) in [
        (
            &path,
            vec![
                (603, Some("2021-01-01")),
                (604, Some("2020-01-01")),
                (603, Some("2020-01-01")),
            ],
        ),
        (&other, vec![(604, None), (603, None)]),
    ] {
        let (mut seen, mut next) = (Vec::new(), Some(format!("{path}?limit=1")));
        while let Some(page) = next {
            let page = app.get(&page).await.expect(200);
            seen.extend(
                listed(&page)
                    .iter()
                    .map(|(movie, day, _)| (*movie, day.map(str::to_owned))),
            );
            next = page["next_cursor"]
                .as_str()
                .map(|cursor| format!("{path}?limit=1&cursor={cursor}"));
        }
        let expected: Vec<(i64, Option<String>)> = expected
            .into_iter()
            .map(|(movie, day)| (movie, day.map(str::to_owned)))
            .collect();
        assert_eq!(seen, expected);
    }
    let of_one = app.get(&format!("{path}?movie_id=604")).await.expect(200);
    assert_eq!(listed(&of_one), [(604, Some("2020-01-01"), None)]);
    let text = app
        .get(&format!("/api/v1/users/{user}/export"))
        .await
        .expect(200);
    assert_eq!(text["viewings"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        text["viewings"][0],
        json!({"movie_id": 603, "title": text["viewings"][0]["title"], "day": "2020-01-01",
               "watched_at": null, "rating": null, "source": "manual"})
    );
}

#[sqlx::test]
async fn bad_viewings_are_refused(pool: PgPool) {
    let (app, _, path) = stage(&pool).await;
    for body in [
        json!({"movie_id": 603, "day": "1800-01-01"}),
        json!({"movie_id": 603, "day": "2999-01-01"}),
        json!({"movie_id": 603, "day": "yesterday"}),
        json!({"movie_id": 603, "watched_at": "2999-01-01T00:00:00Z"}),
        json!({"movie_id": 603, "day": "2020-01-01", "watched_at": "2020-01-02T00:00:00Z"}),
        json!({"movie_id": 603, "rating": 0.25}),
        json!({"movie_id": 603, "source": "My Site"}),
        json!({"movie_id": 603, "seen": true}),
        json!({"movie_id": "x"}),
        json!({}),
    ] {
        let response = app.post(&path, body.clone()).await;
        assert_eq!(response.status, 400, "{body}: {}", response.text);
    }
    let missing = app.post(&path, json!({"movie_id": 9_999_999})).await;
    assert_problem(&missing, 404, "movie not found");
    let missing = app
        .post("/api/v1/users/999/viewings", json!({"movie_id": 603}))
        .await;
    assert_problem(&missing, 404, "user not found");
    assert_problem(
        &app.get("/api/v1/users/999/viewings").await,
        404,
        "user not found",
    );
    assert_problem(
        &app.delete(&format!("{path}/603-2020-01-01")).await,
        404,
        "viewing not found",
    );
    for id in [
        "603",
        "603-2020-1-1",
        "603-2020-13-01",
        "x-unknown",
        "0603-unknown",
        "603-1970-01-01",
    ] {
        assert_eq!(
            app.delete(&format!("{path}/{id}")).await.status,
            400,
            "{id}"
        );
    }
    assert_eq!(app.get(&format!("{path}?cursor=abc")).await.status, 400);
}

#[sqlx::test]
async fn a_movie_completed_before_viewings_were_stored_has_one(pool: PgPool) {
    let (app, user, path) = stage(&pool).await;
    app.interact(user, "watched", 603).await;
    // As the release before left it.
    sqlx::raw_sql(
        "delete from viewing;
         update user_movie set viewing_count = 0, viewed_at = null,
             completed_at = '2019-04-05T10:00:00Z', watched_at = '2019-04-05T10:00:00Z'",
    )
    .execute(&pool)
    .await
    .expect("updated");
    let page = app.get(&path).await.expect(200);
    assert_eq!(listed(&page), [(603, Some("2019-04-05"), None)]);
    app.post(&path, json!({"movie_id": 603, "day": "2021-01-01"}))
        .await
        .expect(201);
    let page = app.get(&path).await.expect(200);
    assert_eq!(listed(&page).len(), 2);
    let path = format!("{path}/603-2019-04-05");
    assert_eq!(app.delete(&path).await.status, 204);
    let watch = format!("/api/v1/users/{user}/watch/603");
    let state = app.get(&watch).await.expect(200);
    assert_eq!(state["completed_at"], "2021-01-01T00:00:00Z");
}

#[sqlx::test]
async fn rewatches_count_in_taste_and_in_the_feed(pool: PgPool) {
    let (app, user, path) = stage(&pool).await;
    for day in ["2020-01-01", "2021-01-01"] {
        app.post(&path, json!({"movie_id": 603, "day": day}))
            .await
            .expect(201);
    }
    let payload: Value = sqlx::query_scalar(
        "select payload from outbox where name = 'interaction.recorded' order by seq desc limit 1",
    )
    .fetch_one(&pool)
    .await
    .expect("a record");
    assert_eq!(payload["user_id"], user);
    let state = &payload["state"];
    assert_eq!(
        (&state["viewings"], &state["viewed_at"]),
        (&json!(2), &json!("2021-01-01T00:00:00.000000Z"))
    );
    assert_eq!(state["completed_at"], "2020-01-01T00:00:00.000000Z");
    let snapshot: Value = sqlx::query_scalar("select payload from interaction_change")
        .fetch_one(&pool)
        .await
        .expect("a record");
    assert_eq!(snapshot["state"], *state);
}
