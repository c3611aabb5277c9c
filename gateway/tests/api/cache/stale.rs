//! Responses that are stale: confirmed by the service, used while it is asked, used if it fails, or removed.

use chassis::testing::{eventually, free_port};
use reqwest::Method;

use super::{
    cached, get,
    origin::{MOVIES, Origin, PUBLIC, status},
};
use crate::stage::{Stage, TestResponse};

const TAG: (&str, &str) = ("etag", "\"1\"");

#[tokio::test(flavor = "multi_thread")]
async fn the_service_confirms_a_stale_response_by_its_entity_tag() {
    let validated = ("cache-control", "public, max-age=0, must-revalidate");
    let headers = [
        validated,
        TAG,
        ("content-type", "text/plain"),
        ("x-state", "old"),
    ];
    let origin = Origin::new(200, &headers, "x").await;
    let stage = cached(origin.address, &[]);
    assert_eq!(status(&stage.get(MOVIES).await), "fwd=miss; stored");
    origin.set(200, &[PUBLIC, TAG, ("x-state", "new")], "y");
    let confirmed = stage.get(MOVIES).await;
    assert_eq!(status(&confirmed), "fwd=stale; fwd-status=304; stored");
    assert_eq!(origin.seen()[1].header("if-none-match"), "\"1\"");
    // The body is the stored one, the headers are those of the 304.
    assert_eq!((confirmed.status, confirmed.text.as_str()), (200, "x 1"));
    assert_eq!(
        (
            confirmed.header("x-state"),
            confirmed.header("content-type")
        ),
        ("new", "text/plain")
    );
    let fresh = stage.get(MOVIES).await;
    assert!(status(&fresh).starts_with("hit; "), "{fresh:?}");
    // A client's own tag is answered by the gateway.
    let known = get(
        &stage,
        MOVIES,
        &[("if-none-match", "\"1\""), ("cache-control", "no-cache")],
    )
    .await;
    assert_eq!(
        (known.status, status(&known)),
        (304, "fwd=request; fwd-status=304; stored")
    );
    origin.set(200, &[PUBLIC, ("etag", "\"2\"")], "z");
    let changed = get(&stage, MOVIES, &[("cache-control", "no-cache")]).await;
    assert_eq!(
        (changed.text.as_str(), status(&changed)),
        ("z 4", "fwd=request; stored")
    );
    // What was public is not any more.
    origin.set(
        200,
        &[("cache-control", "private, max-age=60"), ("etag", "\"2\"")],
        "mine",
    );
    let private = get(&stage, MOVIES, &[("cache-control", "no-cache")]).await;
    assert_eq!(
        (private.text.as_str(), status(&private)),
        ("mine 6", "fwd=request")
    );
    assert_eq!(stage.get(MOVIES).await.text, "mine 7");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_is_used_while_the_next_is_fetched_once() {
    let control = (
        "cache-control",
        "public, max-age=0, stale-while-revalidate=60",
    );
    let origin = Origin::held(200, &[control], "x").await;
    origin.release(1);
    let stage = cached(origin.address, &[]);
    assert_eq!(stage.get(MOVIES).await.text, "x 1");
    // The fetch in the background does not end before it is released.
    for _ in 0..5 {
        let stale = stage.get(MOVIES).await;
        assert_eq!(stale.text, "x 1");
        let way = status(&stale);
        assert!(
            way.starts_with("hit; ttl=") && way.ends_with("; detail=stale-while-revalidate"),
            "{way}"
        );
    }
    origin.until(2).await;
    origin.set(200, &[PUBLIC], "y");
    origin.release(1);
    eventually("the fetched response is used", async || {
        stage.get(MOVIES).await.text == "y 2"
    })
    .await;
    assert_eq!(origin.count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_is_used_if_the_service_fails() {
    let control = ("cache-control", "public, max-age=0, stale-if-error=60");
    let origin = Origin::new(200, &[control, TAG], "x").await;
    let stage = cached(origin.address, &[]);
    assert_eq!(stage.get(MOVIES).await.text, "x 1");
    for code in [500, 502, 503, 504] {
        origin.set(code, &[], "failed");
        let response = stage.get(MOVIES).await;
        assert_eq!((response.status, response.text.as_str()), (200, "x 1"));
        let expected = format!("fwd=stale; fwd-status={code}; detail=stale-if-error");
        assert_eq!(status(&response), expected);
        assert!(response.headers.contains_key("age"));
    }
    // Neither for a client that requires a validated one, nor if the fault is the request's.
    let validated = get(&stage, MOVIES, &[("cache-control", "no-cache")]).await;
    assert_eq!(validated.status, 504);
    origin.set(400, &[], "refused");
    assert_eq!(stage.get(MOVIES).await.status, 400);
    let metrics = stage.get("/metrics").await.text;
    let line = "cache_requests_total{route=\"/api/v1/movies\",result=\"stale\"} 4";
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_is_not_used_if_that_is_forbidden() {
    for control in [
        "public, max-age=0, stale-if-error=60, stale-while-revalidate=60, must-revalidate",
        "public, max-age=0, stale-if-error=60, stale-while-revalidate=60, proxy-revalidate",
        "s-maxage=0, stale-if-error=60, stale-while-revalidate=60",
        "public, max-age=0",
    ] {
        let origin = Origin::new(200, &[("cache-control", control), TAG], "x").await;
        let stage = cached(origin.address, &[]);
        assert_eq!(
            status(&stage.get(MOVIES).await),
            "fwd=miss; stored",
            "{control}"
        );
        origin.set(503, &[], "failed");
        assert_eq!(stage.get(MOVIES).await.status, 503, "{control}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_response_is_used_if_the_service_cannot_be_reached_or_does_not_respond() {
    let control = ("cache-control", "public, max-age=0, stale-if-error=60");
    let origin = Origin::held(200, &[control], "x").await;
    let stage = cached(origin.address, &[("REQUEST_TIMEOUT_MS", "500")]);
    origin.release(1);
    assert_eq!(stage.get(MOVIES).await.text, "x 1");
    let late = stage.get(MOVIES).await;
    assert_eq!(late.text, "x 1");
    assert_eq!(
        status(&late),
        "fwd=stale; fwd-status=504; detail=stale-if-error"
    );

    let port = free_port();
    let address = ([127, 0, 0, 1], port).into();
    let stage = cached(address, &[]);
    let service = tokio::net::TcpListener::bind(address).await.unwrap();
    let app = axum::Router::new()
        .fallback(move || async move { ([control, ("connection", "close")], "y") });
    let served = tokio::spawn(async move { axum::serve(service, app).await });
    assert_eq!(stage.get(MOVIES).await.text, "y");
    served.abort();
    let _ = served.await;
    let gone = stage.get(MOVIES).await;
    assert_eq!((gone.status, gone.text.as_str()), (200, "y"));
    assert_eq!(
        status(&gone),
        "fwd=stale; fwd-status=503; detail=stale-if-error"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_an_administrator_removes_what_was_stored() {
    let origin = Origin::new(200, &[PUBLIC], "x").await;
    let stage = cached(origin.address, &[]);
    let sync = || TestResponse::of(stage.call(Method::POST, "/api/v1/admin/sync"));
    let (list, stats) = ("/api/v1/movies?page=2", "/api/v1/movies/603/stats");
    for path in [list, stats] {
        stage.get(path).await;
    }
    origin.set(500, &[], "failed");
    assert_eq!(sync().await.status, 500);
    origin.set(200, &[PUBLIC], "y");
    assert_eq!(stage.get(list).await.text, "x 1");
    assert_eq!(sync().await.status, 200);
    assert_eq!(stage.get(list).await.text, "y 5");
    // Of another service.
    assert_eq!(stage.get(stats).await.text, "x 2");
    let metrics = stage.get("/metrics").await.text;
    for line in [
        "# HELP cache_invalidations_total ",
        "cache_invalidations_total{service=\"movie-service\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

/// Waits until the service has the first request, and lets an administrator change something.
async fn change_during_a_fetch(origin: &Origin, stage: &Stage) {
    origin.until(1).await;
    let sync = TestResponse::of(stage.call(Method::POST, "/api/v1/admin/sync"));
    assert_eq!(sync.await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_from_before_a_change_is_not_stored_after_it() {
    let origin = Origin::held(200, &[PUBLIC], "x").await;
    let stage = cached(origin.address, &[]);
    let change = async {
        change_during_a_fetch(&origin, &stage).await;
        origin.release(2);
    };
    let (early, ()) = tokio::join!(stage.get(MOVIES), change);
    assert_eq!(early.text, "x 1");
    assert_eq!(stage.get(MOVIES).await.text, "x 3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_after_a_change_does_not_wait_for_one_from_before_it() {
    let origin = Origin::held(200, &[PUBLIC], "x").await;
    let stage = cached(origin.address, &[]);
    let change = async {
        change_during_a_fetch(&origin, &stage).await;
        let late = async {
            origin.until(3).await;
            origin.release(3);
        };
        let (later, ()) = tokio::join!(stage.get(MOVIES), late);
        later
    };
    let (early, later) = tokio::join!(stage.get(MOVIES), change);
    let mut texts = [early.text.as_str(), later.text.as_str()];
    texts.sort_unstable();
    assert_eq!(texts, ["x 1", "x 3"], "{later:?}");
}
