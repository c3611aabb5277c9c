//! The ways to a gateway, in cleartext and over TLS, for requests that are written byte for byte.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use gateway::Role;

use crate::{
    certificates::Certificates,
    client_tls::{self, TlsStream, files, with_tls},
    stage::{Stage, read_rest, serve, status_of},
};

/// A gateway, and the number of requests that reached its service.
pub(crate) async fn watched(more: &[(&str, &str)]) -> (Stage, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    let app = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        async { "through" }
    });
    (Stage::new(serve(app).await, more), seen)
}

/// A client's connection.
pub(crate) trait Connection: Read + Write {
    fn socket(&self) -> &TcpStream;

    /// Ends what the client sends.
    fn end(&mut self);
}

impl Connection for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn end(&mut self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Connection for TlsStream {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }

    fn end(&mut self) {
        self.conn.send_close_notify();
        // The gateway may have closed the connection.
        let _ = self.flush();
        let _ = self.sock.shutdown(Shutdown::Write);
    }
}

/// A gateway, and the way to it.
pub(crate) struct Wire {
    pub(crate) stage: Stage,
    /// Requests that have reached its service.
    pub(crate) seen: Arc<AtomicUsize>,
    /// `None`: cleartext.
    certificates: Option<Certificates>,
    /// Messages so far.
    sent: AtomicUsize,
}

/// One gateway in cleartext and one with TLS, in front of `service`.
pub(crate) fn wires_to(service: SocketAddr, more: &[(&str, &str)]) -> [Wire; 2] {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let clear = Stage::new(service, more);
    let tls = Stage::new(service, &with_tls(&files, more));
    [(clear, None), (tls, Some(certificates))].map(|(stage, certificates)| Wire {
        stage,
        seen: Arc::default(),
        certificates,
        sent: AtomicUsize::new(0),
    })
}

/// One gateway in cleartext and one with TLS, each in front of a service that counts requests.
pub(crate) async fn wires(more: &[(&str, &str)]) -> [Wire; 2] {
    let certificates = Certificates::new();
    let files = files(&certificates);
    let clear = watched(more).await;
    let tls = watched(&with_tls(&files, more)).await;
    [(clear, None), (tls, Some(certificates))].map(|((stage, seen), certificates)| Wire {
        stage,
        seen,
        certificates,
        sent: AtomicUsize::new(0),
    })
}

impl Wire {
    pub(crate) fn name(&self) -> &'static str {
        match self.certificates {
            None => "cleartext",
            Some(_) => "TLS",
        }
    }

    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }

    pub(crate) fn connect(&self) -> Box<dyn Connection> {
        match &self.certificates {
            None => Box::new(TcpStream::connect(self.stage.address).unwrap()),
            Some(certificates) => {
                Box::new(client_tls::connect(self.stage.address, certificates).unwrap())
            }
        }
    }

    /// Writes `bytes` on a connection of their own and reads until the end, or until a second has passed without more.
    pub(crate) fn send(&self, bytes: &[u8]) -> String {
        self.sent.fetch_add(1, Ordering::SeqCst);
        let mut stream = self.connect();
        let timeout = Some(Duration::from_secs(1));
        stream.socket().set_read_timeout(timeout).unwrap();
        // The gateway may close the connection before all is written.
        let _ = stream.write_all(bytes);
        read_rest(&mut *stream)
    }

    /// A request that is valid except for `line` and `headers`.
    pub(crate) fn request(&self, line: &str, headers: &str) -> Vec<u8> {
        let token = self.stage.token("1", Role::Admin);
        format!("{line}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{headers}\r\n")
            .into_bytes()
    }

    pub(crate) fn refused(&self, bytes: &[u8]) -> String {
        let response = self.send(bytes);
        assert!(response.contains("application/problem+json"), "{response}");
        assert!(response.contains("x-request-id: "), "{response}");
        let body = response.split("\r\n\r\n").nth(1).expect("a body");
        let problem: serde_json::Value = serde_json::from_str(body).expect("a problem");
        assert_eq!(problem["status"], status_of(&response));
        response
    }

    /// Asserts that none of the messages so far has reached the service, and prints their number.
    pub(crate) fn nothing_through(&self) {
        let (sent, seen) = (self.sent.load(Ordering::SeqCst), self.seen());
        let name = self.name();
        println!("{name}: {sent} messages, {seen} requests reached the service");
        assert_eq!(seen, 0, "{name}");
    }
}
