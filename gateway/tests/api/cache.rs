//! The shared cache: which responses are stored, for whom, and what clients and services say about it.

mod coalescing;
mod origin;
mod stale;

use std::net::SocketAddr;

use gateway::Role;
use reqwest::{Method, RequestBuilder};

use self::origin::{MOVIES, Origin, PUBLIC, status};
use crate::stage::{Stage, TestResponse};

/// A gateway with a cache in front of `upstream`, with the settings `more`.
fn cached(upstream: SocketAddr, more: &[(&str, &str)]) -> Stage {
    let on = ("CACHE_MAX_BYTES", "33554432");
    Stage::new(upstream, &[&[on], more].concat())
}

async fn get(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> TestResponse {
    TestResponse::of(with(stage.call(Method::GET, path), headers)).await
}

fn with(mut request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_response_is_stored_and_served_to_all() {
    let headers = [PUBLIC, ("etag", "\"1\""), ("server-timing", "db;dur=1")];
    let origin = Origin::new(200, &headers, "movies").await;
    let stage = cached(origin.address, &[("METRICS_NETWORKS", "127.0.0.0/8")]);
    let first = stage.get(MOVIES).await;
    assert_eq!((first.status, status(&first)), (200, "fwd=miss; stored"));
    assert_eq!(first.header("server-timing"), "db;dur=1");
    assert_eq!(first.header("age"), "");
    let second = get(&stage, MOVIES, &[("x-request-id", "mine")]).await;
    assert!(status(&second).starts_with("hit; ttl="), "{second:?}");
    assert_eq!(second.text, "movies 1");
    assert!(second.header("age").parse::<u64>().is_ok(), "{second:?}");
    assert_eq!(second.header("x-request-id"), "mine");
    assert_eq!(second.header("server-timing"), "");
    // The limits count every request.
    let left = |response: &TestResponse| response.header("x-ratelimit-remaining").parse::<u64>();
    assert_eq!(left(&second), left(&first).map(|left| left - 1));
    // Caches beyond the gateway do not authenticate.
    for response in [&first, &second] {
        assert_eq!(response.header("cache-control"), "private, max-age=60");
    }
    let head = TestResponse::of(stage.call(Method::HEAD, MOVIES)).await;
    assert!(status(&head).starts_with("hit; "), "{head:?}");
    assert_eq!((head.text.as_str(), head.header("etag")), ("", "\"1\""));
    assert_eq!(origin.count(), 1);
    for other in ["/api/v1/movies?page=1", "/api/v1/genres"] {
        assert_eq!(status(&stage.get(other).await), "fwd=miss; stored");
    }
    let image = stage.bare(Method::GET, "/images/w500/x.jpg");
    let image = TestResponse::of(image).await;
    assert_eq!(image.header("cache-control"), "public, max-age=60");
    let metrics = stage.get("/metrics").await.text;
    for line in [
        "# HELP cache_requests_total ",
        "cache_requests_total{route=\"/api/v1/movies\",result=\"hit\"} 2",
        "cache_requests_total{route=\"/api/v1/movies\",result=\"stored\"} 2",
        "# HELP cache_stored_bytes ",
        "# HELP cache_entries ",
        "cache_entries 4",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_not_for_all_is_never_stored() {
    for headers in [
        &[][..],
        &[("cache-control", "max-age=60")],
        &[("cache-control", "private, max-age=60")],
        &[("cache-control", "public, max-age=60, private=\"x-user\"")],
        &[("cache-control", "public, no-store, max-age=60")],
        &[("cache-control", "public, max-age=60, no-cache")],
        &[("cache-control", "public")],
        &[PUBLIC, ("cache-control", "private")],
        &[PUBLIC, ("set-cookie", "a=1")],
        &[PUBLIC, ("vary", "*")],
        &[PUBLIC, ("vary", "Accept-Language, Cookie")],
        &[PUBLIC, ("content-encoding", "gzip")],
        &[PUBLIC, ("content-type", "text/event-stream")],
        &[PUBLIC, ("age", "60")],
        &[("cache-control", "public"), ("expires", "0")],
    ] {
        let origin = Origin::new(200, headers, "x").await;
        let stage = cached(origin.address, &[("COMPRESSION", "")]);
        for count in 1..=2 {
            let response = stage.get(MOVIES).await;
            assert_eq!(response.text, format!("x {count}"), "{headers:?}");
            assert_eq!(status(&response), "fwd=miss", "{headers:?}");
        }
    }
    for code in [203, 206, 301, 404, 500] {
        let origin = Origin::new(code, &[PUBLIC], "x").await;
        let stage = cached(origin.address, &[]);
        for count in 1..=2 {
            let response = stage.get(MOVIES).await;
            assert_eq!((response.status, origin.count()), (code, count));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_public_leaks_nothing_of_one_caller_to_another() {
    let origin = Origin::new(200, &[PUBLIC], "for").await;
    origin.echo_identity();
    let stage = cached(origin.address, &[]);
    let call = |path: &'static str, user: &str, role| {
        let token = stage.token(user, role);
        let request = stage.bare(Method::GET, path).bearer_auth(token);
        TestResponse::of(request.header("cookie", format!("secret-of-{user}")))
    };
    // Of a route whose responses may be stored, the service does not learn who asks.
    for (user, role) in [("7", Role::User), ("8", Role::User), ("1", Role::Admin)] {
        let response = call(MOVIES, user, role).await;
        assert_eq!(response.text, "for no one 1");
    }
    let anonymous = TestResponse::of(stage.bare(Method::GET, MOVIES)).await;
    anonymous.problem(401);
    assert_eq!(anonymous.header("cache-status"), "");
    let forged = stage.bare(Method::GET, MOVIES).bearer_auth("forged");
    TestResponse::of(forged).await.problem(401);
    // Of any other route, nothing is stored.
    for path in ["/api/v1/users/7", "/api/v1/search?q=x", "/api/v1/auth/me"] {
        for (user, role) in [("7", Role::User), ("1", Role::Admin)] {
            let response = call(path, user, role).await;
            assert!(
                response.text.contains(&format!("\"subject\":\"{user}\"")),
                "{path}: {response:?}"
            );
            assert!(
                response.text.contains(&format!("secret-of-{user}")),
                "{path}: {response:?}"
            );
            assert_eq!(response.header("cache-status"), "", "{path}");
        }
    }
    call("/api/v1/users/7", "8", Role::User).await.problem(403);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_count_requests_that_the_cache_serves() {
    let origin = Origin::new(200, &[PUBLIC], "x").await;
    let stage = cached(origin.address, &[("RATE_LIMIT_MAX", "3")]);
    for _ in 0..3 {
        assert_eq!(stage.get(MOVIES).await.status, 200);
    }
    stage.get(MOVIES).await.problem(429);
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_differs_by_the_headers_that_vary_names() {
    let headers = [
        PUBLIC,
        ("vary", "Accept-Language, Accept-Encoding"),
        ("vary", "accept"),
    ];
    let origin = Origin::new(200, &headers, "x").await;
    let stage = cached(origin.address, &[]);
    for (language, accept, expected) in [
        ("ko-KR,ko;q=0.9,en;q=0.8", "application/json", "x 1"),
        ("de", "application/json", "x 2"),
        // The service learns the preferred language only, so these are the same.
        ("ko-kr", "application/json", "x 1"),
        ("en;q=0.1, ko-KR", "application/json", "x 1"),
        ("ko", "application/json", "x 3"),
        ("ko", "text/html", "x 4"),
        ("de", "application/json", "x 2"),
    ] {
        let headers = [("accept-language", language), ("accept", accept)];
        let response = get(&stage, MOVIES, &headers).await;
        assert_eq!(response.text, expected, "{language} {accept}");
    }
    let first = &origin.seen()[0];
    assert_eq!(
        (
            first.header("accept-language"),
            first.header("accept-encoding")
        ),
        ("ko-KR", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stored_response_serves_clients_of_all_content_codings() {
    let headers = [
        PUBLIC,
        ("content-type", "application/json"),
        ("etag", "\"1\""),
    ];
    let origin = Origin::new(200, &headers, &"x".repeat(5000)).await;
    let stage = cached(origin.address, &[]);
    let identity = get(&stage, MOVIES, &[("accept-encoding", "identity")]).await;
    for (coding, etag) in [
        ("gzip", "W/\"1\""),
        ("br", "W/\"1\""),
        ("identity", "\"1\""),
    ] {
        let response = get(&stage, MOVIES, &[("accept-encoding", coding)]).await;
        let expected = if coding == "identity" { "" } else { coding };
        assert_eq!(response.header("content-encoding"), expected);
        assert_eq!(
            (response.header("etag"), response.header("vary")),
            (etag, "Accept-Encoding")
        );
        assert_eq!(coding == "identity", response.text == identity.text);
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_may_require_less_than_the_cache_has() {
    // Ten seconds old when it arrives.
    let origin = Origin::new(200, &[PUBLIC, ("age", "10")], "x").await;
    let stage = cached(origin.address, &[]);
    let request = |control: &'static str| {
        let stage = &stage;
        async move { get(stage, MOVIES, &[("cache-control", control)]).await }
    };
    let none = request("only-if-cached").await;
    assert_eq!(none.problem(504)["type"], "/problems/not-cached");
    for (control, text, cache) in [
        ("no-store", "x 1", "fwd=request"),
        ("max-age=20", "x 2", "fwd=miss; stored"),
        ("only-if-cached", "x 2", "hit"),
        ("max-age=20", "x 2", "hit"),
        ("max-age=5", "x 3", "fwd=stale; stored"),
        ("min-fresh=20", "x 3", "hit"),
        ("min-fresh=55", "x 4", "fwd=stale; stored"),
        ("no-cache", "x 5", "fwd=request; stored"),
        ("max-stale=60", "x 5", "hit"),
        ("no-store", "x 6", "fwd=request"),
        ("", "x 5", "hit"),
    ] {
        let response = request(control).await;
        assert_eq!(response.text, text, "{control}");
        assert!(
            status(&response).starts_with(cache),
            "{control}: {response:?}"
        );
    }
    let range = get(&stage, MOVIES, &[("range", "bytes=0-0")]).await;
    assert_eq!(status(&range), "fwd=bypass");
    let events = get(
        &stage,
        MOVIES,
        &[("accept", "text/html, text/event-stream")],
    )
    .await;
    assert_eq!(status(&events), "fwd=bypass");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_the_response_gets_304() {
    let headers = [PUBLIC, ("etag", "W/\"1\""), ("content-type", "text/plain")];
    let origin = Origin::new(200, &headers, "x").await;
    let stage = cached(origin.address, &[]);
    for (known, expected) in [
        ("\"1\"", 304),
        ("\"0\", W/\"1\"", 304),
        ("*", 304),
        ("\"0\"", 200),
    ] {
        let response = get(&stage, MOVIES, &[("if-none-match", known)]).await;
        assert_eq!(response.status, expected, "{known}");
        assert_eq!(response.header("etag"), "W/\"1\"");
        if expected == 304 {
            assert_eq!(
                (response.text.as_str(), response.header("content-type")),
                ("", "")
            );
        }
    }
    assert_eq!(origin.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_instances_do_not_share_responses() {
    let ordinary = Origin::new(200, &[PUBLIC], "ordinary").await;
    let canary = Origin::new(200, &[PUBLIC], "canary").await;
    let file = std::env::temp_dir().join(format!("cache-{}.toml", std::process::id()));
    let routes = format!(
        "[groups.canary]\nservice = \"movie-service\"\nurls = [\"http://{}\"]\n\
         [[routes]]\ngroup = \"canary\"\nheaders = {{ x-canary = \"1\" }}\n",
        canary.address
    );
    std::fs::write(&file, routes).unwrap();
    let stage = cached(ordinary.address, &[("ROUTES_FILE", file.to_str().unwrap())]);
    std::fs::remove_file(&file).unwrap();
    for _ in 0..2 {
        assert_eq!(stage.get(MOVIES).await.text, "ordinary 1");
        let response = get(&stage, MOVIES, &[("x-canary", "1")]).await;
        assert_eq!(response.text, "canary 1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cache_can_be_off() {
    let origin = Origin::new(200, &[PUBLIC], "x").await;
    let stage = cached(origin.address, &[("CACHE_MAX_BYTES", "0")]);
    for count in 1..=2 {
        let response = stage.get(MOVIES).await;
        assert_eq!(
            (response.text, origin.count()),
            (format!("x {count}"), count)
        );
        assert_eq!(response.headers.get("cache-status"), None);
        assert_eq!(response.headers["cache-control"], "private, max-age=60");
    }
}
