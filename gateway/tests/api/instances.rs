//! Services of several instances, some of which are dead or refuse requests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{Router, http::StatusCode};
use chassis::testing::{eventually, free_port};
use reqwest::Method;

use crate::stage::{Stage, TestResponse, echo, serve};

#[tokio::test(flavor = "multi_thread")]
async fn dead_instances_do_not_fail_requests() {
    let live = serve(echo()).await;
    let dead: std::net::SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let urls = format!("http://{dead}, http://{live}");
    let stage = Stage::new(live, &[("MOVIE_SERVICE_URL", &urls)]);
    for _ in 0..100 {
        assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    }
    let post = TestResponse::of(stage.call(Method::POST, "/api/v1/admin/sync").body("{}")).await;
    assert_eq!(post.json()["length"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_refuses_requests_gets_few_and_fails_none() {
    let (received, refuses) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(true)),
    );
    let (count, is_refused) = (Arc::clone(&received), Arc::clone(&refuses));
    let starting = Router::new().fallback(move || {
        count.fetch_add(1, Ordering::SeqCst);
        let status = match is_refused.load(Ordering::SeqCst) {
            true => StatusCode::SERVICE_UNAVAILABLE,
            false => StatusCode::OK,
        };
        async move { status }
    });
    let (starting, live) = (serve(starting).await, serve(echo()).await);
    let urls = format!("http://{starting}, http://{live}");
    let stage = Stage::new(
        live,
        &[("MOVIE_SERVICE_URL", &urls), ("WORKER_THREADS", "1")],
    );
    let started = Instant::now();
    for _ in 0..200 {
        assert_eq!(stage.get("/api/v1/movies").await.status, 200);
    }
    // One by chance, and one each second to see whether it still refuses.
    let refused = received.load(Ordering::SeqCst);
    let most = 1 + started.elapsed().as_secs() as usize;
    assert!(
        (1..=most).contains(&refused),
        "{refused} of 200, at most {most}"
    );
    // A request that must not be repeated is answered by the instance that got it.
    refuses.store(false, Ordering::SeqCst);
    eventually("the instance gets requests again", async || {
        stage.get("/api/v1/movies").await;
        received.load(Ordering::SeqCst) > refused
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_all_instances_reaches_the_client() {
    let app = || Router::new().fallback(async || (StatusCode::SERVICE_UNAVAILABLE, "no"));
    let (one, other) = (serve(app()).await, serve(app()).await);
    let urls = format!("http://{one}, http://{other}");
    let stage = Stage::new(one, &[("MOVIE_SERVICE_URL", &urls)]);
    for _ in 0..20 {
        let response = stage.get("/api/v1/movies").await;
        assert_eq!((response.status, &response.text[..]), (503, "no"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn load_is_spread_over_instances() {
    let counts: Vec<Arc<AtomicUsize>> = (0..3).map(|_| Arc::default()).collect();
    let mut urls = Vec::new();
    for count in &counts {
        let count = Arc::clone(count);
        let app = Router::new().fallback(move || {
            count.fetch_add(1, Ordering::SeqCst);
            async { "x" }
        });
        urls.push(format!("http://{}", serve(app).await));
    }
    let any = ([127, 0, 0, 1], 1).into();
    let stage = Stage::new(any, &[("MOVIE_SERVICE_URL", &urls.join(","))]);
    // In waves, so that no instance is skipped because it accepts too many connections at once too slowly.
    for _ in 0..30 {
        let requests = (0..10).map(|_| stage.get("/api/v1/movies"));
        for response in futures_util::future::join_all(requests).await {
            assert_eq!(response.status, 200);
        }
    }
    for count in counts {
        assert!(count.load(Ordering::SeqCst) >= 20);
    }
}
