//! Compression of responses.

use std::{convert::Infallible, io::Read, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::get,
};
use reqwest::{Method, Response};
use tokio::sync::Notify;

use crate::stage::{Stage, TestResponse, serve};

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];
const PATH: &str = "/api/v1/movies";

fn decode(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut reader: Box<dyn Read> = match coding {
        "zstd" => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "" => Box::new(bytes),
        other => panic!("unknown coding {other}"),
    };
    // The end of a stream of events is missing.
    let mut byte = [0];
    while reader.read(&mut byte).is_ok_and(|count| count == 1) {
        text.push(byte[0]);
    }
    text
}

fn text() -> String {
    r#"{"title": "The same text again and again"}"#.repeat(3000)
}

/// A service whose response has the headers of the request that begin with `set-`, without that prefix.
async fn service() -> std::net::SocketAddr {
    let respond = |request: Request| async move {
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers() {
            if let Some(name) = name.as_str().strip_prefix("set-") {
                let name = axum::http::HeaderName::try_from(name).unwrap();
                headers.insert(name, value.clone());
            }
        }
        let status = request
            .headers()
            .get("status")
            .map_or(200, |status| status.to_str().unwrap().parse().unwrap());
        let length = request
            .headers()
            .get("length")
            .map_or(usize::MAX, |length| {
                length.to_str().unwrap().parse().unwrap()
            });
        let if_match = request.headers().get("if-match").cloned();
        if let Some(if_match) = if_match {
            headers.insert("seen-if-match", if_match);
        }
        let mut body = text();
        body.truncate(length);
        (StatusCode::from_u16(status).unwrap(), headers, body)
    };
    serve(Router::new().route(PATH, get(respond).put(respond))).await
}

async fn send(stage: &Stage, method: Method, headers: &[(&str, &str)]) -> Response {
    let mut request = stage
        .call(method, PATH)
        .header("set-content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("a response")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

fn varies(response: &Response) -> bool {
    let mut lists = response.headers().get_all("vary").iter();
    lists.any(|list| list.to_str().unwrap().contains("Accept-Encoding"))
}

#[tokio::test(flavor = "multi_thread")]
async fn long_texts_are_compressed_as_the_client_accepts() {
    let stage = Stage::new(service().await, &[]);
    for (accepted, coding) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("gzip;q=0.5, br;q=0.4, zstd;q=0", "gzip"),
        ("*", "zstd"),
        ("identity", ""),
        ("", ""),
    ] {
        let headers = [("accept-encoding", accepted), ("set-etag", "\"1\"")];
        let response = send(&stage, Method::GET, &headers).await;
        assert_eq!(header(&response, "content-encoding"), coding, "{accepted}");
        assert!(varies(&response));
        let (etag, length) = match coding {
            "" => ("\"1\"", text().len().to_string()),
            _ => ("W/\"1\"", String::new()),
        };
        assert_eq!(header(&response, "etag"), etag);
        assert_eq!(header(&response, "content-length"), length);
        let body = response.bytes().await.expect("a body");
        assert_eq!(decode(coding, &body), text().as_bytes());
        assert!(coding.is_empty() || body.len() < 2000, "{}", body.len());
        let head = send(&stage, Method::HEAD, &headers).await;
        assert_eq!(header(&head, "content-encoding"), coding);
        assert_eq!(header(&head, "etag"), etag);
    }
    let metrics = stage.get("/metrics").await.text;
    for line in [
        "compressed_responses_total{coding=\"br\"}",
        "# HELP compression_input_bytes_total ",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_responses_are_sent_as_they_are() {
    let stage = Stage::new(service().await, &[]);
    for (headers, varied) in [
        (&[("length", "1023")][..], true),
        (&[("set-content-type", "image/jpeg")], false),
        (&[("set-content-encoding", "x-own")], false),
        (&[("set-cache-control", "private, no-transform")], false),
        (
            &[("status", "206"), ("set-content-range", "bytes 0-9/10")],
            false,
        ),
    ] {
        let headers = [&[("accept-encoding", "gzip, br, zstd")], headers].concat();
        let response = send(&stage, Method::GET, &headers).await;
        let coding = header(&response, "content-encoding");
        assert!(["", "x-own"].contains(&coding), "{headers:?}: {coding}");
        assert_eq!(varies(&response), varied, "{headers:?}");
        let body = response.bytes().await.expect("a body");
        assert!(text().as_bytes().starts_with(&body), "{headers:?}");
    }
    let off = Stage::new(service().await, &[("COMPRESSION", "")]);
    let response = send(&off, Method::GET, &[("accept-encoding", "gzip")]).await;
    assert_eq!(header(&response, "content-encoding"), "");
    assert!(!varies(&response));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_compression_made_weak_works_as_the_strong_one() {
    let stage = Stage::new(service().await, &[]);
    let accept = ("accept-encoding", "gzip");
    let headers = [accept, ("status", "304"), ("set-etag", "\"1\"")];
    let unchanged = send(&stage, Method::GET, &headers).await;
    assert_eq!(header(&unchanged, "etag"), "W/\"1\"");
    assert!(varies(&unchanged));
    let response = send(&stage, Method::GET, &[("if-match", "W/\"1\", \"2\"")]).await;
    assert_eq!(header(&response, "seen-if-match"), "\"1\", \"2\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_sent_when_they_come() {
    for coding in CODINGS {
        // A service for each, since the stream of one that has hung up may still wait for its next event.
        let go = Arc::new(Notify::new());
        let next = Arc::clone(&go);
        let app = Router::new().fallback(move || {
            let next = Arc::clone(&next);
            let events = futures_util::stream::unfold(0, move |number| {
                let next = Arc::clone(&next);
                async move {
                    if number > 0 {
                        next.notified().await;
                    }
                    Some((
                        Ok::<_, Infallible>(format!("data: {number}\n\n")),
                        number + 1,
                    ))
                }
            });
            async {
                (
                    [("content-type", "text/event-stream")],
                    Body::from_stream(events),
                )
                    .into_response()
            }
        });
        let stage = Stage::new(serve(app).await, &[]);
        let mut response = send(&stage, Method::GET, &[("accept-encoding", coding)]).await;
        assert_eq!(header(&response, "content-encoding"), coding);
        let (mut bytes, mut expected) = (Vec::new(), String::new());
        for number in 0..4 {
            expected += &format!("data: {number}\n\n");
            while decode(coding, &bytes) != expected.as_bytes() {
                let chunk = response.chunk().await.expect("no error");
                bytes.extend_from_slice(&chunk.expect("an event"));
            }
            go.notify_one();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_the_gateway_are_compressed() {
    let stage = Stage::with_echo(&[]).await;
    for path in [
        "/",
        "/page/app.js",
        "/swagger/swagger-ui-bundle.js",
        "/swagger/docs/marquee.json",
    ] {
        let plain = TestResponse::of(stage.bare(Method::GET, path)).await;
        for coding in CODINGS {
            // The second time from memory.
            for _ in 0..2 {
                let request = stage
                    .bare(Method::GET, path)
                    .header("accept-encoding", coding);
                let response = request.send().await.expect("a response");
                assert_eq!(header(&response, "content-encoding"), coding, "{path}");
                let length: usize = header(&response, "content-length").parse().unwrap();
                assert!(length < plain.text.len());
                let body = response.bytes().await.expect("a body");
                assert_eq!(decode(coding, &body), plain.text.as_bytes());
            }
        }
    }
}
