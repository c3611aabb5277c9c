//! Requests for the same response at the same time, and the bodies that are stored while they are sent.

use std::io::Write;

use axum::{Router, response::IntoResponse, routing::get};
use chassis::testing::eventually;
use futures_util::{StreamExt, future::join_all};
use reqwest::Method;
use tokio::sync::Semaphore;

use super::{
    cached,
    origin::{MOVIES, Origin, PUBLIC, status},
};
use crate::stage::{Scripted, Stage, TestResponse, large_body, read_head, respond_ok, serve};

const CLIENTS: usize = 20;
/// Lets one address have all of them.
const CROWD: (&str, &str) = ("MAX_REQUESTS_IN_FLIGHT_PER_CLIENT", "1000");

/// Waits until the gateway serves `count` requests beside this one.
async fn until_in_flight(stage: &Stage, count: usize) {
    let line = format!("\nhttp_requests_in_flight {}\n", count + 1);
    eventually("the requests are in flight", async || {
        stage.get("/metrics").await.text.contains(&line)
    })
    .await;
}

async fn all(stage: &Stage) -> Vec<TestResponse> {
    join_all((0..CLIENTS).map(|_| stage.get(MOVIES))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_gets_one_request_of_many_clients() {
    let origin = Origin::held(200, &[PUBLIC], "x").await;
    let stage = cached(origin.address, &[CROWD]);
    let release = async {
        until_in_flight(&stage, CLIENTS).await;
        origin.until(1).await;
        assert_eq!(origin.count(), 1);
        origin.release(1);
    };
    let (responses, ()) = tokio::join!(all(&stage), release);
    let mut ways: Vec<&str> = responses.iter().map(status).collect();
    ways.sort_unstable();
    ways.dedup();
    assert!(responses.iter().all(|response| response.text == "x 1"));
    assert!(
        ways.contains(&"fwd=miss; collapsed") && ways.contains(&"fwd=miss; stored"),
        "{ways:?}"
    );
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_ask_at_once_if_the_first_response_is_not_for_all_or_fails() {
    for (code, control) in [(200, "private"), (404, "no-store"), (503, "no-store")] {
        let origin = Origin::held(code, &[("cache-control", control)], "x").await;
        let stage = cached(origin.address, &[CROWD]);
        let release = async {
            until_in_flight(&stage, CLIENTS).await;
            // The first may still open its connection.
            origin.until(1).await;
            assert_eq!(origin.count(), 1);
            origin.release(1);
            // One after the other would stop at the second.
            origin.until(CLIENTS).await;
            origin.release(CLIENTS);
        };
        let (responses, ()) = tokio::join!(all(&stage), release);
        assert!(responses.iter().all(|response| response.status == code));
        assert_eq!(origin.count(), CLIENTS);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_do_not_wait_where_no_response_is_for_all() {
    const BEFORE: usize = 8;
    let origin = Origin::held(200, &[("cache-control", "private")], "x").await;
    let stage = cached(origin.address, &[CROWD, ("WORKER_THREADS", "1")]);
    origin.release(BEFORE);
    for _ in 0..BEFORE {
        assert_eq!(stage.get(MOVIES).await.status, 200);
    }
    let release = async {
        // Waiting for the first would stop after one.
        origin.until(BEFORE + CLIENTS).await;
        origin.release(CLIENTS);
    };
    let (responses, ()) = tokio::join!(all(&stage), release);
    assert!(responses.iter().all(|response| response.status == 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_takes_nothing_from_the_others() {
    let origin = Origin::held(200, &[PUBLIC], "x").await;
    let stage = cached(origin.address, &[]);
    let first = tokio::spawn(stage.call(Method::GET, MOVIES).send());
    origin.until(1).await;
    let others = async {
        until_in_flight(&stage, 2).await;
        first.abort();
        let _ = first.await;
        origin.release(1);
    };
    let (second, ()) = tokio::join!(stage.get(MOVIES), others);
    assert_eq!((second.text.as_str(), origin.count()), ("x 1", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_ends_at_the_time_limit() {
    let origin = Origin::held(200, &[PUBLIC], "x").await;
    let stage = cached(origin.address, &[("REQUEST_TIMEOUT_MS", "300")]);
    for response in join_all((0..3).map(|_| stage.get(MOVIES))).await {
        response.problem(504);
    }
    origin.release(Semaphore::MAX_PERMITS / 2);
    assert_eq!(stage.get(MOVIES).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_reaches_the_first_client_while_it_is_stored() {
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    let receive = std::sync::Arc::new(std::sync::Mutex::new(Some(receive)));
    let app = Router::new().fallback(move || {
        let receive = receive.lock().unwrap().take().expect("one request");
        let parts = futures_util::stream::unfold(receive, |mut receive| async move {
            let part: Option<&'static str> = receive.recv().await;
            part.map(|part| (Ok::<_, std::convert::Infallible>(part), receive))
        });
        async move { ([PUBLIC], axum::body::Body::from_stream(parts)) }
    });
    let stage = cached(serve(app).await, &[]);
    let first = stage.call(Method::GET, MOVIES).send().await.unwrap();
    let mut body = first.bytes_stream();
    send.send("one ").unwrap();
    assert_eq!(body.next().await.unwrap().unwrap(), "one ");
    // Also if that client does not read the rest.
    drop(body);
    let end = async {
        until_in_flight(&stage, 1).await;
        send.send("two").unwrap();
        drop(send);
    };
    let (second, ()) = tokio::join!(stage.get(MOVIES), end);
    assert_eq!(second.text, "one two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_not_stored() {
    let service = Scripted::new(|number, mut stream, _| {
        while !read_head(&mut stream).is_empty() {
            if number == 0 {
                let head = "HTTP/1.1 200 OK\r\ncache-control: public, max-age=60\r\ncontent-length: 10\r\n\r\nhalf";
                stream.write_all(head.as_bytes()).unwrap();
                return;
            }
            respond_ok(&mut stream, "whole");
        }
    });
    let stage = cached(service.address, &[]);
    let broken = stage.call(Method::GET, MOVIES).send().await.unwrap();
    assert!(broken.text().await.is_err());
    assert_eq!(stage.get(MOVIES).await.text, "whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_beyond_the_limit_passes_and_is_not_stored() {
    const CHUNKS: usize = 32;
    let announced = |body: usize| ([PUBLIC], "x".repeat(body)).into_response();
    let app = Router::new()
        .route(
            "/api/v1/movies",
            get(|| async { ([PUBLIC], large_body(CHUNKS)) }),
        )
        .route(
            "/api/v1/genres",
            get(move || async move { announced(100_001) }),
        )
        .route(
            "/api/v1/movies/{id}",
            get(move || async move { announced(100_000) }),
        );
    let limit = [("CACHE_ENTRY_MAX_BYTES", "100000"), ("COMPRESSION", "")];
    let stage = cached(serve(app).await, &limit);
    for (path, bytes, second) in [
        (MOVIES, CHUNKS * 64 * 1024, "fwd=miss; stored"),
        ("/api/v1/genres", 100_001, "fwd=miss"),
        ("/api/v1/movies/603", 100_000, "hit"),
    ] {
        assert_eq!(stage.get(path).await.text.len(), bytes, "{path}");
        let response = stage.get(path).await;
        assert_eq!(response.text.len(), bytes, "{path}");
        assert!(
            status(&response).starts_with(second),
            "{path}: {}",
            status(&response)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_the_cache_is_bounded() {
    let origin = Origin::new(200, &[PUBLIC], &"x".repeat(4000)).await;
    let stage = cached(origin.address, &[("CACHE_MAX_BYTES", "50000")]);
    let metric = async |name: &str| {
        let text = stage.get("/metrics").await.text;
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse::<f64>().unwrap())
    };
    for page in 1..=30 {
        stage.get(&format!("{MOVIES}?page={page}")).await;
        assert!(metric("cache_stored_bytes").await <= 50_000.0);
    }
    assert!(metric("cache_entries").await >= 8.0);
    assert!(metric("cache_evictions_total").await >= 18.0);
}
