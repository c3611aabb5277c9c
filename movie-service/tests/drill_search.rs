//! A drill: searches while a thousand movies a second are stored. No search fails, and each change is found within a
//! second.
//! `scripts/test.sh --release -p movie-service -E 'test(drill_search)' --run-ignored only --no-capture` shows the figures.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a drill that cannot go on should say where, and it is read by people"
)]

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::Router;
use chassis::{
    Process, Settings,
    testing::{eventually, get},
};
use movie_service::{
    models::{Keyword, NewMovie, Person},
    repository::movies,
};
use sqlx::PgPool;

/// Movies of the catalogue, and per second.
const MOVIES: i64 = 5_000;
const PER_SECOND: i64 = 1_000;
/// Movies per transaction.
const BATCH: i64 = 50;
const DURATION: Duration = Duration::from_secs(20);
/// Pause between two measurements of freshness.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);

/// A movie whose title changes with `round`.
fn movie(id: i64, round: usize) -> NewMovie {
    NewMovie {
        id,
        title: format!(
            "Movie {} of the {}",
            word(id),
            word(i64::try_from(round).unwrap() + 7)
        ),
        original_title: format!("Movie {id}"),
        original_language: "en".to_owned(),
        vote_count: i32::try_from(id % 3_000).unwrap(),
        popularity: 1.0,
        people: (0..6)
            .map(|place| Person {
                id: 1 + (id * 7 + place) % 8_000,
                name: format!(
                    "{} {}",
                    word(id % 90 + place),
                    word(1 + (id * 7 + place) % 8_000)
                ),
                job: "Actor".to_owned(),
                ..Person::default()
            })
            .collect(),
        keywords: vec![Keyword {
            id: 1 + id % 400,
            name: word(1 + id % 400),
        }],
        document: serde_json::json!({ "id": id, "round": round }),
        source_hash: format!("{id}-{round}"),
        ..NewMovie::default()
    }
}

/// A word of letters, another for each number.
fn word(number: i64) -> String {
    let mut rest = number.unsigned_abs() * 2_654_435_761 % 456_976 + 456_976;
    let mut letters = String::new();
    while rest > 0 {
        letters.push(char::from(b'a' + u8::try_from(rest % 26).unwrap()));
        rest /= 26;
    }
    letters
}

async fn store(pool: &PgPool, batch: &[NewMovie]) {
    let mut transaction = pool.begin().await.unwrap();
    movies::upsert(&mut transaction, batch).await.unwrap();
    transaction.commit().await.unwrap();
}

fn service(pool: &PgPool) -> Router {
    let environment = HashMap::from([
        ("REDIS_URL".to_owned(), "redis://127.0.0.1:1/0".to_owned()),
        ("TMDB_API_KEY".to_owned(), String::new()),
    ]);
    let settings = Settings::merge(movie_service::config::DEFAULTS, &environment).unwrap();
    let process = Process::new(movie_service::NAME, settings).unwrap();
    let (routes, health) = movie_service::app::assemble(&process, pool.clone()).unwrap();
    process.application(routes, health, &movie_service::handler::openapi())
}

async fn found(app: &Router, query: &str) -> Option<i64> {
    let body = get(
        app,
        &format!("/api/v1/search?q={query}&page_size=1&facets=false"),
    )
    .await
    .expect(200);
    body["data"][0]["id"].as_i64()
}

fn at(times: &mut [Duration], share: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * share / 100]
}

#[sqlx::test]
#[ignore = "a drill of half a minute"]
async fn drill_search(pool: PgPool) {
    for first in (1..=MOVIES).step_by(500) {
        let batch: Vec<NewMovie> = (first..first + 500).map(|id| movie(id, 0)).collect();
        store(&pool, &batch).await;
    }
    let app = service(&pool);
    eventually("the index is built", async || {
        get(&app, "/api/v1/search?q=movie").await.status == 200
    })
    .await;
    let ended = Arc::new(AtomicBool::new(false));
    let stored = Arc::new(AtomicUsize::new(0));
    let writing = tokio::spawn({
        let (pool, ended, stored) = (pool.clone(), ended.clone(), stored.clone());
        async move {
            let mut ticks = tokio::time::interval(
                Duration::from_secs(1) / u32::try_from(PER_SECOND / BATCH).unwrap(),
            );
            for round in 1_usize.. {
                for first in (1..=MOVIES).step_by(usize::try_from(BATCH).unwrap()) {
                    ticks.tick().await;
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let batch: Vec<NewMovie> =
                        (first..first + BATCH).map(|id| movie(id, round)).collect();
                    store(&pool, &batch).await;
                    stored.fetch_add(batch.len(), Ordering::Relaxed);
                }
            }
        }
    });
    let searching = tokio::spawn({
        let (app, ended) = (app.clone(), ended.clone());
        async move {
            let mut times = Vec::new();
            for number in 0_i64.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                let query = word(number % MOVIES + 1);
                let started = Instant::now();
                found(&app, &query[..4]).await;
                times.push(started.elapsed());
            }
            times
        }
    });
    let (started, mut ages, mut number) = (Instant::now(), Vec::new(), 0);
    while started.elapsed() < DURATION {
        number += 1;
        let id = 1_000_000 + number;
        let title = format!("probe{}", word(number));
        store(
            &pool,
            &[NewMovie {
                title: title.clone(),
                ..movie(id, 0)
            }],
        )
        .await;
        let written = Instant::now();
        while found(&app, &title).await != Some(id) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ages.push(written.elapsed());
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
    let elapsed = started.elapsed().as_secs_f64();
    ended.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    let mut times = searching.await.unwrap();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = stored.load(Ordering::Relaxed) as f64 / elapsed;
    println!(
        "{rate:.0} movies/s stored; {} searches, none failed: p50 {:.1?}, p99 {:.1?}; found after p50 {:.0?}, p99 {:.0?}, longest {:.0?} of {}",
        times.len(),
        at(&mut times, 50),
        at(&mut times, 99),
        at(&mut ages, 50),
        at(&mut ages, 99),
        at(&mut ages, 100),
        ages.len(),
    );
    assert!(at(&mut ages, 99) <= Duration::from_secs(1));
}
