//! The end of a process: of one that does not finish its work, and of its connections.
#![allow(clippy::unwrap_used, reason = "a failed step of a test should panic")]

use std::{
    collections::HashMap,
    future::pending,
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use axum::routing::get;
use chassis::{Health, Process, Router, Settings, run::serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A process that is to serve, and its address.
fn process(grace_seconds: &str) -> (Process, (Ipv4Addr, u16)) {
    static STARTED: AtomicU16 = AtomicU16::new(0);
    // Below the ephemeral ports: connecting to one of those before the server listens could connect to itself.
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let first = first + 100 * STARTED.fetch_add(1, Ordering::Relaxed);
    let port = (first..).find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let port = port.unwrap();
    let environment = HashMap::from(
        [
            ("SERVER_PORT", port.to_string()),
            ("SHUTDOWN_GRACE_SECONDS", grace_seconds.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let settings = Settings::merge("", &environment).unwrap();
    let process = Process::new("some-service", settings).unwrap();
    (process, (Ipv4Addr::LOCALHOST, port))
}

/// A connection, once the process listens.
async fn connect(address: (Ipv4Addr, u16)) -> TcpStream {
    loop {
        match TcpStream::connect(address).await {
            Ok(client) => return client,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

#[tokio::test]
async fn requests_and_tasks_share_one_grace_period() {
    let (process, address) = process("2");
    let shutdown = process.shutdown.clone();
    shutdown.spawn(pending());
    let requested = async {
        let mut client = connect(address).await;
        let request = b"GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        shutdown.start();
        (client, Instant::now())
    };
    let routes = Router::new().route("/never", get(pending::<()>));
    let served = serve(process, Default::default(), |_| async {
        Ok((routes, Health::default()))
    });
    let (served, (_client, started)) = tokio::join!(served, requested);
    assert!(!served.unwrap(), "a request and a task are unfinished");
    assert!(started.elapsed() < Duration::from_millis(3500));
}

#[tokio::test]
async fn a_stopping_process_serves_open_connections_and_announces_their_end() {
    let (process, address) = process("5");
    let shutdown = process.shutdown.clone();
    let requested = async {
        let mut client = connect(address).await;
        let request = b"GET /quick HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.unwrap();
        let mut response = Vec::new();
        while !response.ends_with(b"done") {
            assert!(client.read_buf(&mut response).await.unwrap() > 0);
        }
        shutdown.start();
        client.write_all(request).await.unwrap();
        let mut last = Vec::new();
        client.read_to_end(&mut last).await.unwrap();
        [response, last].map(|bytes| String::from_utf8(bytes).unwrap())
    };
    let routes = Router::new().route("/quick", get(async || "done"));
    let served = serve(process, Default::default(), |_| async {
        Ok((routes, Health::default()))
    });
    let (served, [before, last]) = tokio::join!(served, requested);
    assert!(served.unwrap());
    assert!(!before.contains("connection: close"), "{before}");
    assert!(last.ends_with("done"), "{last}");
    assert!(last.contains("connection: close"), "{last}");
}
