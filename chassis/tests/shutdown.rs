//! The end of a process that does not finish its work.
#![allow(clippy::unwrap_used, reason = "a failed step of a test should panic")]

use std::{
    collections::HashMap,
    future::pending,
    net::{Ipv4Addr, TcpListener},
    time::{Duration, Instant},
};

use axum::routing::get;
use chassis::{Health, Process, Router, Settings, run::serve};
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[tokio::test]
async fn requests_and_tasks_share_one_grace_period() {
    // Below the ephemeral ports: connecting to one of those before the server listens could connect to itself.
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    let port = (first..).find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    let port = port.unwrap();
    let environment = HashMap::from(
        [
            ("SERVER_PORT", port.to_string()),
            ("SHUTDOWN_GRACE_SECONDS", "2".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value)),
    );
    let settings = Settings::merge("", &environment).unwrap();
    let process = Process::new("some-service", settings).unwrap();
    let shutdown = process.shutdown.clone();
    shutdown.spawn(pending());
    let requested = async {
        let address = (Ipv4Addr::LOCALHOST, port);
        let mut client = loop {
            match TcpStream::connect(address).await {
                Ok(client) => break client,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
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
