//! Failures of Redis, Postgres and processes: as little as possible is lost.

use std::{
    collections::HashSet,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chassis::testing::{TestResponse, eventually};
use serde_json::{Value, json};

use crate::stage::{Api, Load, Outcome, Platform, PlatformOptions, Program, assert_problem, ids};

// --- Redis ------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_served_without_redis_and_shared_limits_return_with_it() {
    const LIMIT: u64 = 60;
    const WINDOW: u64 = 4;
    let options = PlatformOptions {
        gateways: 2,
        rate_limit: LIMIT,
        rate_limit_window: WINDOW,
        ..PlatformOptions::default()
    };
    let mut platform = Platform::with_films(1, options).await;
    let user = platform.user("anna").await;
    let films = "GET /api/v1/movies?page_size=5 HTTP/1.1\r\nAuthorization: Bearer any\r\n";
    let list = format!(
        "GET /api/v1/users/{user}/recommendations HTTP/1.1\r\nAuthorization: Bearer any\r\n"
    );
    let loads = [
        Load::start(2, platform.gateways[0].address(), films),
        Load::start(2, platform.gateways[1].address(), &list),
    ];
    eventually("counts are in Redis", async || keys(&platform) > 0).await;
    platform.redis.stop();
    for load in &loads {
        load.more(300).await;
    }
    for gateway in &platform.gateways {
        Api::new(&gateway.url())
            .get("/health/live")
            .await
            .expect(200);
        Api::new(&gateway.url())
            .get("/health/ready")
            .await
            .expect(200);
    }
    platform.redis.resume();
    eventually("counts are in Redis again", async || keys(&platform) > 0).await;
    for load in &loads {
        load.more(300).await;
    }
    for load in loads {
        let outcomes = load.stop().await;
        let wrong: Vec<&Outcome> = outcomes
            .iter()
            .filter(|outcome| {
                !matches!(outcome, Outcome::Completed(200 | 429) | Outcome::ClosedIdle)
            })
            .collect();
        println!("without Redis and with it: {} requests", outcomes.len());
        assert!(wrong.is_empty(), "{wrong:?}");
    }
    both_gateways_share_one_limit(&platform, LIMIT, Duration::from_secs(WINDOW)).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

/// The number of keys in the gateways' logical database.
fn keys(platform: &Platform) -> u64 {
    let url = platform.redis.url();
    let address = url.trim_start_matches("redis://").trim_end_matches("/0");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"DBSIZE\r\nQUIT\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let count = response.lines().next().unwrap().trim_start_matches(':');
    count.parse().unwrap()
}

async fn both_gateways_share_one_limit(platform: &Platform, limit: u64, window: Duration) {
    let clients: Vec<Api> = platform
        .gateways
        .iter()
        .map(|gateway| Api::new(&gateway.url()).token("any"))
        .collect();
    let path = "/api/v1/rules";
    // On a busy machine a window may end meanwhile, which makes the count meaningless.
    for _ in 0..5 {
        eventually("a new window", async || {
            clients[0].get(path).await.status == 200
        })
        .await;
        let started = Instant::now();
        let mut admitted = 1;
        let mut refused = 0;
        let mut last: Option<TestResponse> = None;
        while refused < 2 * clients.len() {
            for client in &clients {
                let response = client.get(path).await;
                match response.status.as_u16() {
                    200 => {
                        admitted += 1;
                        refused = 0;
                        let header = &response.headers["x-ratelimit-limit"];
                        assert_eq!(header.to_str().unwrap(), limit.to_string());
                    }
                    429 => {
                        refused += 1;
                        last = Some(response);
                    }
                    other => panic!("{other}: {}", response.text),
                }
            }
        }
        if started.elapsed() >= window {
            continue;
        }
        println!("two gateways, limit {limit}: {admitted} admitted in one window");
        assert!(admitted <= limit, "{admitted} of {limit}");
        assert!(admitted >= limit / 2, "{admitted} of {limit}");
        let last = last.unwrap();
        assert_problem(&last, 429, last.body["error"].as_str().unwrap_or_default());
        assert!(last.headers.contains_key("retry-after"));
        assert!(last.body["retry_after"].as_u64().unwrap() <= window.as_secs());
        return;
    }
    panic!("no window was long enough to be used up");
}

// --- Postgres ---------------------------------------------------------------------------------------

/// The time limit of an ordinary request, with a margin for busy machines.
const TIME_LIMIT: Duration = Duration::from_secs(11);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_fail_in_time_without_postgres_and_recover_with_it() {
    let options = PlatformOptions {
        wire: true,
        ..PlatformOptions::default()
    };
    let platform = Platform::with_films(2, options).await;
    let user = platform.user("anna").await;
    let films = platform.recommended(user, 2).await;
    platform.wire.as_ref().unwrap().cut();
    needs_postgres(&platform, user, films[0]).await;
    does_without_postgres(&platform, user).await;
    for service in with_postgres(&platform) {
        reports_postgres_as_missing(service).await;
    }
    let recovered = Instant::now();
    platform.wire.as_ref().unwrap().restore();
    platform.until_ready().await;
    println!(
        "Postgres back → all ready: {} ms",
        recovered.elapsed().as_millis()
    );
    // Writes work again and reach the followers of the feed.
    let body = json!({"movie_id": films[1], "interaction_type": "like"});
    let path = format!("/api/v1/users/{user}/interactions");
    platform.client().post(&path, body).await.expect(201);
    eventually("a like after the outage is in the next list", async || {
        !platform.recommended(user, 50).await.contains(&films[1])
    })
    .await;
    assert!(platform.recommended(user, 50).await.contains(&films[0]));
    platform.sync(3).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

fn with_postgres(platform: &Platform) -> [&Program; 3] {
    [
        &platform.movie_services[0],
        &platform.preference_service,
        &platform.recommendation_services[0],
    ]
}

async fn needs_postgres(platform: &Platform, user: i64, film: i64) {
    let client = platform.client();
    let person = json!({"username": "berta", "email": "berta@example.org"});
    let like = json!({"movie_id": film, "interaction_type": "like"});
    for (path, body) in [
        (
            "/api/v1/movies?release_date_from=1901-02-03".to_owned(),
            Value::Null,
        ),
        (format!("/api/v1/users/{user}"), Value::Null),
        (format!("/api/v1/users/{user}/preferences"), Value::Null),
        (format!("/api/v1/users/{user}/interactions"), Value::Null),
        ("/api/v1/users".to_owned(), person),
        (
            format!("/api/v1/users/{user}/preferences"),
            json!({"min_rating": 1}),
        ),
        (format!("/api/v1/users/{user}/interactions"), like),
    ] {
        let started = Instant::now();
        let response = match body {
            Value::Null => client.get(&path).await,
            body => client.post(&path, body).await,
        };
        let took = started.elapsed();
        println!(
            "without Postgres: {path} → {} in {} ms",
            response.status,
            took.as_millis()
        );
        assert_problem(&response, 503, "the database is unavailable");
        assert!(response.headers.contains_key("retry-after"), "{path}");
        assert!(took < TIME_LIMIT, "{path}: {took:?}");
    }
}

/// The recommender reads its memory, and the gateway has no database.
async fn does_without_postgres(platform: &Platform, user: i64) {
    assert!(!platform.recommended(user, 10).await.is_empty());
    let client = platform.client();
    assert_eq!(
        ids(&client.get("/api/v1/rules").await.expect(200)["rules"]).len(),
        3
    );
    for path in ["/health", "/health/live"] {
        client.clone().bare().get(path).await.expect(200);
    }
}

async fn reports_postgres_as_missing(service: &Program) {
    let client = Api::new(&service.url());
    client.get("/health/live").await.expect(200);
    client.get("/health").await.expect(200);
    client.get("/api/v1/health").await.expect(200);
    let started = Instant::now();
    let ready = client.get("/health/ready").await.expect(503);
    assert!(started.elapsed() < Duration::from_secs(3), "a probe waits");
    let postgres = ready["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .find(|dependency| dependency["name"] == "postgres")
        .unwrap_or_else(|| panic!("{}: {ready}", service.name()));
    assert_eq!(postgres["required"], true);
    assert_ne!(postgres["status"], "ok", "{}", service.name());
}

// --- killed processes ----------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_a_kill_and_reach_the_recommender() {
    const WRITERS: usize = 12;
    const ROUNDS: usize = 3;
    let mut platform = Platform::with_films(5, PlatformOptions::default()).await;
    let mut users = Vec::new();
    for number in 0..WRITERS {
        users.push(platform.user(&format!("writer{number}")).await);
    }
    let films = platform.recommended(users[0], 100).await;
    let writers = Writers::start(&platform, &users, &films);
    for round in 1..=ROUNDS {
        let target = writers.acknowledged() + 60;
        eventually("writes are acknowledged", async || {
            writers.acknowledged() >= target
        })
        .await;
        // During many writes, right after an acknowledged one.
        platform.preference_service.kill();
        platform.preference_service.restart();
        platform.preference_service.until_ready().await;
        println!(
            "killed {round} times: {} writes acknowledged",
            writers.acknowledged()
        );
    }
    let target = writers.acknowledged() + 20;
    eventually("writes go on", async || writers.acknowledged() >= target).await;
    let acknowledged = writers.stop().await;
    println!(
        "{} acknowledged writes, {ROUNDS} times kill -9",
        acknowledged.len()
    );

    let stored = platform.users.numbers("select id from interaction").await;
    let stored: HashSet<i64> = stored.into_iter().collect();
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|write| !stored.contains(&write.id))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    // The last write of each user and movie.
    let states = "select version from user_movie";
    let stored: HashSet<i64> = platform.users.numbers(states).await.into_iter().collect();
    eventually("the recommender has every write", async || {
        let followed = platform.recommendations.numbers(states).await;
        stored.is_subset(&followed.into_iter().collect())
    })
    .await;
    for &user in &users {
        let list: HashSet<i64> = platform.recommended(user, 100).await.into_iter().collect();
        for write in acknowledged.iter().filter(|write| write.user == user) {
            assert!(!list.contains(&write.film), "{write:?} is in the list");
        }
    }
}

/// An acknowledged write.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    id: i64,
    user: i64,
    film: i64,
}

/// Users who like movies one after another until stopped.
struct Writers {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    writes: Arc<Mutex<Vec<Acknowledged>>>,
    tasks: tokio::task::JoinSet<()>,
}

impl Writers {
    fn start(platform: &Platform, users: &[i64], films: &[i64]) -> Self {
        let mut writers = Self {
            stop: Arc::default(),
            count: Arc::default(),
            writes: Arc::default(),
            tasks: tokio::task::JoinSet::new(),
        };
        for &user in users {
            let client = platform.client();
            let (stop, count) = (Arc::clone(&writers.stop), Arc::clone(&writers.count));
            let writes = Arc::clone(&writers.writes);
            let films = films.to_vec();
            writers.tasks.spawn(async move {
                let path = format!("/api/v1/users/{user}/interactions");
                for film in films.into_iter().cycle() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let body = json!({"movie_id": film, "interaction_type": "like"});
                    let response = client.post(&path, body).await;
                    if response.status == 201 {
                        let id = response.body["id"].as_i64().unwrap();
                        writes.lock().unwrap().push(Acknowledged { id, user, film });
                        count.fetch_add(1, Ordering::SeqCst);
                    } else {
                        // The gateway's problem of an unreachable service.
                        let error = response.body["error"]
                            .as_str()
                            .unwrap_or_default()
                            .to_owned();
                        assert!(
                            [502, 503].contains(&response.status.as_u16()),
                            "{}",
                            response.text
                        );
                        assert_problem(&response, response.status.as_u16(), &error);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            });
        }
        writers
    }

    fn acknowledged(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    async fn stop(self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await;
        self.writes.lock().unwrap().clone()
    }
}
