//! A drill of about three minutes, not part of a normal run: the real process under 200 requests a second during every
//! fault of TMDB:
//! `scripts/test.sh -p movie-service --run-ignored only -E 'test(drill_faults)' --no-capture`
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a drill that cannot go on should say where, and it is read by people"
)]

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use chassis::testing::{eventually, free_port};
use demo_tmdb::testing::DemoTmdb;
use sqlx::{ConnectOptions, PgPool};

const REQUESTS_A_SECOND: u32 = 200;
const SECONDS: u32 = 20;
/// The time that the circuit breaker stays open; a minute in production.
const OPEN_SECONDS: u64 = 5;
const RATE: f64 = 40.0;

struct Service {
    child: Child,
    base: String,
    http: reqwest::Client,
}

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
            .env("TMDB_API_TIMEOUT", "1000")
            .env("TMDB_BREAKER_OPEN_SECONDS", OPEN_SECONDS.to_string())
            .env("WARM_POOL_INTERVAL_SECONDS", "0")
            // Every movie is stale and due for a refresh.
            .env("MOVIE_STALE_THRESHOLD_DAYS", "0")
            .env("LOG_LEVEL", "error")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let http = chassis::client::http().no_proxy().build().unwrap();
        let service = Self {
            child,
            base: format!("http://127.0.0.1:{port}"),
            http,
        };
        eventually("the service", async || {
            service.status("/health/ready").await == 200
        })
        .await;
        service
    }

    async fn status(&self, path: &str) -> u16 {
        let answer = self.http.get(format!("{}{path}", self.base)).send().await;
        answer.map_or(0, |answer| answer.status().as_u16())
    }

    async fn text(&self, path: &str) -> String {
        let answer = self
            .http
            .get(format!("{}{path}", self.base))
            .send()
            .await
            .unwrap();
        answer.text().await.unwrap()
    }

    /// 0 closed, 1 half-open, 2 open.
    async fn breaker(&self) -> u8 {
        let metrics = self.text("/metrics").await;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix("tmdb_breaker_state "));
        line.and_then(|value| value.trim().parse().ok())
            .unwrap_or(0)
    }
}

/// The results of the load.
#[derive(Default)]
struct Tally {
    known: BTreeMap<u16, u32>,
    cold: BTreeMap<u16, u32>,
    slowest_known: Duration,
}

/// Requests `REQUESTS_A_SECOND` movies, every twentieth an unknown one.
async fn load(service: &Arc<Service>, known: &[i64], cold: &mut i64) -> Tally {
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / REQUESTS_A_SECOND);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..(REQUESTS_A_SECOND * SECONDS) as usize {
        ticks.tick().await;
        let is_cold = number % 20 == 0;
        let id = if is_cold {
            *cold += 1;
            *cold
        } else {
            known[number * 7919 % known.len()]
        };
        let (service, tally) = (Arc::clone(service), Arc::clone(&tally));
        tasks.spawn(async move {
            let started = Instant::now();
            let status = service.status(&format!("/api/v1/movies/{id}")).await;
            let mut tally = tally.lock().unwrap();
            if is_cold {
                *tally.cold.entry(status).or_default() += 1;
            } else {
                *tally.known.entry(status).or_default() += 1;
                tally.slowest_known = tally.slowest_known.max(started.elapsed());
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    Arc::into_inner(tally).unwrap().into_inner().unwrap()
}

#[sqlx::test]
#[ignore = "takes three minutes"]
async fn drill_faults_of_tmdb_never_affect_stored_movies(pool: PgPool) {
    let tmdb = DemoTmdb::start_with(&[("DEMO_EXTRA_FILMS", "5000")]);
    let service = Arc::new(Service::start(&pool, &tmdb).await);
    let sync = service
        .http
        .post(format!("{}/api/v1/admin/sync?pages=5", service.base));
    assert_eq!(sync.send().await.unwrap().status(), 200);
    let known: Vec<i64> = sqlx::query_scalar("select id from movie")
        .fetch_all(&pool)
        .await
        .unwrap();
    let mut cold = 10_000_000;
    println!(
        "{:34} {:>8} {:>8} {:>9} {:>6} {:>9} {:>8}",
        "fault", "known", "not 200", "slowest", "cold", "TMDB", "most/s"
    );
    for fault in [
        r#"{"kind": "latency", "ms": 800, "jitter_ms": 400}"#,
        r#"{"kind": "rate_limited", "retry_after": 2}"#,
        r#"{"kind": "status", "status": 500}"#,
        r#"{"kind": "truncated"}"#,
        r#"{"kind": "malformed"}"#,
        r#"{"kind": "reset"}"#,
        r#"{"kind": "nonsense"}"#,
        r#"{"kind": "hang"}"#,
    ] {
        tmdb.control("DELETE", "/__stats", "");
        tmdb.faults(fault);
        let watched = Arc::clone(&service);
        let watch = tokio::spawn(async move {
            let mut seen = vec![0];
            for _ in 0..SECONDS * 10 {
                let state = watched.breaker().await;
                if seen.last() != Some(&state) {
                    seen.push(state);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            seen
        });
        let tally = load(&service, &known, &mut cold).await;
        let breaker = watch.await.unwrap();
        let stats = tmdb.control("GET", "/__stats", "");
        let (total, most) = (
            stats["total"].as_u64().unwrap(),
            stats["max_in_one_second"].as_u64().unwrap(),
        );
        let asked: u32 = tally.known.values().sum();
        let failed = asked - tally.known.get(&200).copied().unwrap_or(0);
        println!(
            "{fault:34} {asked:>8} {failed:>8} {:>6} ms {:>6} {total:>9} {most:>8}   breaker {breaker:?}, cold {:?}",
            tally.slowest_known.as_millis(),
            tally.cold.values().sum::<u32>(),
            tally.cold
        );
        assert_eq!(failed, 0, "{fault}: {:?}", tally.known);
        assert!(
            tally.cold.keys().all(|status| [200, 503].contains(status)),
            "{fault}: {:?}",
            tally.cold
        );
        assert!(
            most as f64 <= RATE * 1.1 + 1.0,
            "{fault}: {most} calls in one second"
        );
        let fails = !fault.contains("rate_limited") && !fault.contains("latency");
        assert!(
            !fails || breaker.contains(&2),
            "{fault}: the breaker never opened: {breaker:?}"
        );
        // The breaker closes with the next request.
        tmdb.control("DELETE", "/__faults", "");
        let healed = Instant::now();
        while service.breaker().await != 0 {
            cold += 1;
            service.status(&format!("/api/v1/movies/{cold}")).await;
            assert!(
                healed.elapsed() < Duration::from_secs(OPEN_SECONDS * 4),
                "{fault}: stays open"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}
