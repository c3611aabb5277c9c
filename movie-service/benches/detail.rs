//! Processor time of a movie served from memory and from Redis, and of the first page of a list, relative to an empty
//! handler that returns the same bytes through the same layers (for Redis: after one GET). Each is a process under load
//! over loopback; processor time is read from /proc; the ratios are medians over rounds.
//!
//! Needs DATABASE_URL (a server where a scratch database can be made) and redis-server:
//! `cargo bench -p movie-service --bench detail`
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot go on should say where, and it is read by people"
)]

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{Router, http::header, routing::get};
use chassis::{
    Process, Settings,
    health::Health,
    redis::Redis,
    testing::{RedisServer, free_port},
};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

const ROUNDS: usize = 5;
const SECONDS: f64 = 3.0;
const CONNECTIONS: usize = 16;
/// The variable with the file of the baseline's response.
const BODY_FILE: &str = "MARQUEE_BENCH_BODY";
/// The variable with the Redis from which the baseline reads the response instead.
const BODY_REDIS: &str = "MARQUEE_BENCH_REDIS";
/// The Redis key of the response.
const BODY_KEY: &str = "yardstick";

struct Target {
    name: &'static str,
    child: Child,
    url: String,
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of process `id`, in seconds.
fn cpu_seconds(id: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// The empty handler, in the layers that every service has.
fn serve_bytes(file: &Path) {
    let body = bytes::Bytes::from(std::fs::read(file).unwrap());
    let process = Process::new("yardstick", Settings::load("").unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let entered = runtime.enter();
    let redis = env::var(BODY_REDIS).ok().filter(|url| !url.is_empty());
    let redis = redis.map(|url| {
        let defaults = format!("redis_url = \"{url}\"");
        let settings = Settings::merge(&defaults, &HashMap::new()).unwrap();
        Redis::from_settings(&settings).unwrap().unwrap()
    });
    let routes = Router::new().route(
        "/api/v1/movies/{id}",
        get(move || async move {
            let body = match redis {
                None => body,
                Some(redis) => {
                    let get = redis::cmd("GET").arg(BODY_KEY).clone();
                    match redis.run::<Option<bytes::Bytes>>(&get).await.flatten() {
                        Some(found) => found,
                        None => {
                            let set = redis::cmd("SET").arg(BODY_KEY).arg(&body[..]).clone();
                            let _: Option<String> = redis.run(&set).await;
                            body
                        }
                    }
                }
            };
            ([(header::CONTENT_TYPE, "application/json")], body)
        }),
    );
    let document = utoipa::openapi::OpenApi::default();
    let app = process.application(routes, Health::default(), &document);
    chassis::telemetry::init(&process.config).unwrap();
    drop(entered);
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(process.config.address())
            .await
            .unwrap();
        chassis::server::serve(listener, app, &process.config, &process.shutdown).await;
    });
}

fn service(name: &'static str, path: &str, settings: &[(&str, &str)]) -> Target {
    let port = free_port();
    let child = Command::new(env!("CARGO_BIN_EXE_movie-service"))
        .env_clear()
        .envs([
            ("LOG_LEVEL", "error"),
            ("TMDB_API_KEY", ""),
            ("WARM_POOL_INTERVAL_SECONDS", "0"),
        ])
        .env("SERVER_PORT", port.to_string())
        .envs(settings.iter().copied())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Target {
        name,
        child,
        url: format!("http://127.0.0.1:{port}{path}"),
    }
}

fn yardstick(name: &'static str, body: &[u8], folder: &Path, redis: &str) -> Target {
    let port = free_port();
    let file = folder.join(name.replace(' ', "-"));
    std::fs::write(&file, body).unwrap();
    let child = Command::new(env::current_exe().unwrap())
        .env_clear()
        .envs([("LOG_LEVEL", "error"), ("SERVER_PORT", &port.to_string())])
        .env(BODY_FILE, file)
        .env(BODY_REDIS, redis)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    Target {
        name,
        child,
        url: format!("http://127.0.0.1:{port}/api/v1/movies/1"),
    }
}

async fn fetch(http: &reqwest::Client, url: &str) -> Vec<u8> {
    let started = Instant::now();
    loop {
        if let Ok(answer) = http.get(url).send().await
            && answer.status() == 200
        {
            return answer.bytes().await.unwrap().to_vec();
        }
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{url} does not answer"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Requests per second, and microseconds of processor time per request.
async fn load(http: &reqwest::Client, target: &Target) -> (f64, f64) {
    let before = cpu_seconds(target.child.id());
    let started = Instant::now();
    let clients = (0..CONNECTIONS).map(|_| async {
        let mut count = 0_u32;
        while started.elapsed().as_secs_f64() < SECONDS {
            let answer = http.get(&target.url).send().await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.bytes().await.unwrap();
            count += 1;
        }
        count
    });
    let count: u32 = futures_util::future::join_all(clients)
        .await
        .into_iter()
        .sum();
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds(target.child.id()) - before;
    (f64::from(count) / elapsed, cpu * 1e6 / f64::from(count))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    if let Some(file) = env::var_os(BODY_FILE) {
        return serve_bytes(&PathBuf::from(file));
    }
    // `cargo test` runs benchmarks too, to see that they build.
    let Ok(server) = env::var("DATABASE_URL") else {
        println!("skipped: DATABASE_URL is not set");
        return;
    };
    if !env::args().any(|argument| argument == "--bench") {
        return;
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(run(&server));
}

async fn run(server: &str) {
    let options: PgConnectOptions = server.parse().unwrap();
    let name = format!("bench_detail_{}", std::process::id());
    let mut connection = options.connect().await.unwrap();
    sqlx::query(sqlx::AssertSqlSafe(format!("create database {name}")))
        .execute(&mut connection)
        .await
        .unwrap();
    let database = options.clone().database(&name).to_url_lossy().to_string();
    measure(&database).await;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "drop database {name} with (force)"
    )))
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
}

async fn fill(database: &str) {
    let mut connection = PgConnection::connect(database).await.unwrap();
    sqlx::query(
        "insert into movie (id, title, original_title, original_language, overview, release_date, runtime,
             popularity, vote_average, vote_count, adult, genre_ids, countries, keywords, people, providers,
             titles, document, source_hash)
         select id, 'Film ' || id, 'Film ' || id, 'en', repeat('What it is about. ', 15), date '1990-01-01' + id,
             120, 1000.0 / id, 7.5, 1000, false, '{}', '{US}', '[]', '[]', '[]', '[]', '{}', md5(id::text)
         from generate_series(1, 1000) as id",
    )
    .execute(&mut connection)
    .await
    .unwrap();
}

async fn measure(database: &str) {
    let redis = RedisServer::start();
    let url = redis.url();
    let common = [("DATABASE_URL", database), ("REDIS_URL", &*url)];
    let uncached = [common[0], common[1], ("MOVIE_CACHE_BYTES", "0")];
    let http = chassis::client::http().no_proxy().build().unwrap();
    let memory = service("film, memory", "/api/v1/movies/7", &common);
    fetch(
        &http,
        &memory.url.replace("/api/v1/movies/7", "/health/live"),
    )
    .await;
    fill(database).await;
    drop(memory);
    let memory = service("film, memory", "/api/v1/movies/7", &common);
    let film = fetch(&http, &memory.url).await;
    let shared = service("film, Redis", "/api/v1/movies/7", &uncached);
    let list = service("list, page 1", "/api/v1/movies", &common);
    let page = fetch(&http, &list.url).await;
    fetch(&http, &shared.url).await;
    let folder = env::temp_dir().join(format!("marquee-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let empty_film = yardstick("empty, film's bytes", &film, &folder, "");
    let empty_get = yardstick("empty and one GET", &film, &folder, &url);
    let empty_page = yardstick("empty, page's bytes", &page, &folder, "");
    fetch(&http, &empty_film.url).await;
    fetch(&http, &empty_get.url).await;
    fetch(&http, &empty_page.url).await;
    let targets = [
        &empty_film,
        &memory,
        &empty_get,
        &shared,
        &empty_page,
        &list,
    ];
    let mut rows: Vec<Vec<(f64, f64)>> = vec![Vec::new(); targets.len()];
    for _ in 0..ROUNDS {
        for (row, target) in rows.iter_mut().zip(targets) {
            row.push(load(&http, target).await);
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    println!(
        "{CONNECTIONS} connections, {ROUNDS} rounds of {SECONDS} s, medians; film {} bytes, page {} bytes",
        film.len(),
        page.len()
    );
    println!(
        "{:22} {:>9} {:>12} {:>14}",
        "", "req/s", "CPU us/req", "CPU ÷ empty"
    );
    for (index, target) in targets.iter().enumerate() {
        let empty = if index < 4 { &rows[0] } else { &rows[4] };
        let ratio = rows[index]
            .iter()
            .zip(empty)
            .map(|(own, empty)| own.1 / empty.1)
            .collect();
        let rate = median(rows[index].iter().map(|row| row.0).collect());
        let cpu = median(rows[index].iter().map(|row| row.1).collect());
        println!(
            "{:22} {rate:>9.0} {cpu:>12.1} {:>14.2}",
            target.name,
            median(ratio)
        );
    }
}
