//! A measurement: the resident memory of a gateway after its start, and with 10,000 idle connections that have each made one
//! request. Asserts that it is at most 25 and 150 MiB. Not part of ordinary runs; `GATEWAY_BINARY` names the program, since
//! one without optimizations is larger:
//!
//! ```text
//! GATEWAY_BINARY=$PWD/target/release/gateway \
//!     scripts/test.sh -p gateway --test api --run-ignored only --no-capture -E 'test(drill_memory)'
//! ```

use std::{net::Ipv4Addr, time::Duration};

use gateway::Role;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};

use crate::{
    gateway_process::GatewayProcess,
    stage::{MAX_WAIT, echo, serve, status_of},
};

const CONNECTIONS: usize = 10_000;
/// Addresses of clients, each of which may have 2,048 connections.
const CLIENTS: u8 = 8;
const AFTER_START_MIB: f64 = 25.0;
const WITH_CONNECTIONS_MIB: f64 = 150.0;
/// The time for which memory is watched.
const WATCHED: Duration = Duration::from_secs(5);

/// The most memory within a while, in MiB.
async fn peak(gateway: &GatewayProcess) -> f64 {
    let mut peak = 0.0_f64;
    for _ in 0..10 {
        tokio::time::sleep(WATCHED / 10).await;
        peak = peak.max(gateway.memory());
    }
    peak
}

/// A connection from `client` that has made `request`.
async fn connect(client: Ipv4Addr, gateway: std::net::SocketAddr, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((client, 0).into()).unwrap();
    let mut stream = socket.connect(gateway).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    while !response.ends_with(b"}") {
        let count = stream.read_buf(&mut response).await.expect("a response");
        assert!(count > 0, "the connection was closed");
    }
    assert_eq!(status_of(&String::from_utf8_lossy(&response)), 200);
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn drill_memory() {
    let connections = (CONNECTIONS + CONNECTIONS / 5).to_string();
    let settings = [
        // The usual number is less; a thread has its share of it, and the kernel does not spread connections evenly.
        ("MAX_CONNECTIONS", &connections[..]),
        ("RATE_LIMIT_MAX", "1000000"),
    ];
    let gateway = GatewayProcess::start(serve(echo()).await, &settings);
    let after_start = peak(&gateway).await;
    let token = gateway.token("7", Role::Admin);
    let request =
        format!("GET /api/v1/users/7 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut connecting = JoinSet::new();
    let mut connected = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        if connecting.len() >= 64 {
            connected.extend(connecting.join_next().await.map(Result::unwrap));
        }
        let client = Ipv4Addr::new(127, 0, 2, number as u8 % CLIENTS);
        let (address, request) = (gateway.address, request.clone());
        connecting.spawn(async move {
            let connected = connect(client, address, &request);
            timeout(MAX_WAIT, connected).await.expect("a response")
        });
    }
    connected.extend(connecting.join_all().await);
    let with_connections = peak(&gateway).await;
    let mut byte = [0];
    let is_open = |stream: &&TcpStream| {
        let read = stream.try_read(&mut byte);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    let open = connected.iter().filter(is_open).count();
    let each = (with_connections - after_start) * 1024.0 / open as f64;
    drop(connected);
    let after_them = peak(&gateway).await;
    println!("after the start: {after_start:.1} MiB (at most {AFTER_START_MIB})");
    println!(
        "with {open} idle connections: {with_connections:.1} MiB (at most {WITH_CONNECTIONS_MIB}), {each:.1} KiB for each"
    );
    println!("after them: {after_them:.1} MiB");
    assert_eq!(open, CONNECTIONS);
    assert!(after_start <= AFTER_START_MIB, "{after_start}");
    assert!(
        with_connections <= WITH_CONNECTIONS_MIB,
        "{with_connections}"
    );
}
