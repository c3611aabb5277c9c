//! A service whose behaviour is changed while it serves.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// The behaviour of a [`FaultyService`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Each request is answered at once.
    Ordinary,
    /// There is no listener, and all connections are reset.
    Dead,
    /// Connections and requests are accepted, but nothing is answered until it ends, as after SIGSTOP.
    Hanging,
    /// Responses take so long, except those about liveness.
    Slow(Duration),
    /// Some responses are 500, some break off, and some connections end without one.
    Failing,
}

/// A service that runs until the end of the test.
pub(super) struct FaultyService {
    pub(super) address: SocketAddr,
    behaviour: watch::Sender<Behaviour>,
    attempts: Arc<AtomicUsize>,
}

impl FaultyService {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = watch::Sender::new(Behaviour::Ordinary);
        let attempts = Arc::<AtomicUsize>::default();
        tokio::spawn(listen(
            listener,
            behaviour.subscribe(),
            Arc::clone(&attempts),
        ));
        Self {
            address,
            behaviour,
            attempts,
        }
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }

    /// The requests that it has received, without those of the gateway itself.
    pub(super) fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }
}

async fn until(
    behaviour: &mut watch::Receiver<Behaviour>,
    condition: impl FnMut(&Behaviour) -> bool,
) {
    // The sender lives as long as the test.
    let _ = behaviour.wait_for(condition).await;
}

async fn listen(
    listener: TcpListener,
    mut behaviour: watch::Receiver<Behaviour>,
    attempts: Arc<AtomicUsize>,
) {
    let address = listener.local_addr().unwrap();
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            until(&mut behaviour, |now| *now != Behaviour::Dead).await;
            listener = Some(TcpListener::bind(address).await.unwrap());
            continue;
        };
        tokio::select! {
            biased;
            () = until(&mut behaviour, |now| *now == Behaviour::Dead) => listener = None,
            accepted = open.accept() => {
                let (stream, _) = accepted.unwrap();
                stream.set_nodelay(true).unwrap();
                tokio::spawn(converse(stream, behaviour.clone(), Arc::clone(&attempts)));
            }
        }
    }
}

/// Serves one connection.
async fn converse(
    mut stream: TcpStream,
    behaviour: watch::Receiver<Behaviour>,
    attempts: Arc<AtomicUsize>,
) {
    let mut dead = behaviour.clone();
    tokio::select! {
        biased;
        () = until(&mut dead, |now| *now == Behaviour::Dead) => {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        () = answer_all(&mut stream, behaviour, attempts) => {}
    }
}

/// Answers requests until the connection ends.
async fn answer_all(
    stream: &mut TcpStream,
    mut behaviour: watch::Receiver<Behaviour>,
    attempts: Arc<AtomicUsize>,
) {
    loop {
        let Some(path) = read_request(stream).await else {
            return;
        };
        let is_probe = path.starts_with("/health");
        let number = match is_probe {
            true => 0,
            false => attempts.fetch_add(1, Ordering::SeqCst),
        };
        until(&mut behaviour, |now| *now != Behaviour::Hanging).await;
        let now = *behaviour.borrow();
        let body = r#"{"some":"object"}"#;
        let (status, length) = match now {
            Behaviour::Slow(delay) if !is_probe => {
                tokio::time::sleep(delay).await;
                ("200 OK", body.len())
            }
            Behaviour::Failing if !is_probe => match number % 3 {
                0 => return,
                1 => ("500 Internal Server Error", body.len()),
                _ => ("200 OK", body.len() + 1),
            },
            _ => ("200 OK", body.len()),
        };
        let response = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        if stream.write_all(response.as_bytes()).await.is_err() || length > body.len() {
            return;
        }
    }
}

/// Reads a request; returns its path, or `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..end]).unwrap();
            let length = head
                .split("\r\n")
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse::<usize>().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(head.split(' ').nth(1).unwrap().to_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}
