//! Request and response bodies: streaming, limits, failures.

use std::{convert::Infallible, io::Write, net::TcpStream, time::Duration};

use axum::{Router, body::Body, extract::Request};
use bytes::Bytes;
use futures_util::StreamExt;
use gateway::Role;
use http_body_util::BodyExt;
use reqwest::Method;
use tokio::sync::mpsc;

use crate::stage::{Stage, TestResponse, large_body, raw, read_rest, serve, status_of};

const MIB: usize = 1 << 20;

fn chunked(bytes: usize) -> reqwest::Body {
    let chunk = Bytes::from(vec![b'x'; 16 * 1024]);
    let whole = bytes / chunk.len();
    let rest = chunk.slice(..bytes % chunk.len());
    let chunks = (0..whole).map(move |_| chunk.clone()).chain([rest]);
    reqwest::Body::wrap_stream(futures_util::stream::iter(chunks.map(Ok::<_, Infallible>)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_body_arrives_unchanged() {
    let stage = Stage::with_echo(&[]).await;
    let body = r#"{"username":"k","email":"k@example.com"}"#;
    let sent = TestResponse::of(stage.call(Method::POST, "/api/v1/users").body(body))
        .await
        .json();
    assert_eq!(sent["body"], body);
    assert_eq!(sent["headers"]["content-length"][0], body.len().to_string());
    let chunks = TestResponse::of(
        stage
            .call(Method::POST, "/api/v1/users")
            .body(chunked(300_000)),
    )
    .await
    .json();
    assert_eq!(chunks["length"], 300_000);
    assert_eq!(chunks["headers"]["transfer-encoding"][0], "chunked");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_one_mebibyte_pass_and_larger_ones_do_not() {
    let stage = Stage::with_echo(&[]).await;
    let post = || stage.call(Method::POST, "/api/v1/users");
    let exactly = TestResponse::of(post().body(vec![b'x'; MIB])).await;
    assert_eq!(exactly.json()["length"], MIB);
    assert_eq!(
        TestResponse::of(post().body(chunked(MIB))).await.json()["length"],
        MIB
    );
    for _ in 0..5 {
        let announced = TestResponse::of(post().body(vec![b'x'; MIB + 1])).await;
        assert_eq!(announced.problem(413)["error"], "request body too large");
        TestResponse::of(post().body(chunked(MIB + 1)))
            .await
            .problem(413);
        TestResponse::of(post().body(chunked(3 * MIB)))
            .await
            .problem(413);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_have_a_larger_body_limit() {
    let stage = Stage::with_echo(&[]).await;
    let post = || stage.call(Method::POST, "/api/v1/users/1/imports");
    let max = 16 * MIB;
    let exactly = TestResponse::of(post().body(chunked(max))).await;
    assert_eq!(exactly.json()["length"], max);
    for body in [chunked(max + 1), reqwest::Body::from(vec![b'x'; max + 1])] {
        let problem = TestResponse::of(post().body(body)).await.problem(413);
        insta::allow_duplicates! {
        insta::assert_json_snapshot!(problem, {".request_id" => "[request id]"}, @r#"
        {
          "detail": "send at most 16 MiB",
          "error": "request body too large",
          "instance": "/api/v1/users/1/imports",
          "request_id": "[request id]",
          "status": 413,
          "title": "Body too large",
          "type": "/problems/body-too-large"
        }
        "#);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_gets_100_before_the_body_is_sent() {
    let stage = Stage::with_echo(&[]).await;
    let token = stage.token("1", Role::Admin);
    let head = |length: usize| {
        format!(
            "POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
             Expect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    let response = raw(stage.address, head(10 * MIB).as_bytes());
    assert_eq!(status_of(&response), 413, "{response}");
    let mut stream = TcpStream::connect(stage.address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    stream.write_all(head(2).as_bytes()).unwrap();
    let first = read_rest(&mut stream);
    assert_eq!(status_of(&first), 100, "{first}");
    stream.write_all(b"{}").unwrap();
    let second = read_rest(&mut stream);
    assert_eq!(status_of(&second), 200, "{second}");
    assert!(second.contains(r#""body":"{}""#));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_still_sending_receive_the_refusal() {
    let stage = Stage::with_echo(&[]).await;
    for _ in 0..10 {
        let response = TestResponse::of(
            stage
                .bare(Method::POST, "/api/v1/users/1/preferences")
                .body(vec![b'x'; 2 * MIB]),
        )
        .await;
        response.problem(401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_request_body_never_reaches_the_service_as_complete() {
    let app = Router::new().fallback(|request: Request| async move {
        match request.into_body().collect().await {
            Ok(body) => format!("whole: {}", body.to_bytes().len()),
            Err(_) => "broken".to_owned(),
        }
    });
    let stage = Stage::new(serve(app).await, &[]);
    let token = stage.token("1", Role::Admin);
    let head =
        format!("POST /api/v1/users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n");
    let malformed = raw(
        stage.address,
        format!("{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n").as_bytes(),
    );
    assert!(!malformed.contains("whole"), "{malformed}");
    assert!([0, 400].contains(&status_of(&malformed)), "{malformed}");
    let mut stream = TcpStream::connect(stage.address).unwrap();
    stream
        .write_all(format!("{head}Content-Length: 10\r\n\r\nhello").as_bytes())
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let short = read_rest(&mut stream);
    assert!(!short.contains("whole"), "{short}");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_bodies_are_streamed() {
    let (seen, mut sizes) = mpsc::channel(10);
    let app = Router::new().fallback(move |request: Request| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(chunk)) = body.next().await {
                seen.send(chunk.len()).await.unwrap();
            }
            "done"
        }
    });
    let stage = Stage::new(serve(app).await, &[]);
    let (send, chunks) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    let body =
        reqwest::Body::wrap_stream(futures_util::stream::unfold(chunks, |mut chunks| async {
            Some((chunks.recv().await?, chunks))
        }));
    let response = tokio::spawn(stage.call(Method::POST, "/api/v1/users").body(body).send());
    for size in [10, 20, 30] {
        send.send(Ok(Bytes::from(vec![b'x'; size]))).await.unwrap();
        assert_eq!(sizes.recv().await, Some(size));
    }
    drop(send);
    assert_eq!(
        response.await.unwrap().unwrap().text().await.unwrap(),
        "done"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn response_bodies_are_streamed() {
    let (send, chunks) = mpsc::channel::<Result<Bytes, Infallible>>(1);
    let chunks = std::sync::Arc::new(tokio::sync::Mutex::new(Some(chunks)));
    let app = Router::new().fallback(move || {
        let chunks = std::sync::Arc::clone(&chunks);
        async move {
            let chunks = chunks.lock().await.take().expect("one request");
            Body::from_stream(futures_util::stream::unfold(chunks, |mut chunks| async {
                Some((chunks.recv().await?, chunks))
            }))
        }
    });
    let stage = Stage::new(serve(app).await, &[]);
    let mut response = stage
        .call(Method::GET, "/api/v1/movies")
        .send()
        .await
        .unwrap();
    for text in ["one", "two", "three"] {
        send.send(Ok(Bytes::from(text))).await.unwrap();
        assert_eq!(response.chunk().await.unwrap().unwrap(), text);
    }
    drop(send);
    assert_eq!(response.chunk().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_responses_are_not_buffered() {
    // 512 MiB, generated as it is read.
    let app = Router::new().fallback(|| async { large_body(8192) });
    let stage = Stage::new(serve(app).await, &[]);
    let before = resident();
    let mut response = stage
        .call(Method::GET, "/api/v1/movies")
        .send()
        .await
        .unwrap();
    let mut length = 0;
    let mut peak = before;
    while let Some(chunk) = response.chunk().await.unwrap() {
        length += chunk.len();
        if length % (32 * MIB) < chunk.len() {
            peak = peak.max(resident());
        }
    }
    assert_eq!(length, 512 * MIB);
    let grown = peak.saturating_sub(before);
    assert!(grown < 100 * MIB, "{grown} bytes more in memory");
}

/// The resident memory, in bytes, of this process, which runs gateway, service and client.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok())
        .unwrap_or(0)
        * 4096
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_response_body_is_aborted() {
    let app = Router::new().fallback(|| async {
        let first = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"begun"))]);
        Body::from_stream(first.chain(futures_util::stream::pending()))
    });
    let stage = Stage::new(serve(app).await, &[("UPSTREAM_STALL_TIMEOUT_MS", "200")]);
    let mut response = stage
        .call(Method::GET, "/api/v1/movies")
        .send()
        .await
        .unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "begun");
    assert!(response.chunk().await.is_err());
}
