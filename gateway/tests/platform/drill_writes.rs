//! A benchmark: the throughput of interactions through the gateway compared with single-row inserts in the same
//! server, and their durability when processes die. Not part of ordinary runs; needs a durable PostgreSQL:
//!
//! ```text
//! DURABLE=1 scripts/test.sh --release -p gateway --test platform --run-ignored only --no-capture -E 'test(drill_writes)'
//! ```

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::testing::eventually;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::stage::{Platform, PlatformOptions, of_test_script, percentile, run_postgres};

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 15;
const USERS: i64 = 20_000;
const PAGES: i64 = 32;
const KINDS: [&str; 5] = ["like", "dislike", "superlike", "watchlist", "watched"];

async fn platform() -> (Platform, Arc<Vec<i64>>) {
    let options = PlatformOptions {
        // The address, not each request.
        log_level: "warn,chassis::run=info,gateway::server=info",
        ..PlatformOptions::default()
    };
    let platform = Platform::with_films(PAGES, options).await;
    let statement = format!(
        "with made as (insert into user_account (username, email, username_key, email_key)
             select 'user' || n, 'user' || n || '@example.org', 'user' || n, 'user' || n || '@example.org'
             from generate_series(1, {USERS}) n returning id)
         select count(*) from made"
    );
    assert_eq!(platform.users.count_of(statement).await, USERS);
    let films = platform
        .users
        .numbers("select id from movie where not removed")
        .await;
    (platform, Arc::new(films))
}

/// A response and its latency.
struct Response {
    status: u16,
    took: Duration,
    /// The id of the interaction, if the response has one.
    id: Option<i64>,
}

/// Sends requests over `connections` connections until `stop`; returns the responses.
async fn load(
    address: SocketAddr,
    connections: usize,
    stop: Arc<AtomicBool>,
    films: Arc<Vec<i64>>,
    events: usize,
) -> Vec<Response> {
    // Each load has its own seed.
    static LOADS: AtomicU64 = AtomicU64::new(0);
    let seed = LOADS.fetch_add(1, Ordering::Relaxed);
    let mut clients = JoinSet::new();
    for number in 0..connections {
        let (stop, films) = (Arc::clone(&stop), Arc::clone(&films));
        clients.spawn(async move {
            let mut random = StdRng::seed_from_u64(seed << 32 | number as u64);
            let mut responses = Vec::new();
            let mut stream: Option<TcpStream> = None;
            while !stop.load(Ordering::Relaxed) {
                let request = request(&mut random, &films, events);
                let started = Instant::now();
                if stream.is_none() {
                    stream = TcpStream::connect(address).await.ok();
                }
                let Some(open) = &mut stream else {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                };
                match exchange(open, request.as_bytes()).await {
                    Some((status, body)) => responses.push(Response {
                        status,
                        took: started.elapsed(),
                        id: interaction_id(&body),
                    }),
                    None => stream = None,
                }
            }
            responses
        });
    }
    clients.join_all().await.into_iter().flatten().collect()
}

fn request(random: &mut StdRng, films: &[i64], events: usize) -> String {
    let kind = KINDS[random.random_range(0..KINDS.len())];
    let film = films[random.random_range(0..films.len())];
    let user = random.random_range(1..=USERS);
    let (path, body) = match events {
        1 => (
            format!("/api/v1/users/{user}/interactions"),
            format!(r#"{{"movie_id":{film},"interaction_type":"{kind}"}}"#),
        ),
        _ => {
            let events: Vec<String> = (0..events)
                .map(|_| {
                    let kind = KINDS[random.random_range(0..KINDS.len())];
                    let film = films[random.random_range(0..films.len())];
                    let user = random.random_range(1..=USERS);
                    format!(r#"{{"user_id":{user},"movie_id":{film},"interaction_type":"{kind}"}}"#)
                })
                .collect();
            (
                "/api/v1/interactions/batch".to_owned(),
                format!(r#"{{"interactions":[{}]}}"#, events.join(",")),
            )
        }
    };
    format!(
        "POST {path} HTTP/1.1\r\nHost: platform\r\nAuthorization: Bearer any\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends a request over a kept connection; returns status and body, or `None` if the connection broke.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Option<(u16, Vec<u8>)> {
    stream.write_all(request).await.ok()?;
    let mut bytes = Vec::with_capacity(2048);
    loop {
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_buf(&mut bytes));
        if read.await.ok()?.ok()? == 0 {
            return None;
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&bytes[..end]).ok()?.to_lowercase();
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length:"))?;
        let length: usize = length.trim().parse().ok()?;
        if bytes.len() >= end + 4 + length {
            return Some((head.get(9..12)?.parse().ok()?, bytes.split_off(end + 4)));
        }
    }
}

fn interaction_id(body: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(r#""id":"#)?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
    rest[..end].parse().ok()
}

/// The commits per second of `pgbench` with one insert per transaction.
fn pgbench(platform: &Platform) -> f64 {
    let script = std::env::temp_dir().join(format!("insert-{}.sql", std::process::id()));
    std::fs::write(
        &script,
        "\\set user random(1, 20000)\ninsert into baseline (user_id, movie_id, interaction_type) values (:user, 603, 'like');\n",
    )
    .unwrap();
    let program = std::env::var_os("PG_BIN").map_or_else(
        || PathBuf::from("pgbench"),
        |folder| PathBuf::from(folder).join("pgbench"),
    );
    let output = Command::new(program)
        .args([
            "-n",
            "-c",
            &CONNECTIONS.to_string(),
            "-j",
            "2",
            "-T",
            "10",
            "-f",
        ])
        .arg(&script)
        .arg(platform.users.url(None))
        .output()
        .unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout);
    let line = output_text.lines().find(|line| line.starts_with("tps = "));
    let tps =
        line.unwrap_or_else(|| panic!("{output_text}{}", String::from_utf8_lossy(&output.stderr)));
    let number = tps.trim_start_matches("tps = ").split(' ').next();
    number.and_then(|number| number.parse().ok()).unwrap()
}

async fn measure(
    platform: &Platform,
    films: &Arc<Vec<i64>>,
    connections: usize,
    events: usize,
) -> f64 {
    let stop = Arc::<AtomicBool>::default();
    let started = Instant::now();
    let running = tokio::spawn(load(
        platform.gateways[0].address(),
        connections,
        Arc::clone(&stop),
        Arc::clone(films),
        events,
    ));
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    stop.store(true, Ordering::Relaxed);
    let responses = running.await.unwrap();
    let elapsed = started.elapsed().as_secs_f64();
    let wrong = responses
        .iter()
        .filter(|response| ![200, 201].contains(&response.status));
    let wrong = wrong.count();
    let mut took: Vec<Duration> = responses.iter().map(|response| response.took).collect();
    took.sort_unstable();
    let rate = (responses.len() * events) as f64 / elapsed;
    println!(
        "{connections} connections, {events} a request: {rate:.0} interactions/s, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms, {wrong} not stored",
        percentile(&took, 0.5),
        percentile(&took, 0.99),
        percentile(&took, 1.0),
    );
    assert_eq!(wrong, 0);
    rate
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures: two minutes on a quiet machine"]
async fn throughput_compared_with_pgbench() {
    let (platform, films) = platform().await;
    platform
        .users
        .run("create table baseline (id bigint generated always as identity primary key, user_id bigint, movie_id bigint, interaction_type text, created_at timestamptz default now())")
        .await;
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let baseline = pgbench(&platform);
        let rate = measure(&platform, &films, CONNECTIONS, 1).await;
        println!(
            "pgbench with {CONNECTIONS} connections: {baseline:.0} commits/s; ratio {:.2}",
            rate / baseline
        );
        ratios.push(rate / baseline);
    }
    ratios.sort_by(f64::total_cmp);
    println!(
        "single POSTs, median of three: {:.2} times pgbench",
        ratios[1]
    );
    for _ in 0..2 {
        measure(&platform, &films, 4, 1000).await;
    }
    println!("{}", verify(&platform).await);
}

/// The output of `preference-service verify` after the feed has been followed.
async fn verify(platform: &Platform) -> String {
    let report = platform.preference_service.run(&["verify"]);
    report.trim().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "kills processes under load: a minute"]
async fn acknowledged_writes_survive_kills() {
    let (mut platform, films) = platform().await;
    for round in 0..6 {
        let kills_postgres = round % 2 == 1;
        let stop = Arc::<AtomicBool>::default();
        let running = tokio::spawn(load(
            platform.gateways[0].address(),
            CONNECTIONS,
            Arc::clone(&stop),
            Arc::clone(&films),
            1,
        ));
        tokio::time::sleep(Duration::from_secs(3)).await;
        if kills_postgres {
            crash_postgres();
        } else {
            platform.preference_service.restart();
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        stop.store(true, Ordering::Relaxed);
        let responses = running.await.unwrap();
        platform.until_ready().await;
        let acknowledged: Vec<i64> = responses
            .iter()
            .filter(|response| response.status == 201)
            .filter_map(|response| response.id)
            .collect();
        let lost = platform.users.missing_interactions(&acknowledged).await;
        // The same value of one component of one user and movie, twice in a row.
        let duplicated = platform
            .users
            .count(
                "select count(*) from (
                     select interaction_type = lag(interaction_type) over (
                                partition by user_id, movie_id,
                                    case when interaction_type in ('like', 'dislike', 'superlike', 'reaction_removed') then 1
                                         when interaction_type in ('watchlist', 'bookmark_removed') then 2
                                         else 3 end
                                order by id) as repeated
                     from interaction) as entry
                 where repeated",
            )
            .await;
        println!(
            "kill -9 of {}: {} acknowledged, lost {lost}, duplicated {duplicated}; {}",
            if kills_postgres {
                "Postgres"
            } else {
                "preference-service"
            },
            acknowledged.len(),
            verify(&platform).await,
        );
        assert!(acknowledged.len() > 1000);
        assert_eq!((lost, duplicated), (0, 0));
    }
    // The recommender's state equals the stored one.
    let pairs = platform
        .users
        .count("select count(*) from user_movie")
        .await;
    eventually("the recommender has caught up", async || {
        platform
            .recommendations
            .count("select count(*) from user_movie")
            .await
            == pairs
    })
    .await;
}

/// Kills the PostgreSQL of the tests and starts it again.
pub(crate) fn crash_postgres() {
    let home = of_test_script("PG_HOME");
    let (data, log) = (format!("{home}/data"), format!("{home}/postgres.log"));
    let control = |arguments: &[&str]| {
        let common = ["--pgdata", &data, "--silent", "--log", &log];
        run_postgres("pg_ctl", &[arguments, &common].concat());
    };
    control(&["stop", "--mode=immediate"]);
    control(&["start", "--wait"]);
}
