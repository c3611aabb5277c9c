//! Restarts, replicas and lost connections.

use chassis::testing::{TcpProxy, eventually, get};
use serde_json::json;
use sqlx::PgPool;

use crate::{TestApp, owner::Owner};

async fn body(test: &TestApp) -> serde_json::Value {
    get(&test.app, "/api/v1/users/7/recommendations").await.body
}

async fn tell_some(movies: &Owner, users: &Owner) {
    users.user(7, 1, json!({"preferred_genres": ["Drama"]}));
    for id in 1..=30 {
        movies.film(
            id,
            1,
            json!({"popularity": id as f64, "genres": [{"id": 1, "name": "Drama"}]}),
        );
    }
    users.interaction(1, 7, 30, "watched");
}

#[sqlx::test]
async fn a_restarted_process_continues_from_its_cursor(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    tell_some(&test.movies, &test.users).await;
    eventually("all is known", async || {
        body(&test).await["recommendations"][0]["id"] == 29
    })
    .await;
    let before = body(&test).await;
    let (movies, users) = test.stop().await;
    let again = TestApp::beside(&pool, movies, users).await;
    again.until_ready().await;
    assert_eq!(body(&again).await, before);
    assert_eq!(
        (again.movies.snapshots(), again.users.snapshots()),
        (1, 1),
        "only at first"
    );
}

#[sqlx::test]
async fn an_expired_cursor_leads_to_a_new_snapshot(pool: PgPool) {
    let test = TestApp::ready(&pool).await;
    tell_some(&test.movies, &test.users).await;
    eventually("all is known", async || {
        body(&test).await["recommendations"][0]["id"] == 29
    })
    .await;
    test.movies.forget();
    test.movies.film(99, 1, json!({}));
    test.movies.expire();
    eventually("only what the snapshot has", async || {
        let films = body(&test).await["recommendations"].clone();
        films
            .as_array()
            .is_some_and(|films| films.len() == 1 && films[0]["id"] == 99)
    })
    .await;
}

/// Waits until `statement` returns `count`.
async fn becomes(pool: &PgPool, statement: &'static str, count: i64) {
    eventually(statement, async || {
        // A busy server may refuse a connection once.
        let counted = sqlx::query_scalar::<_, i64>(statement)
            .fetch_one(pool)
            .await;
        counted.is_ok_and(|counted| counted == count)
    })
    .await;
}

#[sqlx::test]
async fn two_replicas_give_the_same_lists(pool: PgPool) {
    let one = TestApp::ready(&pool).await;
    let two = TestApp::beside(&pool, one.movies.clone(), one.users.clone()).await;
    two.until_ready().await;
    tell_some(&one.movies, &one.users).await;
    for test in [&one, &two] {
        eventually("all is known", async || {
            body(test).await["recommendations"][0]["id"] == 29
        })
        .await;
    }
    assert_eq!(body(&one).await, body(&two).await);
    // Lists are made from memory, which is ahead of the database.
    becomes(&pool, "select count(*) from movie", 30).await;
}

#[sqlx::test]
async fn lists_are_served_without_postgres_and_readiness_fails(
    options: sqlx::postgres::PgPoolOptions,
    connect: sqlx::postgres::PgConnectOptions,
) {
    let host = tokio::net::lookup_host((connect.get_host(), connect.get_port()))
        .await
        .unwrap()
        .next()
        .unwrap();
    let wire = TcpProxy::to(host).await;
    let pool = options
        .acquire_timeout(std::time::Duration::from_millis(500))
        .connect_with(connect.host("127.0.0.1").port(wire.address().port()))
        .await
        .unwrap();
    let test = TestApp::ready(&pool).await;
    tell_some(&test.movies, &test.users).await;
    eventually("all is known", async || {
        body(&test).await["recommendations"][0]["id"] == 29
    })
    .await;
    wire.cut();
    eventually("not ready", async || {
        get(&test.app, "/health/ready").await.status == 503
    })
    .await;
    let ready = get(&test.app, "/health/ready").await.expect(503);
    let postgres = &ready["dependencies"].as_array().unwrap()[2];
    assert_eq!(
        (&postgres["name"], &postgres["status"] != "ok"),
        (&json!("postgres"), true)
    );
    get(&test.app, "/health/live").await.expect(200);
    test.users.interaction(2, 7, 29, "dislike");
    eventually("fresh without a database", async || {
        body(&test).await["recommendations"][0]["id"] == 28
    })
    .await;
    wire.restore();
    eventually("ready again", async || {
        get(&test.app, "/health/ready").await.status == 200
    })
    .await;
    becomes(&pool, "select count(*) from user_movie", 2).await;
}
