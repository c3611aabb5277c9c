//! The time for which connections without a request are kept.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::stage::{MAX_WAIT, Stage, read_head, read_rest};

const REQUEST: &[u8] = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";

fn connect(stage: &Stage) -> TcpStream {
    let stream = TcpStream::connect(stage.address).unwrap();
    stream.set_read_timeout(Some(MAX_WAIT)).unwrap();
    stream
}

/// Reads a response of `/health`.
fn read_health(stream: &mut TcpStream) {
    let head = read_head(stream);
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let length = head.split_once("content-length: ").expect("a length").1;
    let length = length.split_once('\r').expect("a line").0;
    let mut body = vec![0; length.parse().expect("a number")];
    stream.read_exact(&mut body).expect("a body");
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_kept_for_longer_than_a_head_may_take() {
    for strict in ["true", "false"] {
        let more = [
            ("HEAD_TIMEOUT_MS", "200"),
            ("KEEP_ALIVE_TIMEOUT_MS", "600000"),
            ("STRICT_LINE_ENDS", strict),
        ];
        let stage = Stage::with_echo(&more).await;
        let mut stream = connect(&stage);
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stream.write_all(REQUEST).unwrap();
            read_health(&mut stream);
        }
        // The beginning of the next head may come with the request before it.
        let with_more = [REQUEST, b"GET /hea"].concat();
        stream.write_all(&with_more).unwrap();
        read_health(&mut stream);
        assert_eq!(read_rest(&mut stream), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_after_their_time() {
    let more = [
        ("HEAD_TIMEOUT_MS", "600000"),
        ("KEEP_ALIVE_TIMEOUT_MS", "200"),
    ];
    let stage = Stage::with_echo(&more).await;
    let mut unused = connect(&stage);
    let mut used = connect(&stage);
    used.write_all(REQUEST).unwrap();
    read_health(&mut used);
    for stream in [&mut unused, &mut used] {
        assert_eq!(stream.read(&mut [0]).expect("an end in time"), 0);
    }
}
