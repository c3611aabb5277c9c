//! A measurement: the resident memory of a gateway without clients, and with 10,000 idle connections, in cleartext and over
//! TLS. Asserts the limits of those in cleartext. Not part of ordinary runs; `GATEWAY_BINARY` names the program, since one
//! without optimizations is larger:
//!
//! ```text
//! GATEWAY_BINARY=$PWD/target/release/gateway \
//!     scripts/test.sh -p gateway --test api --run-ignored only --no-capture -E 'test(drill_connections)'
//! ```

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Command,
    time::Duration,
};

use chassis::testing::eventually;
use rustls::{pki_types::ServerName, version::TLS13};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    certificates::Certificates,
    client_tls::{client_config, files},
    gateway_process::GatewayProcess,
    stage::{MAX_WAIT, echo, serve},
};

const CONNECTIONS: usize = 10_000;
/// Connections that are opened at a time.
const BATCH: usize = 100;
const MAX_IDLE_MIB: f64 = 25.0;
const MAX_CONNECTED_MIB: f64 = 150.0;
/// Open files of the test and of the gateway.
const FILES: usize = CONNECTIONS + 2000;
const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Lets the process `pid` open enough files.
fn allow_files(pid: u32) {
    let status = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--nofile={FILES}:")])
        .status();
    assert!(
        status.expect("prlimit").success(),
        "{FILES} files are not allowed"
    );
}

/// Sends a request and reads the response.
async fn exchange(stream: &mut Box<dyn Stream>) {
    stream.write_all(REQUEST).await.expect("a request");
    let mut response = Vec::new();
    let mut buffer = [0; 1024];
    while !response.ends_with(b"}") {
        let read = timeout(MAX_WAIT, stream.read(&mut buffer)).await;
        let count = read.expect("in time").expect("a response");
        assert!(count > 0, "closed");
        response.extend_from_slice(&buffer[..count]);
    }
    assert!(response.starts_with(b"HTTP/1.1 200 OK"));
}

/// A connection from one of several addresses, since an address has too few ports.
async fn connect(number: usize, to: SocketAddr, tls: Option<TlsConnector>) -> Box<dyn Stream> {
    let last = u8::try_from(number % 4 + 2).expect("small");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind((Ipv4Addr::new(127, 0, 0, last), 0).into())
        .expect("an address");
    let stream: TcpStream = socket.connect(to).await.expect("a connection");
    let mut stream: Box<dyn Stream> = match tls {
        None => Box::new(stream),
        Some(tls) => {
            let name = ServerName::try_from("localhost").expect("a name");
            Box::new(tls.connect(name, stream).await.expect("a handshake"))
        }
    };
    exchange(&mut stream).await;
    stream
}

/// Measures a gateway; returns its memory without clients and with idle connections.
async fn measure(tls: Option<(&[String; 2], TlsConnector)>) -> (f64, f64) {
    let limit = (CONNECTIONS + 1000).to_string();
    let mut settings = vec![
        ("WORKER_THREADS", "2"),
        ("MAX_CONNECTIONS", &*limit),
        ("MAX_CONNECTIONS_PER_CLIENT", &*limit),
        ("KEEP_ALIVE_TIMEOUT_MS", "3600000"),
    ];
    let name = match &tls {
        None => "cleartext",
        Some((files, _)) => {
            settings.push(("TLS_CERTIFICATE_FILE", &files[0]));
            settings.push(("TLS_KEY_FILE", &files[1]));
            "TLS"
        }
    };
    let gateway = GatewayProcess::start(serve(echo()).await, &settings);
    let (pid, address) = (gateway.id(), gateway.address);
    allow_files(pid);
    let connector = tls.map(|(_, connector)| connector);
    drop(connect(0, address, connector.clone()).await);
    let idle = gateway.memory();
    let mut streams = Vec::with_capacity(CONNECTIONS);
    for first in (0..CONNECTIONS).step_by(BATCH) {
        let mut opening = JoinSet::new();
        for number in first..first + BATCH {
            opening.spawn(connect(number, address, connector.clone()));
        }
        streams.extend(opening.join_all().await);
    }
    let connected = gateway.memory();
    // All of them are still open.
    for stream in &mut streams {
        exchange(stream).await;
    }
    let used = gateway.memory();
    drop(streams);
    eventually("the connections are closed", || async move {
        let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("a process");
        folder.count() < BATCH
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    println!(
        "{name}: {idle:.1} MiB without clients, {connected:.1} MiB with {CONNECTIONS} idle connections ({:.1} KiB each), \
         {used:.1} MiB after another request on each, {:.1} MiB after their end",
        (connected - idle) * 1024.0 / CONNECTIONS as f64,
        gateway.memory(),
    );
    (idle, connected)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn drill_connections() {
    allow_files(std::process::id());
    let (idle, connected) = measure(None).await;
    let certificates = Certificates::new();
    let files = files(&certificates);
    let config = client_config(&certificates, &[&TLS13], &["http/1.1"]);
    measure(Some((&files, TlsConnector::from(config)))).await;
    assert!(idle <= MAX_IDLE_MIB, "{idle} MiB without clients");
    assert!(
        connected <= MAX_CONNECTED_MIB,
        "{connected} MiB with connections"
    );
}
