//! Responses of services on the wire: their framing, and what must never reach a client as the response to its request.

use std::{
    io::Write,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chassis::testing::eventually;
use gateway::Role;
use hyper::Method;

use crate::stage::{
    MAX_WAIT, Scripted, Stage, TestResponse, raw, read_head, read_rest, respond_ok,
};

const MOVIES: &str = "/api/v1/movies";

/// A stage before a service that responds to the first request with `parts`, one write each, and with "next" to all others.
fn responding(parts: &[&str]) -> (Scripted, Stage) {
    let (service, stage, _) = responding_noted(parts);
    (service, stage)
}

/// The same, and what is true once all `parts` are written.
fn responding_noted(parts: &[&str]) -> (Scripted, Stage, Arc<AtomicBool>) {
    let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
    let is_written = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&is_written);
    let service = Scripted::new(move |number, mut stream, messages| {
        let mut is_first = number == 0;
        loop {
            let head = read_head(&mut stream);
            if head.is_empty() {
                return;
            }
            messages.lock().unwrap().push(head);
            if !std::mem::take(&mut is_first) {
                respond_ok(&mut stream, "next");
                continue;
            }
            for part in &parts {
                write_alone(&mut stream, part);
            }
            noted.store(true, Ordering::SeqCst);
            if parts.last().is_some_and(String::is_empty) {
                return;
            }
        }
    });
    let stage = Stage::new(service.address, &[("WORKER_THREADS", "1")]);
    (service, stage, is_written)
}

/// Writes `part` so that it arrives alone.
fn write_alone(stream: &mut TcpStream, part: &str) {
    stream.set_nodelay(true).unwrap();
    let _ = stream.write_all(part.as_bytes());
    std::thread::sleep(Duration::from_millis(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_read_by_their_framing() {
    // Parts (an empty one ends the connection), the body, and if the connection is used again.
    let cases: &[(&[&str], &str, bool)] = &[
        (
            &["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody"],
            "body",
            true,
        ),
        (
            &["HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", "bo", "dy"],
            "body",
            true,
        ),
        (
            &["HTTP/1.1 2", "00\r\ncontent-", "length: 4\r\n\r", "\nbody"],
            "body",
            true,
        ),
        (
            &["HTTP/1.1 200 OK\r\ncontent-length: 4\r\nContent-Length: 4\r\n\r\nbody"],
            "body",
            true,
        ),
        (&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"], "", true),
        (
            &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"],
            "body",
            true,
        ),
        (
            &[
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r",
                "\nbo\r",
                "\n0002\r\nd",
                "y\r\n0\r\nx: y\r",
                "\n\r\n",
            ],
            "body",
            true,
        ),
        (
            &[
                "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
            ],
            "body",
            true,
        ),
        (
            &[
                "HTTP/1.1 100 Continue\r\n\r\n",
                "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
            ],
            "body",
            true,
        ),
        (
            &["HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 4\r\n\r\nbody"],
            "body",
            true,
        ),
        (
            &["HTTP/1.0 200 OK\r\ncontent-length: 4\r\n\r\nbody"],
            "body",
            false,
        ),
        (
            &["HTTP/1.1 200 OK\r\nconnection: x, close\r\ncontent-length: 4\r\n\r\nbody"],
            "body",
            false,
        ),
        (&["HTTP/1.1 200 OK\r\n\r\nbo", "dy", ""], "body", false),
        // RFC 9112, 6.3: the length may be an attempt to smuggle a response.
        (
            &[
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
            ],
            "body",
            false,
        ),
        // Bytes after the response would be the response to the next request.
        (
            &[
                "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbodyHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
            ],
            "body",
            false,
        ),
        (
            &[
                "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
                "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
            ],
            "body",
            false,
        ),
    ];
    for (parts, body, is_reused) in cases {
        let (service, stage, is_written) = responding_noted(parts);
        let response = stage.get(MOVIES).await;
        assert_eq!(
            (response.status, &response.text[..]),
            (200, *body),
            "{parts:?}"
        );
        for name in ["connection", "link", "trailer"] {
            assert_eq!(response.header(name), "", "{parts:?}");
        }
        eventually("all is written", async || is_written.load(Ordering::SeqCst)).await;
        let next = stage.get(MOVIES).await;
        assert_eq!((next.status, &next.text[..]), (200, "next"), "{parts:?}");
        let connections = if *is_reused { 1 } else { 2 };
        assert_eq!(service.connections(), connections, "{parts:?}");
        assert_eq!(service.messages.lock().unwrap().len(), 2, "{parts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_without_a_body_keep_their_length() {
    for (method, status, head) in [
        (
            Method::HEAD,
            200,
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n",
        ),
        (
            Method::GET,
            304,
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n",
        ),
        (Method::GET, 204, "HTTP/1.1 204 No Content\r\n\r\n"),
    ] {
        let (service, stage) = responding(&[head]);
        let response = TestResponse::of(stage.call(method, MOVIES)).await;
        assert_eq!(
            (response.status, &response.text[..]),
            (status, ""),
            "{head:?}"
        );
        if status == 200 {
            assert_eq!(response.header("content-length"), "4", "{head:?}");
        }
        assert_eq!(stage.get(MOVIES).await.text, "next", "{head:?}");
        assert_eq!(service.connections(), 1, "{head:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_with_ambiguous_framing_are_502() {
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(300 * 1024));
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 4, 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\ncontent-length: +4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\nbody",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nbody",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length : 4\r\n\r\nbody",
        "HTTP/1.1 200 OK\r\nx: y\r\n folded: z\r\ncontent-length: 4\r\n\r\nbody",
        "HTTP/1.1 999999 OK\r\ncontent-length: 4\r\n\r\nbody",
        "HTTP/1.1 001 OK\r\ncontent-length: 4\r\n\r\nbody",
        &many,
        &long,
    ] {
        let (service, stage) = responding(&[head]);
        stage.get(MOVIES).await.problem(502);
        assert_eq!(service.messages.lock().unwrap().len(), 1, "{head:.60}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_invalid_framing_breaks_off() {
    for body in ["4\r\nbody\r\nx\r\n", "4\r\nbodyx", "ffffffffffffffff1\r\n"] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n";
        let (_service, stage) = responding(&[head, body]);
        let response = stage.call(Method::GET, MOVIES).send().await.unwrap();
        assert_eq!(response.status(), 200, "{body:?}");
        assert!(response.bytes().await.is_err(), "{body:?}");
        assert_eq!(stage.get(MOVIES).await.text, "next", "{body:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_before_the_end_of_the_request_reaches_the_client() {
    let service = Scripted::new(|number, mut stream, _| {
        read_head(&mut stream);
        let refusal = "HTTP/1.1 413 Too Large\r\ncontent-length: 8\r\n\r\ntoo much";
        match number {
            0 => write_alone(&mut stream, refusal),
            _ => respond_ok(&mut stream, "next"),
        }
    });
    let stage = Stage::new(service.address, &[("WORKER_THREADS", "1")]);
    let (address, token) = (stage.address, stage.token("1", Role::Admin));
    let upload = format!(
        "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 10\r\n\r\nhalf"
    );
    let response = tokio::task::spawn_blocking(move || raw(address, upload.as_bytes()));
    let response = response.await.unwrap();
    assert!(response.starts_with("HTTP/1.1 413 "), "{response}");
    // The client cannot know how much of its body was read, so that no other request can follow it.
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\ntoo much"), "{response}");
    assert_eq!(stage.get(MOVIES).await.text, "next");
    assert_eq!(service.connections(), 2);
}

/// Closing a connection with unread bytes resets it, and a client may then lose what it has not read.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_still_sending_receives_the_refusal_of_a_service() {
    let service = Scripted::new(|_, mut stream, _| {
        read_head(&mut stream);
        let refusal = "HTTP/1.1 413 Too Large\r\ncontent-length: 8\r\n\r\ntoo much";
        write_alone(&mut stream, refusal);
        // Reads nothing more.
        std::thread::sleep(Duration::from_millis(100));
    });
    let stage = Stage::new(service.address, &[("WORKER_THREADS", "1")]);
    let (address, token) = (stage.address, stage.token("1", Role::Admin));
    let head = format!(
        "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 1000000\r\n\r\n"
    );
    let upload = move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        for _ in 0..100 {
            stream.write_all(&[b'x'; 10_000]).expect("no reset");
            std::thread::sleep(Duration::from_millis(1));
        }
        read_rest(&mut stream)
    };
    for _ in 0..5 {
        let response = tokio::task::spawn_blocking(upload.clone()).await.unwrap();
        assert!(response.ends_with("\r\n\r\ntoo much"), "{response:?}");
    }
}
