//! A measurement: the resident memory of a gateway under a steady, mixed load, sampled each second. Prints the mean of each
//! quarter of the time and asserts that the last is within 5 % of the first, and that each request has the status that it
//! must have. Not part of ordinary runs; `GATEWAY_BINARY` names the program, `MINUTES` the time (by default 2, which only
//! shows a coarse leak; an hour is the real one) and `RATE` the requests per second:
//!
//! ```text
//! GATEWAY_BINARY=$PWD/target/release/gateway MINUTES=60 \
//!     cargo test -p gateway --test api -- --ignored --nocapture drill_steady
//! ```

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    str::FromStr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::Request, http::StatusCode};
use bytes::Bytes;
use gateway::Role;
use http_body_util::Full;
use hyper::header::{ACCEPT_ENCODING, CONNECTION, HeaderValue};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    gateway_process::GatewayProcess,
    kept::{KeptConnections, percentile_ms, request},
    stage::serve,
};

/// The time before the first sample: caches and pools fill.
const WARM_UP: Duration = Duration::from_secs(20);
const USERS: usize = 500;
const CLIENTS: u8 = 8;
const QUARTERS: usize = 4;
const MAX_GROWTH: f64 = 1.05;
const CODINGS: [&str; 4] = ["zstd", "br", "gzip", "identity"];

/// A kind of request in the mixture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Read,
    Large,
    Write,
    NoToken,
    BadToken,
    Unknown,
    Limited,
    Closing,
}

/// The mixture, of which each round sends all.
const MIXTURE: [Kind; 20] = [
    Kind::Read,
    Kind::Large,
    Kind::Read,
    Kind::Write,
    Kind::Read,
    Kind::NoToken,
    Kind::Large,
    Kind::Read,
    Kind::Limited,
    Kind::Read,
    Kind::Write,
    Kind::Read,
    Kind::BadToken,
    Kind::Large,
    Kind::Read,
    Kind::Unknown,
    Kind::Large,
    Kind::Read,
    Kind::Limited,
    Kind::Closing,
];

impl Kind {
    fn permits(self, status: u16) -> bool {
        match self {
            Self::Read | Self::Large | Self::Closing => status == 200,
            Self::Write => status == 201,
            Self::NoToken | Self::BadToken => status == 401,
            Self::Unknown => status == 404,
            Self::Limited => status == 200 || status == 429,
        }
    }
}

fn number<T: FromStr>(name: &str, default: T) -> T {
    let value = std::env::var(name).ok();
    value.map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number"))
    })
}

/// All services: short and long responses, and writes.
fn services() -> Router {
    let rows: Vec<_> = (0..200)
        .map(|id| json!({"id": id, "title": format!("Title {id}"), "overview": "text ".repeat(10 + id % 7)}))
        .collect();
    let large = Json(Value::from(rows));
    Router::new().fallback(move |request: Request| {
        let large = large.clone();
        async move {
            let path = request.uri().path();
            match (request.method().as_str(), path) {
                ("POST", _) => (StatusCode::CREATED, Json(json!({"id": 1}))),
                (_, "/internal/v1/token-revocations") => {
                    (StatusCode::OK, Json(json!({"revocations": []})))
                }
                (_, "/api/v1/movies") => (StatusCode::OK, large),
                _ => (StatusCode::OK, Json(json!({"id": 1, "name": "someone"}))),
            }
        }
    })
}

/// The load of one moment to the next.
struct Mixture {
    clients: Vec<KeptConnections>,
    tokens: Vec<String>,
    /// Counts by kind and status (0: none), and the times of responses of the latest second.
    counts: Mutex<BTreeMap<(Kind, u16), usize>>,
    times: Mutex<Vec<Duration>>,
}

impl Mixture {
    fn request(&self, kind: Kind, number: usize) -> hyper::Request<Full<Bytes>> {
        let user = number % USERS;
        let own = format!("/api/v1/users/{user}");
        let token = &self.tokens[user][..];
        let mut request = match kind {
            Kind::Read => request(&own, token, None),
            Kind::Closing => request(&own, token, None),
            Kind::Large => request("/api/v1/movies?page_size=100", token, None),
            Kind::Write => request(
                &format!("{own}/interactions"),
                token,
                Some(r#"{"movie_id":1,"interaction_type":"like"}"#),
            ),
            Kind::NoToken => request(&own, "", None),
            Kind::BadToken => request(&own, &format!("{token}{number}"), None),
            Kind::Unknown => request(&format!("/api/v1/nothing/{number}"), token, None),
            Kind::Limited => request("/api/v1/genres", &self.tokens[USERS], None),
        };
        let headers = request.headers_mut();
        let coding = HeaderValue::from_static(CODINGS[number % CODINGS.len()]);
        headers.insert(ACCEPT_ENCODING, coding);
        if kind == Kind::NoToken {
            headers.remove("authorization");
        }
        if kind == Kind::Closing {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        request
    }

    async fn send(&self, number: usize) {
        let kind = MIXTURE[number % MIXTURE.len()];
        let client = &self.clients[number % self.clients.len()];
        let begun = Instant::now();
        let response = client.send(self.request(kind, number)).await;
        self.times.lock().unwrap().push(begun.elapsed());
        let status = response.map_or(0, |response| response.status().as_u16());
        *self
            .counts
            .lock()
            .unwrap()
            .entry((kind, status))
            .or_default() += 1;
    }
}

/// Sends `rate` requests per second until it is dropped.
fn start(mixture: &Arc<Mixture>, rate: u32) -> JoinSet<()> {
    let mixture = Arc::clone(mixture);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut under_way = JoinSet::new();
        let mut clock = tokio::time::interval(Duration::from_secs(1) / rate);
        for number in 0.. {
            clock.tick().await;
            while under_way.try_join_next().is_some() {}
            let mixture = Arc::clone(&mixture);
            under_way.spawn(async move { mixture.send(number).await });
        }
    });
    task
}

fn mean(samples: &[f64]) -> f64 {
    samples.iter().sum::<f64>() / samples.len() as f64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn drill_steady() {
    let minutes: f64 = number("MINUTES", 2.0);
    let rate: u32 = number("RATE", 300);
    let settings = [
        ("RATE_LIMIT_MAX", "1000000"),
        ("PLANS", "free=10x,unlimited,short=10/10"),
        ("USER_PLANS", "500=short"),
    ];
    let gateway = GatewayProcess::start(serve(services()).await, &settings);
    let tokens = (0..=USERS).map(|user| gateway.token(&user.to_string(), Role::User));
    let clients = (0..CLIENTS)
        .map(|last| KeptConnections::new(Ipv4Addr::new(127, 0, 3, last), gateway.address));
    let mixture = Arc::new(Mixture {
        clients: clients.collect(),
        tokens: tokens.collect(),
        counts: Mutex::default(),
        times: Mutex::default(),
    });
    let load = start(&mixture, rate);
    tokio::time::sleep(WARM_UP).await;
    mixture.times.lock().unwrap().clear();
    let (mut samples, mut worst) = (Vec::new(), 0.0_f64);
    let ended = Instant::now() + Duration::from_secs_f64(60.0 * minutes);
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    clock.tick().await;
    while Instant::now() < ended {
        clock.tick().await;
        samples.push(gateway.memory());
        let mut times = std::mem::take(&mut *mixture.times.lock().unwrap());
        worst = worst.max(percentile_ms(&mut times, 0.99));
    }
    drop(load);
    let length = samples.len() / QUARTERS;
    let quarters: Vec<f64> = samples
        .chunks_exact(length)
        .take(QUARTERS)
        .map(mean)
        .collect();
    let ratio = quarters[QUARTERS - 1] / quarters[0];
    let counts = mixture.counts.lock().unwrap().clone();
    println!("{} requests: {counts:?}", counts.values().sum::<usize>());
    println!(
        "resident memory by quarter of {minutes} minutes: {quarters:.2?} MiB, last to first {ratio:.3}"
    );
    println!("the largest p99 of a second: {worst:.1} ms");
    for (kind, status) in counts.keys() {
        assert!(kind.permits(*status), "{kind:?}: {status}");
    }
    assert!(
        counts.contains_key(&(Kind::Limited, 429)),
        "no limit was used up"
    );
    assert!(ratio <= MAX_GROWTH, "{ratio}");
}
