//! A measurement: three gateways and 64 connections send as fast as they can, while limits of addresses, users and API
//! keys are used up, with Redis and with Redis going away in the middle of each window. Asserts that no window admits
//! more than its limit. Not part of ordinary runs:
//!
//! ```text
//! scripts/test.sh -p gateway --run-ignored only --no-capture -E 'test(drill_limits)'
//! ```

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chassis::testing::RedisServer;
use gateway::Role;

use crate::{
    api_keys::{api_key, owners},
    stage::{Stage, echo, serve},
};

const GATEWAYS: usize = 3;
const CONNECTIONS: usize = 64;
/// Of an address, a user and an API key.
const LIMITS: [usize; 3] = [2000, 1000, 500];
const ROUNDS: usize = 5;
/// Requests in a round beyond the limit.
const EXCESS: usize = 1500;

/// Sends GETs on one connection until `sent` reaches `most`; returns the admitted ones.
fn send(address: SocketAddr, head: &str, sent: &AtomicUsize, most: usize) -> usize {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let mut admitted = 0;
    let mut buffer = vec![0; 64 * 1024];
    while sent.fetch_add(1, Ordering::SeqCst) < most {
        stream.write_all(head.as_bytes()).expect("a request");
        let mut read = 0;
        let end = loop {
            read += stream.read(&mut buffer[read..]).expect("a response");
            let text = String::from_utf8_lossy(&buffer[..read]);
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.split_once("content-length: ").expect("a length").1;
                let length = length.split("\r\n").next().expect("a line");
                if body.len() >= length.parse::<usize>().expect("a number") {
                    break head.to_owned();
                }
            }
        };
        admitted += usize::from(end.starts_with("HTTP/1.1 200"));
        assert!(
            end.starts_with("HTTP/1.1 200") || end.starts_with("HTTP/1.1 429"),
            "{end}"
        );
    }
    admitted
}

/// Admitted requests of one window of the limit `kind`; `disturb` is called in its middle.
async fn round(
    stages: &[Stage],
    kind: usize,
    number: usize,
    disturb: impl FnOnce() + Send + 'static,
) -> usize {
    let user = (100 * kind + number + 10).to_string();
    let token = match kind {
        0 => stages[0].token("1", Role::Admin),
        1 => stages[0].token(&user, Role::User),
        _ => api_key(&user, "user", &["read"]),
    };
    // The address of the round, or one of each connection.
    let head = |connection: usize| {
        let last = if kind == 0 { 0 } else { connection };
        format!(
            "GET /api/v1/movies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             X-Forwarded-For: 10.{kind}.{number}.{last}\r\n\r\n"
        )
    };
    let sent = Arc::new(AtomicUsize::new(0));
    let most = LIMITS[kind] + EXCESS;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|number| {
            let address = stages[number % GATEWAYS].address;
            let (head, sent) = (head(number), Arc::clone(&sent));
            tokio::task::spawn_blocking(move || send(address, &head, &sent, most))
        })
        .collect();
    let middle = LIMITS[kind] / 2;
    tokio::task::spawn_blocking(move || {
        while sent.load(Ordering::SeqCst) < middle {
            std::thread::yield_now();
        }
        disturb();
    })
    .await
    .expect("no panic");
    let mut admitted = 0;
    for client in clients {
        admitted += client.await.expect("no panic");
    }
    admitted
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn drill_limits() {
    let redis = Arc::new(std::sync::Mutex::new(RedisServer::start()));
    let url = redis.lock().unwrap().url();
    let upstream = serve(echo().merge(owners())).await;
    let [address, user, key] = LIMITS;
    let more = [
        ("REDIS_URL", url),
        ("RATE_LIMIT_GATEWAYS", GATEWAYS.to_string()),
        ("TRUSTED_PROXIES", "127.0.0.0/8".to_owned()),
        ("RATE_LIMIT_MAX", address.to_string()),
        // Longer than a round.
        ("RATE_LIMIT_WINDOW_SECONDS", "600".to_owned()),
        ("PLANS", format!("free={user}/600,unlimited")),
        ("API_KEY_LIMIT", format!("{key}/600")),
        ("WORKER_THREADS", "1".to_owned()),
    ];
    let more: Vec<_> = more
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    let stages: Vec<_> = (0..GATEWAYS).map(|_| Stage::new(upstream, &more)).collect();
    for (kind, name) in ["address", "user", "API key"].into_iter().enumerate() {
        let limit = LIMITS[kind];
        for away in [false, true] {
            let mut counts = Vec::new();
            for number in 0..ROUNDS {
                let server = Arc::clone(&redis);
                let disturb = move || {
                    if away {
                        server.lock().unwrap().stop();
                    }
                };
                let number = number + if away { ROUNDS } else { 0 };
                counts.push(round(&stages, kind, number, disturb).await);
                if away {
                    redis.lock().unwrap().resume();
                    for stage in &stages {
                        chassis::testing::eventually("Redis is back", async || {
                            stage.get("/health/ready").await.json()["dependencies"][0]["status"]
                                == "ok"
                        })
                        .await;
                    }
                }
            }
            let state = if away {
                "Redis goes away in the middle"
            } else {
                "Redis up"
            };
            println!("{name}, limit {limit}, {state}: admitted {counts:?}");
            let over = counts.iter().filter(|count| **count > limit).count();
            assert_eq!(over, 0, "{name}: {counts:?}");
            assert!(
                away || counts.iter().all(|count| *count == limit),
                "{counts:?}"
            );
        }
    }
}
