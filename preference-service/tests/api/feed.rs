//! The change feed: the snapshot, the records after it, and that none is ever skipped.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use chassis::{feed::outbox::Outbox, shutdown::Shutdown};
use futures_util::future::join_all;
use preference_service::repository::changes::SNAPSHOT;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};
use sqlx::{PgPool, postgres::PgPoolOptions};

use crate::stage::{TestApp, assert_problem};

/// The model of a consumer: the newest profile of each user and the newest state per movie.
#[derive(Debug, Default, PartialEq)]
struct Model {
    profiles: BTreeMap<i64, Value>,
    films: BTreeMap<(i64, i64), Value>,
}

impl Model {
    fn apply(&mut self, change: &Value) {
        let payload = &change["payload"];
        let number = |name: &str| payload[name].as_i64().expect("a number");
        match change["name"].as_str() {
            Some("user.profile.updated") => {
                let id = number("user_id");
                assert_eq!(change["key"], id.to_string());
                let known = self.profiles.get(&id);
                if known.is_none_or(|known| version(known) < version(payload)) {
                    self.profiles.insert(id, payload.clone());
                }
            }
            Some("interaction.recorded") => {
                let id = number("id");
                assert_eq!(change["key"], id.to_string());
                let pair = (number("user_id"), number("movie_id"));
                let known = self.films.get(&pair).and_then(|known| known["id"].as_i64());
                if known < Some(id) {
                    self.films.insert(pair, payload.clone());
                }
            }
            other => panic!("{other:?} is not a change of this service"),
        }
    }

    /// The model of a consumer that starts now.
    async fn present(app: &TestApp) -> Self {
        let mut model = Self::default();
        for change in &snapshot(app).await.1 {
            model.apply(change);
        }
        model
    }
}

fn version(profile: &Value) -> i64 {
    profile["version"].as_i64().expect("a version")
}

/// The snapshot: its cursor and its changes.
async fn snapshot(app: &TestApp) -> (String, Vec<Value>) {
    let answer = app.get("/internal/v1/snapshot").await;
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let mut lines: Vec<Value> = answer
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let end = lines.pop().expect("an end");
    let begin = lines.remove(0);
    assert_eq!(end, json!({"end": true, "count": lines.len()}));
    (
        begin["cursor"].as_str().expect("a cursor").to_owned(),
        lines,
    )
}

/// Reads the feed once.
async fn read(app: &TestApp, after: &str, limit: usize, wait: u64) -> (String, Vec<Value>) {
    let path = format!("/internal/v1/changes?after={after}&limit={limit}&wait={wait}");
    let body = app.get(&path).await.expect(200);
    let next = body["next"].as_str().expect("a cursor").to_owned();
    (next, body["changes"].as_array().expect("changes").clone())
}

/// Everything after `after`, until `count` changes have come. Records stay hidden while any older
/// transaction of the whole server runs, those of other tests too, hence the patience.
async fn tail(app: &TestApp, after: &str, count: usize) -> Vec<Value> {
    let (mut cursor, mut all) = (after.to_owned(), Vec::new());
    let started = Instant::now();
    while all.len() < count {
        let (next, changes) = read(app, &cursor, 7, 10).await;
        all.extend(changes);
        cursor = next;
        let came = all.len();
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{came} of {count} changes came"
        );
    }
    assert_eq!(all.len(), count);
    all
}

fn names(changes: &[Value]) -> Vec<&str> {
    changes
        .iter()
        .filter_map(|change| change["name"].as_str())
        .collect()
}

#[sqlx::test]
async fn change_records_have_the_documented_payloads(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let (cursor, changes) = snapshot(&app).await;
    assert!(changes.is_empty());
    let user = app.user("anna").await;
    let body = json!({"preferred_genres": ["Drama"], "preferred_language": "ko", "min_rating": 6});
    let path = format!("/api/v1/users/{user}/preferences");
    let _ = app.post(&path, body).await.expect(200);
    let id = app.interact(user, "like", 603).await;
    let changes = tail(&app, &cursor, 3).await;
    assert_eq!(
        names(&changes),
        [
            "user.profile.updated",
            "user.profile.updated",
            "interaction.recorded"
        ]
    );
    let mut payloads: Vec<Value> = changes
        .iter()
        .map(|change| change["payload"].clone())
        .collect();
    let at = payloads[2]["created_at"].clone();
    for payload in &mut payloads {
        let created = payload["created_at"].take();
        let created = created.as_str().expect("an instant");
        assert!(created.ends_with('Z') && created.contains('T'), "{created}");
    }
    assert_eq!(
        payloads,
        [
            json!({"user_id": user, "version": 1, "preferred_genres": [], "taste_edits": [],
                   "preferred_language": null, "min_rating": 0, "created_at": null}),
            json!({"user_id": user, "version": 2, "preferred_genres": ["Drama"], "taste_edits": [],
                   "preferred_language": "ko", "min_rating": 6, "created_at": null}),
            // Absent values are left out.
            json!({"id": id, "user_id": user, "movie_id": 603, "interaction_type": "like",
                   "occurred_at": at, "created_at": null, "state": {
                       "reaction": "like", "reacted_at": at, "bookmarked": false, "watched": false,
                       "watched_seconds": 0, "completed": false}}),
        ]
    );
}

#[sqlx::test]
async fn refused_requests_have_no_change_record(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    app.knows_films(2).await;
    let (cursor, _) = snapshot(&app).await;
    let user = app.user("anna").await;
    let again = json!({"username": "ANNA", "email": "other@example.org"});
    assert_eq!(app.post("/api/v1/users", again).await.status, 409);
    let path = format!("/api/v1/users/{user}/interactions");
    let body = json!({"movie_id": 1, "interaction_type": "like"});
    assert_eq!(app.post(&path, body).await.status, 404);
    assert_eq!(tail(&app, &cursor, 1).await[0]["key"], user.to_string());
    assert_eq!(app.count("outbox").await, 1);
}

#[sqlx::test]
async fn a_snapshot_and_the_records_after_it_equal_the_tables(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let mut users = Vec::new();
    for name in ["anna", "boris", "chloé"] {
        users.push(app.user(name).await);
    }
    let work = async |round: usize| {
        for user in &users {
            let body = json!({"preferred_genres": [format!("genre {round}")], "min_rating": round});
            let path = format!("/api/v1/users/{user}/preferences");
            let _ = app.post(&path, body).await.expect(200);
            app.interact(*user, ["like", "dislike"][round % 2], 603)
                .await;
            let path = format!("/api/v1/users/{user}/interactions");
            for body in [
                json!({"movie_id": 603, "interaction_type": "progress",
                       "position_seconds": round * 60, "duration_seconds": 180}),
                json!({"movie_id": 604, "interaction_type": "rating", "rating": round as f64 + 0.5}),
                json!({"movie_id": 604, "interaction_type": "watchlist"}),
            ] {
                let _ = app.post(&path, body).await.expect(201);
            }
        }
    };
    work(1).await;
    let (cursor, changes) = snapshot(&app).await;
    assert_eq!(changes.len(), 9);
    work(2).await;
    work(3).await;
    let mut model = Model::default();
    for change in &changes {
        model.apply(change);
    }
    // Changes that the snapshot has already may be shown again where another transaction of the
    // server was under way, so their number is not known.
    let mut after = cursor;
    let tables = Model::present(&app).await;
    for _ in 0..30 {
        let (next, changes) = read(&app, &after, 5, 5).await;
        for change in &changes {
            model.apply(change);
        }
        after = next;
        if model == tables {
            break;
        }
    }
    assert_eq!(model, tables);
}

#[sqlx::test]
async fn an_early_transaction_that_commits_late_is_not_skipped(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let (cursor, _) = snapshot(&app).await;
    let mut early = pool.begin().await.expect("a transaction");
    sqlx::query("insert into outbox (name, key, payload) values ('early', '1', '{}')")
        .execute(&mut *early)
        .await
        .expect("a record");

    let user = app.user("late").await;
    let _ = app.get(&format!("/api/v1/users/{user}")).await.expect(200);
    let (next, changes) = read(&app, &cursor, 100, 1).await;
    assert_eq!((next.as_str(), changes.len()), (cursor.as_str(), 0));

    early.commit().await.expect("a commit");
    let changes = tail(&app, &cursor, 2).await;
    assert_eq!(names(&changes), ["early", "user.profile.updated"]);
}

#[sqlx::test]
async fn a_snapshot_during_an_early_transaction_does_not_skip_it(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let mut early = pool.begin().await.expect("a transaction");
    sqlx::query("insert into outbox (name, key, payload) values ('early', '1', '{}')")
        .execute(&mut *early)
        .await
        .expect("a record");
    app.user("late").await;
    let (cursor, changes) = snapshot(&app).await;
    assert_eq!(names(&changes), ["user.profile.updated"]);
    early.commit().await.expect("a commit");
    let changes = tail(&app, &cursor, 2).await;
    assert_eq!(names(&changes), ["early", "user.profile.updated"]);
}

#[sqlx::test]
async fn each_of_many_overlapping_transactions_is_read_once(pool: PgPool) {
    const WRITERS: usize = 12;
    const EACH: usize = 8;
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let (cursor, _) = snapshot(&app).await;
    let writers = PgPoolOptions::new()
        .max_connections(WRITERS as u32)
        .connect_with((*pool.connect_options()).clone())
        .await
        .expect("connections");
    let write = join_all((0..WRITERS).map(|writer| {
        let writers = &writers;
        async move {
            for number in 0..EACH {
                let mut transaction = writers.begin().await?;
                sqlx::query("insert into outbox (name, key, payload) values ('slow', $1, '{}')")
                    .bind((writer * EACH + number).to_string())
                    .execute(&mut *transaction)
                    .await?;
                // Long and short in turn, so that many a later one ends before an earlier one.
                let pause = (writer * 7 + number * 13) % 40;
                tokio::time::sleep(Duration::from_millis(pause as u64)).await;
                transaction.commit().await?;
            }
            Ok::<_, sqlx::Error>(())
        }
    }));
    let (written, told) = tokio::join!(write, tail(&app, &cursor, WRITERS * EACH));
    for result in written {
        result.expect("written");
    }
    let mut keys: Vec<usize> = told
        .iter()
        .map(|change| change["key"].as_str().and_then(|key| key.parse().ok()))
        .map(|key| key.expect("a number"))
        .collect();
    keys.sort_unstable();
    assert!(keys.iter().copied().eq(0..WRITERS * EACH), "{keys:?}");
    writers.close().await;
}

#[sqlx::test]
async fn transactions_are_ordered_by_number_not_by_digits(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    for transaction in ["9", "10", "99", "100", "101"] {
        sqlx::query(
            "insert into outbox (xid, name, key, payload) values ($1::xid8, 'x', $1, '{}')",
        )
        .bind(transaction)
        .execute(&pool)
        .await
        .expect("a record");
    }
    let mut path = "/internal/v1/changes?limit=2".to_owned();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let body = app.get(&path).await.expect(200);
        for change in body["changes"].as_array().expect("changes") {
            keys.push(change["key"].as_str().expect("a key").to_owned());
        }
        let next = body["next"].as_str().expect("a cursor");
        path = format!("/internal/v1/changes?limit=2&after={next}");
    }
    assert_eq!(keys, ["9", "10", "99", "100", "101"]);
}

#[sqlx::test]
async fn a_waiting_reader_receives_changes_of_any_process_at_once(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    let other = TestApp::new(&pool, &movies);
    for (reader, writer) in [(&app, &app), (&app, &other), (&other, &app)] {
        // A reader that is not notified polls after a second. The fastest of a few attempts
        // counts, since the machine may be busy with others.
        let mut quickest = Duration::MAX;
        for _ in 0..10 {
            let (cursor, _) = snapshot(reader).await;
            let name = format!("user{}", reader.count("outbox").await);
            let started = Instant::now();
            let told = async {
                let mut after = cursor;
                loop {
                    let (next, changes) = read(reader, &after, 1000, 10).await;
                    after = next;
                    if let Some(last) = changes.last() {
                        let user: i64 = last["key"].as_str()?.parse().ok()?;
                        let path = format!("/api/v1/users/{user}");
                        let known = reader.get(&path).await.expect(200);
                        if known["username"] == name.as_str() {
                            return Some(());
                        }
                    }
                }
            };
            let (told, _) = tokio::join!(told, async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                writer.user(&name).await
            });
            assert!(told.is_some());
            quickest = quickest.min(started.elapsed());
            if quickest < Duration::from_millis(500) {
                break;
            }
        }
        assert!(quickest < Duration::from_millis(500), "{quickest:?}");
    }
}

#[sqlx::test]
async fn an_expired_or_foreign_cursor_is_gone(pool: PgPool) {
    let (app, _movies) = TestApp::beside_movies(&pool).await;
    let (cursor, _) = snapshot(&app).await;
    app.user("anna").await;
    assert_eq!(tail(&app, &cursor, 1).await.len(), 1);

    let shutdown = Shutdown::default();
    let outbox = Outbox::new(pool.clone(), SNAPSHOT, Duration::from_secs(3600), &shutdown);
    assert_eq!(outbox.expire_once(Duration::ZERO).await.expect("expiry"), 1);
    for path in [
        format!("/internal/v1/changes?after={cursor}"),
        "/internal/v1/changes".to_owned(),
        format!("/internal/v1/changes?after={}.1.1", "0".repeat(32)),
    ] {
        let answer = app.get(&path).await;
        assert_problem(&answer, 410, "the cursor is too old");
    }
    let (cursor, changes) = snapshot(&app).await;
    assert_eq!(changes.len(), 1);
    let user = app.user("boris").await;
    assert_eq!(tail(&app, &cursor, 1).await[0]["key"], user.to_string());

    for path in [
        "/internal/v1/changes?after=x",
        "/internal/v1/changes?limit=0",
        "/internal/v1/changes?wait=31",
    ] {
        assert_eq!(app.get(path).await.status, 400, "{path}");
    }
    shutdown.start();
    assert!(shutdown.drain(Duration::from_secs(5)).await);
}

#[sqlx::test]
async fn repeated_changes_in_any_order_lead_to_the_tables(pool: PgPool) {
    let (app, movies) = TestApp::beside_movies(&pool).await;
    (700..715).for_each(|film| movies.sync(film, 1, "a film"));
    app.knows_films(17).await;
    let (cursor, _) = snapshot(&app).await;
    let mut users = Vec::new();
    for name in ["anna", "boris", "chloé", "dora"] {
        users.push(app.user(name).await);
    }
    join_all((0..60).map(|number| {
        let (app, users) = (&app, &users);
        async move {
            let user = users[number % users.len()];
            if number % 3 == 0 {
                let kind = ["like", "dislike", "watchlist", "watched"][number / 3 % 4];
                app.interact(user, kind, 700 + number as i64 / 4).await;
            } else {
                let path = format!("/api/v1/users/{user}/preferences");
                let body = json!({"preferred_genres": [format!("genre {number}")]});
                let _ = app.post(&path, body).await.expect(200);
            }
        }
    }))
    .await;
    let changes = tail(&app, &cursor, 64).await;
    let tables = Model::present(&app).await;
    assert_eq!(tables.films.len(), 20);

    let twice: Vec<usize> = (0..changes.len()).chain(0..changes.len()).collect();
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..50 {
        let order = Just(twice.clone()).prop_shuffle();
        let order = order.new_tree(&mut runner).expect("an order").current();
        let mut model = Model::default();
        for position in &order {
            model.apply(&changes[*position]);
        }
        assert_eq!(model, tables, "{order:?}");
    }
}
