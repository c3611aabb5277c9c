//! A drill: two gateways in front of two processes of each service, under 500 requests per second through a small load
//! balancer that checks the readiness every 100 ms, keeps its connections and repeats nothing. Restarts each gateway and
//! each process of a service in turn: no request may fail. Then restarts each service that has one process alone: requests
//! that need it may fail with 503 and `Retry-After` until it is back, and in no other way. RATE sets another number of
//! requests per second. Not part of ordinary runs:
//!
//! ```text
//! scripts/test.sh --release -p gateway --test platform --run-ignored only --no-capture -E 'test(drill_restarts)'
//! ```

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use tokio::task::JoinSet;

use crate::stage::{
    Failed, JWT_SECRET, KeptConnections, Platform, PlatformOptions, Program, percentile, redis_url,
    request, service,
};

const CHECK_INTERVAL: Duration = Duration::from_millis(100);
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);
/// The time of ordinary work before and after each restart.
const AROUND: Duration = Duration::from_secs(2);
/// Longer than the grace period of a shutdown.
const GRACE: Duration = Duration::from_secs(25);
/// The longest time of a request that fails because a service is away, on a busy machine, too.
const FAST: Duration = Duration::from_secs(1);

/// A server behind the load balancer.
struct Backend {
    address: SocketAddr,
    connections: KeptConnections,
    is_ready: AtomicBool,
}

/// A load balancer as usual ones are.
struct Balancer {
    backends: Vec<Backend>,
    turn: AtomicUsize,
}

impl Balancer {
    fn new(gateways: &[Program]) -> Self {
        let backends = gateways.iter().map(|gateway| Backend {
            address: gateway.address(),
            connections: KeptConnections::new(Ipv4Addr::LOCALHOST, gateway.address()),
            is_ready: AtomicBool::new(true),
        });
        Self {
            backends: backends.collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Checks one backend until it is dropped.
    async fn check(&self, number: usize) {
        let backend = &self.backends[number];
        let mut clock = tokio::time::interval(CHECK_INTERVAL);
        loop {
            clock.tick().await;
            let check = KeptConnections::new(Ipv4Addr::LOCALHOST, backend.address);
            let sending = check.send(request("/health/ready", "", None));
            let checked = tokio::time::timeout(CHECK_TIMEOUT, sending).await;
            let is_ready = checked.is_ok_and(|sent| sent.is_ok_and(|it| it.status() == 200));
            if backend.is_ready.swap(is_ready, Ordering::SeqCst) && !is_ready {
                backend.connections.close_idle();
            }
        }
    }

    /// Sends a request once, to the ready backend whose turn it is.
    async fn send(&self, request: Request<Full<Bytes>>) -> Outcome {
        let turn = self.turn.fetch_add(1, Ordering::SeqCst);
        let ready: Vec<_> = self
            .backends
            .iter()
            .filter(|backend| backend.is_ready.load(Ordering::SeqCst))
            .collect();
        if ready.is_empty() {
            return Outcome::NoBackend;
        }
        match ready[turn % ready.len()].connections.send(request).await {
            Ok(response) => {
                let status = response.status().as_u16();
                Outcome::Completed(status, response.headers().contains_key("retry-after"))
            }
            Err(failed) => Outcome::Failed(failed),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// A response with this status; true if it has `Retry-After`.
    Completed(u16, bool),
    Failed(Failed),
    NoBackend,
}

impl Outcome {
    fn is_success(self) -> bool {
        matches!(self, Self::Completed(200 | 201, _))
    }
}

#[derive(Debug, Clone, Copy)]
struct Record {
    path: usize,
    begun: Instant,
    took: Duration,
    outcome: Outcome,
}

/// The load, until it is dropped.
struct OpenLoad {
    records: Arc<Mutex<Vec<Record>>>,
    _tasks: JoinSet<()>,
}

impl OpenLoad {
    fn start(gateways: &[Program], user: i64, film: i64, token: &str) -> Self {
        let rate = std::env::var("RATE").map_or(500, |text| text.parse().unwrap());
        let balancer = Arc::new(Balancer::new(gateways));
        let records = Arc::<Mutex<Vec<Record>>>::default();
        let mut tasks = JoinSet::new();
        for number in 0..gateways.len() {
            let balancer = Arc::clone(&balancer);
            tasks.spawn(async move { balancer.check(number).await });
        }
        let own = format!("/api/v1/users/{user}");
        // Reads of each service that no gateway stores, and a write.
        let like = format!(r#"{{"movie_id":{film},"interaction_type":"like"}}"#);
        let requests: [(String, Option<String>); 4] = [
            ("/api/v1/search?q=a&page_size=5".to_owned(), None),
            (own.clone(), None),
            (format!("{own}/recommendations?limit=5"), None),
            (format!("{own}/interactions"), Some(like)),
        ];
        let (token, all) = (token.to_owned(), Arc::clone(&records));
        tasks.spawn(async move {
            let mut under_way = JoinSet::new();
            let mut clock = tokio::time::interval(Duration::from_secs(1) / rate);
            for number in 0_usize.. {
                clock.tick().await;
                while under_way.try_join_next().is_some() {}
                // One of ten writes.
                let path = if number % 10 == 9 { 3 } else { number % 3 };
                let (target, body) = &requests[path];
                let request = request(target, &token, body.as_deref());
                let (balancer, records) = (Arc::clone(&balancer), Arc::clone(&all));
                under_way.spawn(async move {
                    let begun = Instant::now();
                    let outcome = balancer.send(request).await;
                    let took = begun.elapsed();
                    records.lock().unwrap().push(Record {
                        path,
                        begun,
                        took,
                        outcome,
                    });
                });
            }
        });
        Self {
            records,
            _tasks: tasks,
        }
    }

    /// The records since the last call.
    fn take(&self) -> Vec<Record> {
        std::mem::take(&mut self.records.lock().unwrap())
    }
}

/// Restarts `program` by SIGTERM under `load`; returns the records around it.
async fn restart(program: &mut Program, load: &OpenLoad) -> Vec<Record> {
    load.take();
    tokio::time::sleep(AROUND).await;
    program.terminate();
    let status = program.ended(GRACE).await;
    let status = status.unwrap_or_else(|| panic!("{} does not stop", program.name()));
    assert_eq!(status.code(), Some(0), "{}", program.name());
    tokio::task::block_in_place(|| program.restart());
    program.until_ready().await;
    tokio::time::sleep(AROUND).await;
    load.take()
}

fn report(name: &str, records: &[Record]) -> Vec<Record> {
    let failed: Vec<_> = records
        .iter()
        .copied()
        .filter(|record| !record.outcome.is_success())
        .collect();
    let mut outcomes: BTreeMap<(usize, Outcome), usize> = BTreeMap::new();
    for record in &failed {
        *outcomes.entry((record.path, record.outcome)).or_default() += 1;
    }
    let times = |records: &[Record]| {
        let mut times: Vec<_> = records.iter().map(|record| record.took).collect();
        times.sort_unstable();
        times
    };
    let all = times(records);
    println!(
        "{name}: requests {}, failed {}; p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        records.len(),
        failed.len(),
        percentile(&all, 0.5),
        percentile(&all, 0.99),
        percentile(&all, 1.0)
    );
    if !failed.is_empty() {
        let first = failed.iter().map(|record| record.begun).min();
        let last = failed.iter().map(|record| record.begun).max();
        let span = last.zip(first).map(|(last, first)| last - first);
        let longest = percentile(&times(&failed), 1.0);
        println!("  failed within {span:?}, longest {longest:.1} ms: {outcomes:?}");
    }
    failed
}

/// A process with the settings of `program` beside it.
async fn twin(program: &Program) -> Program {
    let twin = tokio::task::block_in_place(|| program.twin());
    twin.until_ready().await;
    twin
}

fn gateway(platform: &Platform, services: [String; 3]) -> Program {
    let [movie, preference, recommendation] = services;
    let settings = service(&[
        ("JWT_SECRET", JWT_SECRET.to_owned()),
        ("JWT_ISSUER", "marquee".to_owned()),
        ("JWT_AUDIENCE", "marquee".to_owned()),
        ("MOVIE_SERVICE_URL", movie),
        ("USER_PREFERENCE_SERVICE_URL", preference),
        ("RECOMMENDATION_SERVICE_URL", recommendation),
        ("REDIS_URL", redis_url(&platform.redis, 0)),
        ("RATE_LIMIT_MAX", "10000000".to_owned()),
        // What the load balancer needs to notice that it stops.
        ("SHUTDOWN_DELAY_MS", "1000".to_owned()),
    ]);
    Program::start("gateway", &settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a drill: takes minutes"]
async fn drill_restarts() {
    let options = PlatformOptions {
        movie_services: 2,
        recommendation_services: 2,
        ..PlatformOptions::jwt()
    };
    let mut platform = Platform::with_films(1, options).await;
    let user = platform.user("anna").await;
    let film = platform.recommended(user, 1).await[0];
    let token = platform.token(&[
        "--role",
        "admin",
        "--subject",
        "1",
        "--ttl-seconds",
        "86400",
    ]);
    let mut second = twin(&platform.preference_service).await;
    let urls = |programs: &[&Program]| {
        let urls: Vec<_> = programs.iter().map(|program| program.url()).collect();
        urls.join(",")
    };
    let [movies, recommendations] = [&platform.movie_services, &platform.recommendation_services]
        .map(|programs| programs.iter().collect::<Vec<_>>());
    let preference = &platform.preference_service;
    let pairs = [
        urls(&movies),
        urls(&[preference, &second]),
        urls(&recommendations),
    ];
    let single = [
        urls(&movies[..1]),
        urls(&[preference]),
        urls(&recommendations[..1]),
    ];
    let mut gateways: Vec<_> = (0..2).map(|_| gateway(&platform, pairs.clone())).collect();
    let alone = [gateway(&platform, single)];

    let load = OpenLoad::start(&gateways, user, film, &token);
    let mut failed = Vec::new();
    for (number, program) in gateways.iter_mut().enumerate() {
        let records = restart(program, &load).await;
        failed.extend(report(&format!("gateway {number} of 2"), &records));
    }
    let services = platform.movie_services.iter_mut();
    let services = services.chain([&mut platform.preference_service, &mut second]);
    let services = services.chain(&mut platform.recommendation_services);
    for program in services {
        let records = restart(program, &load).await;
        failed.extend(report(&format!("one {} of 2", program.name()), &records));
    }
    drop(load);
    assert!(failed.is_empty(), "{failed:?}");

    let load = OpenLoad::start(&alone, user, film, &token);
    for program in [
        &mut platform.movie_services[0],
        &mut platform.preference_service,
        &mut platform.recommendation_services[0],
    ] {
        let records = restart(program, &load).await;
        for record in report(&format!("the only {}", program.name()), &records) {
            assert_eq!(record.outcome, Outcome::Completed(503, true), "{record:?}");
            assert!(record.took < FAST, "{record:?}");
        }
    }
}
