//! A load generator: concurrent clients that send requests over new or kept connections and record every outcome.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use chassis::testing::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// The longest wait for a response.
const MAX_WAIT: Duration = Duration::from_secs(20);

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A complete response with this status.
    Completed(u16),
    /// The connection was refused.
    Refused,
    /// A kept connection was closed between requests, as HTTP allows.
    ClosedIdle,
    /// A new connection was closed without a response.
    NoResponse,
    /// The response was truncated or too late.
    Dropped(String),
}

/// Clients that run until stopped.
pub(crate) struct Load {
    control: Arc<Control>,
    clients: JoinSet<Vec<Outcome>>,
}

#[derive(Default)]
struct Control {
    stop: AtomicBool,
    completed: AtomicUsize,
}

impl Load {
    /// `clients` that send `head` (a request line and headers, without those about the connection) to
    /// `address`; every second one keeps its connection.
    pub(crate) fn start(clients: usize, address: SocketAddr, head: &str) -> Self {
        let control = Arc::<Control>::default();
        let mut set = JoinSet::new();
        for number in 0..clients {
            let keeps = number % 2 == 1;
            let connection = if keeps { "keep-alive" } else { "close" };
            let request = format!("{head}Host: platform\r\nConnection: {connection}\r\n\r\n");
            set.spawn(client(address, request, keeps, Arc::clone(&control)));
        }
        Self {
            control,
            clients: set,
        }
    }

    /// Waits for `count` more responses.
    pub(crate) async fn more(&self, responses: usize) {
        let count = || self.control.completed.load(Ordering::SeqCst);
        let before = count();
        eventually("responses under load", async || {
            count() >= before + responses
        })
        .await;
    }

    /// Stops the clients; returns all outcomes.
    pub(crate) async fn stop(self) -> Vec<Outcome> {
        self.control.stop.store(true, Ordering::SeqCst);
        self.clients
            .join_all()
            .await
            .into_iter()
            .flatten()
            .collect()
    }
}

async fn client(
    address: SocketAddr,
    request: String,
    keeps: bool,
    control: Arc<Control>,
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    let mut kept: Option<TcpStream> = None;
    while !control.stop.load(Ordering::SeqCst) {
        let reused = kept.is_some();
        let stream = match kept.take() {
            Some(stream) => Ok(stream),
            None => TcpStream::connect(address).await,
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(_) => {
                outcomes.push(Outcome::Refused);
                tokio::time::sleep(Duration::from_millis(2)).await;
                continue;
            }
        };
        let result = tokio::time::timeout(MAX_WAIT, exchange(&mut stream, &request)).await;
        outcomes.push(match result {
            Ok(Ok((status, open))) => {
                kept = (keeps && open).then_some(stream);
                control.completed.fetch_add(1, Ordering::SeqCst);
                Outcome::Completed(status)
            }
            Ok(Err(Broken { read: 0, .. })) if reused => Outcome::ClosedIdle,
            Ok(Err(Broken { read: 0, .. })) => Outcome::NoResponse,
            Ok(Err(broken)) => Outcome::Dropped(format!("{broken:?}")),
            Err(_) => Outcome::Dropped("no response in time".to_owned()),
        });
    }
    outcomes
}

#[derive(Debug)]
struct Broken {
    read: usize,
    #[expect(dead_code, reason = "for the message of a test that fails")]
    why: ErrorKind,
}

/// Sends a request; returns the status, and true if the connection stays open.
async fn exchange(stream: &mut TcpStream, request: &str) -> Result<(u16, bool), Broken> {
    let broken = |read: usize| {
        move |error: std::io::Error| Broken {
            read,
            why: error.kind(),
        }
    };
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(broken(0))?;
    let mut bytes = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(whole) = whole(&bytes) {
            return Ok(whole);
        }
        let count = stream.read(&mut piece).await.map_err(broken(bytes.len()))?;
        if count == 0 {
            return Err(Broken {
                read: bytes.len(),
                why: ErrorKind::UnexpectedEof,
            });
        }
        bytes.extend_from_slice(&piece[..count]);
    }
}

/// The status of the response in `bytes` if it is complete, and true if the connection stays open.
fn whole(bytes: &[u8]) -> Option<(u16, bool)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_lowercase();
    let body = &bytes[end + 4..];
    let length = head
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length:"))
        .map(|length| length.trim().parse::<usize>());
    let is_whole = match length {
        Some(length) => body.len() >= length.ok()?,
        None => body.ends_with(b"0\r\n\r\n"),
    };
    is_whole.then_some(())?;
    let status = head.get(9..12)?.parse().ok()?;
    Some((status, !head.contains("connection: close")))
}
