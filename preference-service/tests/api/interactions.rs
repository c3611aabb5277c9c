//! Recording interactions and listing them.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::stage::{Mood, TestApp, assert_problem};

fn ids(page: &Value) -> Vec<i64> {
    page["interactions"]
        .as_array()
        .expect("interactions")
        .iter()
        .filter_map(|interaction| interaction["id"].as_i64())
        .collect()
}

#[sqlx::test]
async fn interactions_are_stored_and_listed_newest_first(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/interactions");
    let mut stored = Vec::new();
    for kind in [
        "like",
        "dislike",
        "watchlist",
        "watched",
        "superlike",
        "like",
    ] {
        let body = json!({"movie_id": 603, "interaction_type": kind});
        let answer = app.post(&path, body).await.expect(201);
        assert_eq!(answer["user_id"], user);
        assert_eq!(answer["movie_id"], 603);
        assert_eq!(answer["interaction_type"], kind);
        assert!(
            answer["created_at"]
                .as_str()
                .is_some_and(|at| at.ends_with('Z'))
        );
        assert_eq!(answer["occurred_at"], answer["created_at"]);
        assert_eq!(answer.as_object().map(|answer| answer.len()), Some(6));
        stored.insert(0, answer);
    }
    let list = app.get(&path).await;
    assert!(!list.headers.contains_key("link"));
    assert_eq!(
        list.expect(200),
        json!({"user_id": user, "interactions": stored, "next_cursor": null})
    );
}

#[sqlx::test]
async fn a_user_without_interactions_has_an_empty_list(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let user = app.user("anna").await;
    let list = app.get(&format!("/api/v1/users/{user}/interactions")).await;
    assert_eq!(
        list.expect(200),
        json!({"user_id": user, "interactions": [], "next_cursor": null})
    );
}

#[sqlx::test]
async fn type_movie_id_user_and_movie_are_checked_in_this_order(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    for (user, body, status, error) in [
        (
            999,
            json!({"movie_id": 0, "interaction_type": "love"}),
            400,
            "invalid interaction type: love",
        ),
        (
            999,
            json!({"movie_id": 0}),
            400,
            "invalid interaction type: ",
        ),
        (
            999,
            json!({"movie_id": "x", "interaction_type": "Like"}),
            400,
            "invalid interaction type: Like",
        ),
        (
            999,
            json!({"interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (
            999,
            json!({"movie_id": 0, "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (
            999,
            json!({"movie_id": -3, "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (
            999,
            json!({"movie_id": "603", "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (
            999,
            json!({"movie_id": 1.5, "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (
            999,
            json!({"movie_id": 9_223_372_036_854_775_808_u64, "interaction_type": "like"}),
            400,
            "invalid movie ID",
        ),
        (
            999,
            json!({"movie_id": 1, "interaction_type": "like"}),
            404,
            "user not found",
        ),
        (
            user,
            json!({"movie_id": 1, "interaction_type": "like"}),
            404,
            "movie not found",
        ),
    ] {
        let path = format!("/api/v1/users/{user}/interactions");
        let answer = app.post(&path, body).await;
        let fields = assert_problem(&answer, status, error);
        if status == 400 {
            let field = if error.contains("type") {
                "interaction_type"
            } else {
                "movie_id"
            };
            assert_eq!(fields, [field]);
        }
    }
    assert_eq!(app.count("interaction").await, 0);
    assert_eq!(app.count("outbox").await, 1);
    // Invalid requests cause no request to movie-service.
    assert_eq!(movies.asked_movies(), [1]);
}

#[sqlx::test]
async fn a_long_unknown_type_is_truncated_in_the_problem(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let body = json!({"movie_id": 603, "interaction_type": "é".repeat(10_000)});
    let answer = app.post("/api/v1/users/1/interactions", body).await;
    assert_eq!(answer.status.as_u16(), 400);
    assert!(answer.text.len() < 2000, "{} bytes", answer.text.len());
}

#[sqlx::test]
async fn a_movie_in_the_read_model_needs_no_request(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    movies.mood(Mood::Silent);
    app.interact(user, "like", 603).await;
    assert!(movies.asked_movies().is_empty());
}

#[sqlx::test]
async fn a_movie_missing_from_the_read_model_is_confirmed_by_request(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    movies.hide(11);
    app.interact(user, "like", 11).await;
    movies.remove(603, 2);
    app.knows_films(1).await;
    let path = format!("/api/v1/users/{user}/interactions");
    let body = json!({"movie_id": 603, "interaction_type": "like"});
    assert_problem(&app.post(&path, body).await, 404, "movie not found");
    assert_eq!(movies.asked_movies(), [11, 603]);
}

#[sqlx::test]
async fn an_unconfirmed_movie_is_refused_while_movie_service_fails(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/interactions");
    for mood in [Mood::Failing, Mood::Silent] {
        movies.mood(mood);
        let body = json!({"movie_id": 11, "interaction_type": "like"});
        let started = Instant::now();
        let answer = app.post(&path, body).await;
        assert!(started.elapsed() < Duration::from_secs(4));
        assert_problem(&answer, 503, "the film catalogue is unavailable");
        assert!(answer.headers.contains_key("retry-after"));
    }
    assert_eq!(app.count("interaction").await, 0);
}

#[sqlx::test]
async fn pages_neither_skip_nor_repeat_while_interactions_are_recorded(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let (anna, boris) = (app.user("anna").await, app.user("boris").await);
    let mut expected = Vec::new();
    for number in 0..7 {
        let kind = if number % 2 == 0 { "like" } else { "dislike" };
        expected.insert(0, app.interact(anna, kind, 603).await);
        app.interact(boris, "like", 604).await;
    }
    let mut path = format!("/api/v1/users/{anna}/interactions?limit=3");
    let mut seen = Vec::new();
    for last in [false, false, true] {
        let page = app.get(&path).await;
        seen.extend(ids(&page.body));
        assert_eq!(page.body["next_cursor"].is_null(), last);
        assert_eq!(page.headers.contains_key("link"), !last);
        app.interact(anna, "like", 604).await;
        if !last {
            let link = page.headers["link"].to_str().expect("text");
            let (target, relation) = link.split_once('>').expect("a link");
            assert_eq!(relation, "; rel=\"next\"");
            path = target.trim_start_matches('<').to_owned();
            let cursor = page.body["next_cursor"].as_str().expect("a cursor");
            assert!(path.contains(&format!("cursor={cursor}")), "{path}");
        }
    }
    assert_eq!(seen, expected);
}

#[sqlx::test]
async fn a_list_can_be_filtered_by_type(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let user = app.user("anna").await;
    let mut likes = Vec::new();
    for _ in 0..3 {
        likes.insert(0, app.interact(user, "like", 603).await);
        app.interact(user, "dislike", 603).await;
    }
    let path = format!("/api/v1/users/{user}/interactions?type=like&limit=2");
    let page = app.get(&path).await;
    let link = page.headers["link"].to_str().expect("text").to_owned();
    assert!(link.contains("type=like"), "{link}");
    assert_eq!(ids(&page.body), likes[..2]);
    let next = link
        .trim_start_matches('<')
        .split('>')
        .next()
        .expect("a path")
        .to_owned();
    assert_eq!(ids(&app.get(&next).await.expect(200)), likes[2..]);
    let path = format!("/api/v1/users/{user}/interactions?type=superlike");
    assert_eq!(ids(&app.get(&path).await.expect(200)), [0; 0]);
}

#[sqlx::test]
async fn an_invalid_parameter_is_reported_by_name(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let user = app.user("anna").await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=1000000000000000000000", "limit"),
        ("type=love", "type"),
        ("type=", "type"),
        ("cursor=x", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=eyJiZWZvcmUiOjB9", "cursor"),
        ("limit=1&limit=2", "limit"),
        ("limits=1", "limits"),
        ("cursor=%00", "cursor"),
        ("cursor=%ff", "cursor"),
    ] {
        let answer = app
            .get(&format!("/api/v1/users/{user}/interactions?{query}"))
            .await;
        assert_eq!(answer.status.as_u16(), 400, "{query}: {}", answer.text);
        assert_eq!(answer.body["errors"][0]["field"], field, "{query}");
    }
    for limit in [1, 1000] {
        let path = format!("/api/v1/users/{user}/interactions?limit={limit}");
        let _ = app.get(&path).await.expect(200);
    }
}

#[sqlx::test]
async fn an_interaction_waits_for_the_previous_one_of_the_same_user(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let (anna, boris) = (app.user("anna").await, app.user("boris").await);
    let mut before = pool.begin().await.expect("a transaction");
    let first: i64 = sqlx::query_scalar(
        "with locked as (select id from user_account where id = $1 for no key update)
         insert into interaction (user_id, movie_id, interaction_type)
         select id, 603, 'like' from locked
         returning id",
    )
    .bind(anna)
    .fetch_one(&mut *before)
    .await
    .expect("an id");
    let (second, _) = tokio::join!(app.interact(anna, "like", 604), async {
        // Other users do not wait.
        app.interact(boris, "like", 604).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let path = format!("/api/v1/users/{anna}/interactions");
        assert_eq!(ids(&app.get(&path).await.expect(200)), [0; 0]);
        before.commit().await.expect("a commit");
    });
    let path = format!("/api/v1/users/{anna}/interactions");
    assert_eq!(ids(&app.get(&path).await.expect(200)), [second, first]);
    assert!(second > first);
}

#[sqlx::test]
async fn ids_of_one_user_rise_with_the_time_of_storing(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    (700..724).for_each(|film| movies.sync(film, 1, "a film"));
    app.knows_films(26).await;
    let user = app.user("anna").await;
    join_all((700..724).map(|film| app.interact(user, "like", film))).await;
    let list = app
        .get(&format!("/api/v1/users/{user}/interactions"))
        .await
        .expect(200);
    assert_eq!(ids(&list).len(), 24);
    let instants: Vec<&str> = list["interactions"]
        .as_array()
        .expect("interactions")
        .iter()
        .filter_map(|interaction| interaction["created_at"].as_str())
        .collect();
    assert!(
        instants.is_sorted_by(|newer, older| newer >= older),
        "{instants:?}"
    );
}

#[sqlx::test]
async fn a_repeated_interaction_returns_the_first_one(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/interactions");
    let rating = json!({"movie_id": 603, "interaction_type": "rating", "rating": 3.5});
    let progress = json!({"movie_id": 603, "interaction_type": "progress",
        "position_seconds": 60, "duration_seconds": 8160});
    let of = |kind: &str| json!({"movie_id": 603, "interaction_type": kind});
    for body in [of("like"), of("watchlist"), rating, progress, of("watched")] {
        let first = app.post(&path, body.clone()).await.expect(201);
        let stored = (app.count("interaction").await, app.count("outbox").await);
        assert_eq!(app.post(&path, body.clone()).await.expect(201), first);
        let again = (app.count("interaction").await, app.count("outbox").await);
        assert_eq!(again, stored, "{body}");
        for field in ["rating", "position_seconds", "duration_seconds"] {
            assert_eq!(first.get(field), body.get(field), "{field}");
        }
    }
    app.interact(user, "dislike", 603).await;
    let second = app.interact(user, "like", 603).await;
    let list = app.get(&path).await.expect(200);
    assert_eq!(ids(&list)[0], second);
    assert_eq!(ids(&list).len(), 7);
}

#[sqlx::test]
async fn an_invalid_or_misplaced_value_is_reported_by_name(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let user = app.user("anna").await;
    let path = format!("/api/v1/users/{user}/interactions");
    for (kind, values, field) in [
        ("rating", json!({}), "rating"),
        ("rating", json!({"rating": 0}), "rating"),
        ("rating", json!({"rating": 5.5}), "rating"),
        ("rating", json!({"rating": 3.3}), "rating"),
        (
            "rating",
            json!({"rating": 3, "position_seconds": 1}),
            "position_seconds",
        ),
        ("like", json!({"duration_seconds": 1}), "duration_seconds"),
        (
            "progress",
            json!({"position_seconds": 1}),
            "duration_seconds",
        ),
        (
            "progress",
            json!({"position_seconds": 2, "duration_seconds": 1}),
            "position_seconds",
        ),
        (
            "progress",
            json!({"position_seconds": -1, "duration_seconds": 1}),
            "position_seconds",
        ),
        (
            "progress",
            json!({"position_seconds": 1, "duration_seconds": 604_801}),
            "duration_seconds",
        ),
        (" like", json!({}), "interaction_type"),
        ("reaction_removed", json!({}), "interaction_type"),
        ("bookmark_removed", json!({}), "interaction_type"),
        ("rating_removed", json!({}), "interaction_type"),
        ("watch_removed", json!({}), "interaction_type"),
    ] {
        let mut body = json!({"movie_id": 603, "interaction_type": kind});
        for (name, value) in values.as_object().expect("an object") {
            body[name] = value.clone();
        }
        let answer = app.post(&path, body.clone()).await;
        assert_eq!(answer.status.as_u16(), 400, "{body}");
        assert_eq!(answer.body["errors"][0]["field"], field, "{body}");
    }
}
