//! Headers of requests to services and of responses to clients.

use std::io::Write;

use axum::{Router, http::HeaderMap, response::AppendHeaders, routing::get};
use reqwest::Method;
use serde_json::{Value, json};

use crate::stage::{Scripted, Stage, TestResponse, read_head, serve};

#[tokio::test(flavor = "multi_thread")]
async fn identity_headers_of_clients_are_replaced() {
    let stage = Stage::with_echo(&[]).await;
    let request = stage
        .call(Method::GET, "/api/v1/movies")
        .header("x-principal", r#"{"subject":"0","role":"admin"}"#)
        .header("x-internal-token", "a guess")
        .header("x-forwarded-for", "1.2.3.4")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "elsewhere")
        .header("x-forwarded-user", "root")
        .header("x-real-ip", "1.2.3.4")
        .header("forwarded", "for=1.2.3.4")
        .header("connection", "Keep-Alive, X-Hop, content-length")
        .header("x-hop", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic eA==")
        .header("accept", "a/b")
        .header("accept", "c/d")
        .header("x-other", "kept")
        .body("{}");
    let seen = TestResponse::of(request).await.json();
    let headers = seen["headers"].as_object().unwrap();
    let expect = |name: &str, value: Value| assert_eq!(headers.get(name), Some(&value), "{name}");
    expect("x-principal", json!([r#"{"subject":"1","role":"admin"}"#]));
    expect("x-internal-token", json!(["between services"]));
    expect("x-forwarded-for", json!(["127.0.0.1"]));
    expect("x-forwarded-proto", json!(["http"]));
    expect("x-forwarded-host", json!([stage.address.to_string()]));
    expect("accept", json!(["a/b", "c/d"]));
    expect("content-length", json!(["2"]));
    expect("x-other", json!(["kept"]));
    for name in [
        "authorization",
        "x-forwarded-user",
        "x-real-ip",
        "forwarded",
        "connection",
        "x-hop",
        "te",
        "proxy-authorization",
        "keep-alive",
    ] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_id_and_trace_are_propagated() {
    let stage = Stage::with_echo(&[]).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let request = stage.call(Method::GET, "/api/v1/movies");
    let request = request
        .header("x-request-id", "mine-1")
        .header("traceparent", trace);
    let response = TestResponse::of(request).await;
    assert_eq!(response.header("x-request-id"), "mine-1");
    let seen = response.json();
    assert_eq!(seen["headers"]["x-request-id"], json!(["mine-1"]));
    let sent = seen["headers"]["traceparent"][0].as_str().unwrap();
    assert!(sent.starts_with(&trace[..36]) && sent != trace, "{sent}");

    let malformed = stage
        .call(Method::GET, "/api/v1/movies")
        .header("x-request-id", "a b{}");
    let response = TestResponse::of(malformed).await;
    assert_ne!(response.header("x-request-id"), "a b{}");
    assert_eq!(
        response.json()["headers"]["x-request-id"][0],
        response.header("x-request-id")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_headers_of_untrusted_peers_are_ignored() {
    let stage = Stage::with_echo(&[
        ("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8"),
        ("RATE_LIMIT_MAX", "10"),
    ])
    .await;
    let from = |chain: &str| {
        let request = stage.call(Method::GET, "/api/v1/movies");
        TestResponse::of(
            request
                .header("x-forwarded-for", chain)
                .header("x-forwarded-proto", "https")
                .header("x-forwarded-host", "marquee.example"),
        )
    };
    let response = from("6.6.6.6, 1.2.3.4, 10.0.0.1").await;
    let seen = response.json();
    assert_eq!(
        seen["headers"]["x-forwarded-for"][0],
        "6.6.6.6, 1.2.3.4, 10.0.0.1, 127.0.0.1"
    );
    assert_eq!(seen["headers"]["x-forwarded-proto"][0], "https");
    assert_eq!(seen["headers"]["x-forwarded-host"][0], "marquee.example");
    assert_eq!(response.header("x-ratelimit-remaining"), "9");
    // The rate limit counts the rightmost address that is not a trusted proxy.
    assert_eq!(
        from("9.9.9.9, 1.2.3.4")
            .await
            .header("x-ratelimit-remaining"),
        "8"
    );
    assert_eq!(from("1.2.3.5").await.header("x-ratelimit-remaining"), "9");
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_keep_all_headers_but_hop_by_hop_ones() {
    let app = Router::new().fallback(get(|| async {
        (
            axum::http::StatusCode::IM_A_TEAPOT,
            AppendHeaders([
                ("set-cookie", "a=1"),
                ("set-cookie", "b=2"),
                ("link", "<x>; rel=next"),
                ("link", "<y>; rel=prev"),
                ("connection", "x-hop"),
                ("x-hop", "1"),
                ("keep-alive", "timeout=5"),
                ("proxy-authenticate", "Basic"),
                ("etag", "\"1\""),
                ("x-internal-token", "between services"),
            ]),
            [("content-type", "application/problem+json")],
            r#"{"type":"/problems/teapot","request_id":"theirs"}"#,
        )
    }));
    let stage = Stage::new(serve(app).await, &[]);
    let response = stage.get("/api/v1/movies").await;
    assert_eq!(response.status, 418);
    assert_eq!(
        response.text,
        r#"{"type":"/problems/teapot","request_id":"theirs"}"#
    );
    let all = |name: &str| -> Vec<_> { response.headers.get_all(name).iter().collect() };
    assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(all("link").len(), 2);
    assert_eq!(response.header("etag"), "\"1\"");
    assert_eq!(response.header("content-type"), "application/problem+json");
    for name in [
        "x-hop",
        "keep-alive",
        "proxy-authenticate",
        "x-internal-token",
    ] {
        assert_eq!(response.header(name), "", "{name}");
    }
    assert_eq!(all("x-request-id").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_not_stored_unless_the_route_is_cacheable() {
    let app = Router::new()
        .route("/api/v1/users/7", get(|| async { "mine" }))
        .route(
            "/api/v1/users/7/preferences",
            get(|| async { ([("cache-control", "private, max-age=5")], "mine") }),
        )
        .fallback(get(|| async { "everybody's" }));
    let stage = Stage::new(serve(app).await, &[]);
    for (path, cache) in [
        ("/api/v1/users/7", "no-store"),
        ("/api/v1/users/7/preferences", "private, max-age=5"),
        ("/api/v1/movies", ""),
    ] {
        assert_eq!(
            stage.get(path).await.header("cache-control"),
            cache,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_receive_no_hop_by_hop_headers() {
    let upstream = Scripted::new(|_, mut stream, messages| {
        messages.lock().unwrap().push(read_head(&mut stream));
        let _ =
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    });
    let stage = Stage::new(upstream.address, &[]);
    assert_eq!(stage.get("/api/v1/movies?q=%20").await.status, 200);
    let head = upstream.messages.lock().unwrap()[0].to_lowercase();
    assert!(
        head.starts_with("get /api/v1/movies?q=%20 http/1.1\r\n"),
        "{head}"
    );
    for once in [
        "\r\nhost: ",
        "\r\nx-request-id: ",
        "\r\ntraceparent: ",
        "\r\nx-forwarded-for: ",
    ] {
        assert_eq!(head.matches(once).count(), 1, "{once:?} in {head}");
    }
    for never in [
        "\r\nconnection:",
        "\r\ntransfer-encoding:",
        "\r\ncontent-length:",
    ] {
        assert!(!head.contains(never), "{never:?} in {head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_internal_token_is_sent_if_none_is_configured() {
    let app = Router::new().fallback(|headers: HeaderMap| async move {
        headers.contains_key("x-internal-token").to_string()
    });
    let stage = Stage::new(serve(app).await, &[("INTERNAL_TOKEN", "")]);
    assert_eq!(stage.get("/api/v1/movies").await.text, "false");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_routes_get_the_address_of_the_client() {
    let trusting = [("TRUSTED_PROXIES", "127.0.0.0/8")];
    for (settings, sent) in [(&[][..], "127.0.0.1"), (&trusting, "9.9.9.9")] {
        let stage = Stage::with_echo(settings).await;
        let post = |path| {
            stage
                .bare(Method::POST, path)
                .header("x-real-ip", "1.2.3.4")
                .header("x-forwarded-for", "1.2.3.4, 9.9.9.9")
        };
        for path in ["/api/v1/auth/token", "/api/v1/users"] {
            let seen = TestResponse::of(post(path)).await.json();
            assert_eq!(seen["headers"]["x-real-ip"], json!([sent]), "{path}");
            assert_eq!(seen["headers"]["x-principal"], Value::Null);
        }
        let path = "/api/v1/users/1/preferences";
        let request = post(path).bearer_auth(stage.token("1", gateway::Role::User));
        let seen = TestResponse::of(request).await.json();
        assert_eq!(seen["headers"]["x-real-ip"], Value::Null);
    }
}
