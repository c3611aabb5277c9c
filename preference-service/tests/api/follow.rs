//! The projection of movie-service's feed.

use chassis::{
    feed::{Change, follow::Projection},
    testing::eventually,
};
use preference_service::service::catalogue::CatalogueProjection;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::json;
use sqlx::PgPool;

use crate::stage::TestApp;

fn film(id: i64, version: i64, title: &str) -> (i64, i64, String) {
    (id, version, title.to_owned())
}

#[sqlx::test]
async fn movies_are_added_updated_and_removed(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    movies.sync(603, 2, "Matrix");
    movies.sync(605, 1, "The Matrix Revolutions");
    movies.remove(604, 2);
    let expected = [
        film(603, 2, "Matrix"),
        film(605, 1, "The Matrix Revolutions"),
    ];
    eventually("the films", async || app.films().await == expected).await;
    movies.sync(604, 3, "Reloaded");
    app.knows_films(3).await;
    assert_eq!(movies.snapshots(), 1);
}

#[sqlx::test]
async fn a_late_older_change_is_ignored(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    movies.remove(604, 5);
    movies.sync(604, 4, "an older version");
    movies.sync(603, 1, "the same version again");
    movies.sync(605, 1, "The Matrix Revolutions");
    app.knows_films(2).await;
    let expected = [
        film(603, 1, "The Matrix"),
        film(605, 1, "The Matrix Revolutions"),
    ];
    eventually("the films", async || app.films().await == expected).await;
}

#[sqlx::test]
async fn unknown_or_unreadable_changes_are_skipped(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    movies.tell(
        "movie.feature.updated",
        603,
        json!({"id": 603, "vector": [1, 2]}),
    );
    movies.tell("something.else", 1, json!("anything"));
    movies.tell(
        "movie.synced",
        7,
        json!({"id": 0, "version": 1, "title": "no id"}),
    );
    movies.tell("movie.synced", 8, json!({"id": 8}));
    movies.tell("movie.removed", 9, json!([]));
    movies.sync(605, 1, "The Matrix Revolutions");
    app.knows_films(3).await;
}

#[sqlx::test]
async fn after_a_restart_it_continues_from_its_cursor(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    movies.sync(605, 1, "The Matrix Revolutions");
    app.knows_films(3).await;
    app.stop().await;
    let asked = movies.asked_after().len();

    movies.sync(606, 1, "Resurrections");
    let app = TestApp::new(&pool, &movies);
    app.knows_films(4).await;
    assert_eq!(movies.snapshots(), 1);
    assert_eq!(movies.asked_after()[asked..][0], 3);
}

#[sqlx::test]
async fn an_expired_cursor_leads_to_a_new_snapshot(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    app.stop().await;

    movies.remove(604, 2);
    movies.sync(605, 1, "The Matrix Revolutions");
    movies.expire();
    let app = TestApp::new(&pool, &movies);
    let expected = [
        film(603, 1, "The Matrix"),
        film(605, 1, "The Matrix Revolutions"),
    ];
    eventually("the films", async || app.films().await == expected).await;
    assert_eq!(movies.snapshots(), 2);
    movies.sync(606, 1, "Resurrections");
    app.knows_films(3).await;
}

#[sqlx::test]
async fn an_incomplete_snapshot_is_not_applied(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    app.stop().await;

    movies.break_snapshots(true);
    movies.remove(604, 2);
    movies.expire();
    let app = TestApp::new(&pool, &movies);
    eventually("a second try", async || movies.snapshots() >= 3).await;
    assert_eq!(app.films().await.len(), 2);
    movies.break_snapshots(false);
    app.knows_films(1).await;
}

#[sqlx::test]
async fn two_processes_maintain_one_projection(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    let other = TestApp::new(&pool, &movies);
    for id in 1000..1100 {
        movies.sync(id, 1, "a film");
        tokio::task::yield_now().await;
    }
    app.knows_films(102).await;
    other.knows_films(102).await;
}

#[sqlx::test]
async fn repeated_changes_in_any_order_give_the_newest_version(pool: PgPool) {
    let projection = CatalogueProjection::new(pool.clone(), tokio::sync::watch::Sender::new(()));
    let mut runner = TestRunner::new(Config::default());
    for round in 0..30_i64 {
        // Versions of a few movies; some remove the movie.
        let history: Vec<(i64, i64, bool)> = (1..=6)
            .flat_map(|id| (1..=5).map(move |version| (id, version, (id * version) % 4 == 3)))
            .collect();
        let strategy = (
            Just([history.clone(), history].concat()).prop_shuffle(),
            1_usize..20,
        );
        let tree = strategy.new_tree(&mut runner).expect("an order");
        let (order, size) = tree.current();
        for batch in order.chunks(size) {
            let changes = batch
                .iter()
                .map(|&(id, version, removed)| change(round * 10 + id, version, removed))
                .collect();
            projection.apply(changes, "1").await.expect("applied");
        }
        let films: Vec<(i64, i64, bool)> =
            sqlx::query_as("select id, version, removed from movie where id > $1 order by id")
                .bind(round * 10)
                .fetch_all(&pool)
                .await
                .expect("films");
        let expected: Vec<(i64, i64, bool)> = (1..=6)
            .map(|id| (round * 10 + id, 5, (id * 5) % 4 == 3))
            .collect();
        assert_eq!(films, expected, "{order:?} by {size}");
    }
}

fn change(id: i64, version: i64, removed: bool) -> Change {
    let (name, payload) = if removed {
        ("movie.removed", json!({"id": id, "version": version}))
    } else {
        let title = format!("title {version}");
        (
            "movie.synced",
            json!({"id": id, "version": version, "title": title}),
        )
    };
    Change {
        name: name.to_owned(),
        key: id.to_string(),
        occurred_at: chrono::DateTime::UNIX_EPOCH,
        payload: serde_json::value::to_raw_value(&payload).expect("JSON"),
    }
}
