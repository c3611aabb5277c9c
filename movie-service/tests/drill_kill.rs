//! A drill: the real process, killed twice during an import of 2,000 movies, resumes; in the end every movie is stored
//! once and the counts are right.
//! `scripts/test.sh -p movie-service -E 'test(drill_kill)' --no-capture` shows the figures.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a drill that cannot go on should say where, and it is read by people"
)]

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use chassis::testing::{eventually, free_port};
use demo_tmdb::testing::DemoTmdb;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool};

const FILMS: i64 = 2_000;
const LEASE_SECONDS: u64 = 3;
/// Requests in flight and movies not stored yet when the process dies, which it repeats.
const UNDER_WAY: i64 = 16 + 50;

struct Service {
    child: Child,
    base: String,
    http: reqwest::Client,
}

/// Kills the process by SIGKILL.
impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    async fn start(pool: &PgPool, tmdb: &DemoTmdb) -> Self {
        let port = free_port();
        let child = Command::new(env!("CARGO_BIN_EXE_movie-service"))
            .env_clear()
            .env("SERVER_PORT", port.to_string())
            .env(
                "DATABASE_URL",
                pool.connect_options().to_url_lossy().as_str(),
            )
            .env("REDIS_URL", "redis://127.0.0.1:1/0")
            .env("TMDB_BASE_URL", tmdb.url())
            .env("TMDB_API_KEY", "drill")
            .env("TMDB_RATE_LIMIT_PER_SECOND", "10000")
            .env("WARM_POOL_INTERVAL_SECONDS", "0")
            .env("JOB_LEASE_SECONDS", LEASE_SECONDS.to_string())
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self {
            child,
            base: format!("http://127.0.0.1:{port}"),
            http: chassis::client::http().no_proxy().build().unwrap(),
        };
        eventually("the service", async || {
            let asked = service.http.get(format!("{}/health/ready", service.base));
            asked.send().await.is_ok_and(|a| a.status() == 200)
        })
        .await;
        service
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await;
        answer.unwrap().json().await.unwrap()
    }

    /// Waits for at least `processed` items and returns the job.
    async fn reaches(&self, path: &str, processed: i64) -> Value {
        let started = Instant::now();
        loop {
            let job = self.get(path).await;
            if job["processed"].as_i64().unwrap() >= processed {
                return job;
            }
            assert!(started.elapsed() < Duration::from_secs(90), "stuck: {job}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn calls(tmdb: &DemoTmdb) -> i64 {
    let stats = tmdb.control("GET", "/__stats", "");
    stats["by_kind"]["movie"].as_i64().unwrap()
}

async fn number(pool: &PgPool, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "movie_service::database::MIGRATOR")]
async fn drill_kill(pool: PgPool) {
    let tmdb = DemoTmdb::start_with(&[("DEMO_EXTRA_FILMS", "2000")]);
    tmdb.faults(r#"{"kind": "latency", "ms": 20}"#);
    let mut service = Service::start(&pool, &tmdb).await;
    let ids: Vec<i64> = (10_000_001..=10_000_000 + FILMS).collect();
    let asked = service
        .http
        .post(format!("{}/api/v1/movies/import", service.base))
        .json(&json!({ "tmdb_ids": ids }));
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 202);
    let path = answer.headers()["location"].to_str().unwrap().to_owned();

    for (kill, at) in [(1, FILMS / 4), (2, FILMS * 5 / 8)] {
        let job = service.reaches(&path, at).await;
        let done = job["processed"].as_i64().unwrap();
        assert!(done < FILMS, "it must be in the middle: {job}");
        drop(service);
        let stored = number(&pool, "select count(*) from movie").await;
        let counted = number(&pool, "select processed::bigint from job").await;
        assert_eq!(stored, counted, "movies and progress are stored together");
        let killed = Instant::now();
        service = Service::start(&pool, &tmdb).await;
        service.reaches(&path, counted + 1).await;
        println!(
            "kill -9 no. {kill} at {counted} of {FILMS} films; back and going on after {:.1} s (the lease is {LEASE_SECONDS} s)",
            killed.elapsed().as_secs_f64()
        );
    }
    service.reaches(&path, FILMS).await;
    eventually("the end", async || {
        service.get(&path).await["status"] == "succeeded"
    })
    .await;

    let job = service.get(&path).await;
    for (field, expected) in [
        ("total", FILMS),
        ("processed", FILMS),
        ("succeeded", FILMS),
        ("failed", 0),
    ] {
        assert_eq!(job[field], expected, "{field}: {job}");
    }
    let made = "select count(*) from movie where id > 10000000 and version = 1";
    assert_eq!(number(&pool, made).await, FILMS);
    assert_eq!(number(&pool, "select count(*) from movie").await, FILMS);
    let told = "select count(*) from outbox where name = 'movie.synced'";
    assert_eq!(
        number(&pool, told).await,
        FILMS,
        "each movie was recorded once"
    );
    let calls = calls(&tmdb);
    assert!(
        (FILMS..=FILMS + 2 * UNDER_WAY).contains(&calls),
        "{calls} calls"
    );
    println!("all {FILMS} films are there once; {calls} calls of TMDB for films");
}
