//! Charts, with Redis and without.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Method, Request},
};
use chassis::testing::{RedisServer, eventually};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sqlx::PgPool;
use tower::ServiceExt;

use crate::stage::{Mood, MovieService, TestApp, assert_problem};

const FILMS: [i64; 4] = [603, 604, 605, 1000];

/// The service beside a movie-service with four films, and three users.
async fn stage(pool: &PgPool, redis: &str) -> (TestApp, MovieService, [i64; 3]) {
    let movies = MovieService::start().await;
    for id in FILMS {
        movies.sync(id, 1, &format!("Film {id}"));
    }
    let settings = [("REDIS_URL", redis), ("REDIS_TIMEOUT_MS", "5000")];
    let app = TestApp::with(pool, &movies, &settings);
    app.knows_films(FILMS.len()).await;
    let users = [
        app.user("anna").await,
        app.user("berta").await,
        app.user("carla").await,
    ];
    (app, movies, users)
}

/// (film, count) of a chart, from its first place on.
fn places(chart: &Value) -> Vec<(i64, i64)> {
    let data = chart["data"].as_array().expect("places");
    data.iter()
        .map(|place| {
            let id = place["movie"]["id"].as_i64().expect("an id");
            (id, place["count"].as_i64().expect("a count"))
        })
        .collect()
}

async fn top(app: &TestApp, query: &str) -> Vec<(i64, i64)> {
    let path = format!("/api/v1/charts/top{query}");
    places(&app.get(&path).await.expect(200))
}

async fn becomes(app: &TestApp, query: &str, expected: &[(i64, i64)]) {
    eventually(query, async || top(app, query).await == expected).await;
}

#[sqlx::test]
async fn a_chart_follows_interactions_and_removals(pool: PgPool) {
    let redis = RedisServer::start();
    let (app, _movies, [anna, berta, carla]) = stage(&pool, &redis.url()).await;
    assert_eq!(top(&app, "").await, []);
    for (user, film) in [
        (anna, 1000),
        (berta, 1000),
        (anna, 605),
        (carla, 604),
        (carla, 604),
    ] {
        app.interact(user, "watchlist", film).await;
    }
    app.interact(anna, "like", 603).await;
    app.interact(berta, "superlike", 603).await;
    app.interact(carla, "dislike", 603).await;
    // Equal counts are ordered by the movie's id.
    becomes(&app, "", &[(1000, 2), (604, 1), (605, 1)]).await;
    becomes(&app, "?limit=1&window=week", &[(1000, 2)]).await;
    becomes(&app, "?metric=likes&window=day", &[(603, 2)]).await;
    becomes(&app, "?metric=watches", &[]).await;

    app.interact(berta, "dislike", 603).await;
    let bookmark = format!("/api/v1/users/{berta}/reactions/603");
    assert_eq!(app.delete(&bookmark).await.status, 204);
    becomes(&app, "?metric=likes&window=day", &[(603, 1)]).await;
    becomes(&app, "?metric=likes", &[(603, 1)]).await;

    let chart = app.get("/api/v1/charts/top?limit=2").await.expect(200);
    assert_eq!(chart["data"][1]["rank"], 2);
    assert_eq!(chart["data"][1]["movie"]["title"], "Film 604");
}

#[sqlx::test]
async fn charts_fall_back_to_postgres_and_redis_catches_up(pool: PgPool) {
    let mut redis = RedisServer::start();
    let (app, _movies, [anna, berta, _]) = stage(&pool, &redis.url()).await;
    app.interact(anna, "like", 603).await;
    becomes(&app, "?metric=likes", &[(603, 1)]).await;
    redis.stop();
    app.interact(berta, "like", 604).await;
    app.interact(anna, "dislike", 603).await;
    becomes(&app, "?metric=likes", &[(604, 1)]).await;
    becomes(&app, "?metric=likes&window=day", &[(604, 1)]).await;
    redis.resume();
    // Redis restarts empty.
    eventually("the charts are built anew", async || {
        differences(&redis, &pool).await == Some(0)
    })
    .await;
    becomes(&app, "?metric=likes", &[(604, 1)]).await;
}

/// The number of counts that differ between Redis and Postgres; `None` without charts in Redis.
async fn differences(redis: &RedisServer, pool: &PgPool) -> Option<usize> {
    let client = redis::Client::open(redis.url()).expect("a URL");
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let mut command = redis::cmd("ZRANGE");
    command
        .arg("{chart}:likes:all")
        .arg(0)
        .arg(-1)
        .arg("WITHSCORES");
    let held: Vec<(String, i64)> = command.query_async(&mut connection).await.ok()?;
    let state: Option<String> = redis::cmd("HGET")
        .arg("{chart}:state")
        .arg("cursor")
        .query_async(&mut connection)
        .await
        .ok()?;
    state?;
    let held: BTreeMap<i64, i64> = held
        .into_iter()
        .map(|(member, count)| (i64::MAX - member.parse::<i64>().expect("digits"), count))
        .collect();
    let counted: Vec<(i64, i64)> = sqlx::query_as(
        "select movie_id, like_count + superlike_count from movie_stats
         where like_count + superlike_count > 0",
    )
    .fetch_all(pool)
    .await
    .expect("counts");
    let differing = counted
        .iter()
        .filter(|(id, count)| held.get(id) != Some(count));
    Some(differing.count() + held.len().saturating_sub(counted.len()))
}

#[sqlx::test]
async fn past_hours_leave_the_windows(pool: PgPool) {
    let redis = RedisServer::start();
    let (app, movies, [anna, berta, carla]) = stage(&pool, &redis.url()).await;
    for (user, film) in [(anna, 603), (berta, 604), (carla, 605)] {
        app.interact(user, "watched", film).await;
    }
    app.stop().await;
    // Moved into the past.
    for (film, ago) in [(604, "24 hours"), (605, "168 hours")] {
        sqlx::query("update chart_count set hour = hour - $1::interval where movie_id = $2")
            .bind(ago)
            .bind(film)
            .execute(&pool)
            .await
            .expect("an hour");
    }
    for redis in ["", &redis.url()] {
        let settings = [("REDIS_URL", redis), ("REDIS_TIMEOUT_MS", "5000")];
        let later = TestApp::with(&pool, &movies, &settings);
        if !redis.is_empty() {
            flush(redis).await;
        }
        becomes(&later, "?metric=watches&window=day", &[(603, 1)]).await;
        becomes(&later, "?metric=watches&window=week", &[(603, 1), (604, 1)]).await;
        let all = [(603, 1), (604, 1), (605, 1)];
        becomes(&later, "?metric=watches&window=all", &all).await;
        later.stop().await;
    }
}

async fn flush(redis: &str) {
    let client = redis::Client::open(redis).expect("a URL");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("Redis");
    let _: () = redis::cmd("FLUSHALL")
        .query_async(&mut connection)
        .await
        .expect("empty");
}

#[sqlx::test]
async fn filters_are_applied_by_movie_service(pool: PgPool) {
    let redis = RedisServer::start();
    let (app, movies, [anna, berta, _]) = stage(&pool, &redis.url()).await;
    app.interact(anna, "watchlist", 604).await;
    app.interact(anna, "watchlist", 605).await;
    app.interact(berta, "watchlist", 604).await;
    becomes(&app, "", &[(604, 2), (605, 1)]).await;
    // The fake movie-service returns the genre of movies with an odd id.
    becomes(&app, "?genres=Odd", &[(605, 1)]).await;
    let answer = app.get("/api/v1/charts/top?year=99").await;
    assert_eq!(
        assert_problem(&answer, 400, "invalid year: must be a year"),
        ["year"]
    );
    for (query, field) in [
        ("?limit=0", "limit"),
        ("?limit=101", "limit"),
        ("?metric=views", "metric"),
        ("?window=month", "window"),
        ("?genre=Odd", "genre"),
    ] {
        let problem = app.get(&format!("/api/v1/charts/top{query}")).await;
        let problem = problem.expect(400);
        assert_eq!(problem["errors"][0]["field"], field, "{query}");
    }
    movies.mood(Mood::Failing);
    // Recently selected movies are cached, others cannot be selected.
    assert_eq!(top(&app, "?genres=Odd").await, [(605, 1)]);
    app.get("/api/v1/charts/top?genres=Even").await.expect(503);
}

#[sqlx::test]
async fn a_low_ranked_movie_that_passes_a_filter_is_found(pool: PgPool) {
    let (app, _movies, [anna, ..]) = stage(&pool, "redis://127.0.0.1:1").await;
    app.interact(anna, "watchlist", 605).await;
    // Movies above it that are not in the catalogue.
    sqlx::query(
        "insert into chart_count (movie_id, metric, hour, count)
         select id, 'bookmarks', date_trunc('hour', now(), 'UTC'), 2 from generate_series(10001, 22500) id",
    )
    .execute(&pool)
    .await
    .expect("rows");
    assert_eq!(top(&app, "?genres=Odd").await, [(605, 1)]);
    assert_eq!(top(&app, "?limit=3").await, [(605, 1)]);
}

#[sqlx::test]
async fn a_removed_movie_leaves_no_gap(pool: PgPool) {
    let redis = RedisServer::start();
    let (app, movies, [anna, berta, _]) = stage(&pool, &redis.url()).await;
    for (user, film) in [(anna, 603), (berta, 603), (anna, 604)] {
        app.interact(user, "watchlist", film).await;
    }
    movies.remove(603, 2);
    becomes(&app, "?limit=1", &[(604, 1)]).await;
}

#[sqlx::test]
async fn an_event_stream_sends_every_change_of_a_chart(pool: PgPool) {
    let redis = RedisServer::start();
    let (app, _movies, [anna, ..]) = stage(&pool, &redis.url()).await;
    let request = Request::builder()
        .method(Method::GET)
        .uri("/api/v1/charts/top?metric=likes")
        .header("accept", "text/event-stream")
        .body(Body::empty())
        .expect("valid");
    let response = app.router.clone().oneshot(request).await.expect("answered");
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let mut events = response.into_body().into_data_stream();
    assert_eq!(next_places(&mut events).await, []);
    app.interact(anna, "like", 604).await;
    assert_eq!(next_places(&mut events).await, [(604, 1)]);
    app.interact(anna, "dislike", 604).await;
    assert_eq!(next_places(&mut events).await, []);
    // A stopping process ends its streams.
    app.stop().await;
    while let Some(chunk) = events.next().await {
        let chunk = chunk.expect("a whole event");
        assert!(!chunk.starts_with(b"event: chart"), "{chunk:?}");
    }
}

async fn next_places(
    events: &mut (impl futures_util::Stream<Item = Result<bytes::Bytes, axum::Error>> + Unpin),
) -> Vec<(i64, i64)> {
    loop {
        let chunk = events.next().await.expect("an event").expect("whole");
        let text = std::str::from_utf8(&chunk).expect("text");
        if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
            return places(&serde_json::from_str(data).expect("JSON"));
        }
    }
}

#[sqlx::test]
async fn charts_support_conditional_requests(pool: PgPool) {
    let (app, _movies, [anna, ..]) = stage(&pool, "").await;
    app.interact(anna, "like", 604).await;
    let path = "/api/v1/charts/top?metric=likes";
    let first = app.get(path).await;
    let etag = first.headers["etag"].clone();
    assert!(first.headers.contains_key("cache-control"));
    let request = Request::builder()
        .uri(path)
        .header("if-none-match", &etag)
        .body(Body::empty())
        .expect("valid");
    let again = app.router.clone().oneshot(request).await.expect("answered");
    assert_eq!(again.status(), 304);
    let body = again.into_body().collect().await.expect("empty").to_bytes();
    assert!(body.is_empty());
    assert_eq!(json!(first.body["metric"]), "likes");
}

#[sqlx::test]
async fn an_erased_user_leaves_every_chart(pool: PgPool) {
    let redis = RedisServer::start();
    let (app, _movies, [anna, berta, _]) = stage(&pool, &redis.url()).await;
    for user in [anna, berta] {
        app.interact(user, "like", 604).await;
    }
    app.interact(anna, "like", 603).await;
    let queries = ["?metric=likes&window=day", "?metric=likes&window=all"];
    for query in queries {
        becomes(&app, query, &[(604, 2), (603, 1)]).await;
    }
    let erased = app.delete(&format!("/api/v1/users/{anna}")).await;
    assert_eq!(erased.status, 204);
    for query in queries {
        becomes(&app, query, &[(604, 1)]).await;
    }
    assert_eq!(differences(&redis, &pool).await, Some(0));
}

#[sqlx::test]
async fn charts_and_counters_are_public_and_the_same_for_every_caller(pool: PgPool) {
    let (app, _movies, [anna, berta, _]) = stage(&pool, "").await;
    app.interact(anna, "like", 604).await;
    let callers = [
        None,
        Some(json!({"subject": anna.to_string(), "role": "user"})),
        Some(json!({"subject": berta.to_string(), "role": "user"})),
        Some(json!({"subject": "1", "role": "admin"})),
    ];
    for (path, control) in [
        ("/api/v1/charts/top?metric=likes", "public, max-age=1, "),
        ("/api/v1/movies/604/stats", "public, max-age=5, "),
    ] {
        let mut bodies = Vec::new();
        for caller in &callers {
            let mut request = Request::get(path);
            if let Some(caller) = caller {
                request = request.header("x-principal", caller.to_string());
            }
            let request = request.body(Body::empty()).expect("a request");
            let response = chassis::testing::send(&app.router, request).await;
            let sent = response.headers["cache-control"].to_str().expect("text");
            assert!(sent.starts_with(control), "{path}: {sent}");
            if path.contains("charts") {
                let mut vary = response.headers.get_all("vary").iter();
                assert!(vary.any(|name| name == "Accept"), "{path}");
            }
            bodies.push(response.expect(200));
        }
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    }
    // A user's own data are not.
    let own = app.get(&format!("/api/v1/users/{anna}/reactions")).await;
    let control = own.headers.get("cache-control");
    assert!(control.is_none_or(|control| !control.to_str().expect("text").contains("public")));
}
