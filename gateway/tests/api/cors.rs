//! Cross-origin requests.

use reqwest::Method;

use crate::stage::{Stage, TestResponse};

async fn preflight(stage: &Stage, origin: &str) -> TestResponse {
    TestResponse::of(
        stage
            .bare(Method::OPTIONS, "/api/v1/users/7/preferences")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization, content-type",
            ),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn any_origin_is_allowed_by_default() {
    let stage = Stage::with_echo(&[]).await;
    let response = preflight(&stage, "https://example.com").await;
    assert_eq!(response.status, 204);
    assert_eq!(response.header("access-control-allow-origin"), "*");
    assert!(
        response
            .header("access-control-allow-methods")
            .contains("DELETE")
    );
    assert_eq!(
        response.header("access-control-allow-headers"),
        "authorization, content-type"
    );
    let call = stage
        .call(Method::GET, "/api/v1/movies")
        .header("origin", "https://example.com");
    let response = TestResponse::of(call).await;
    assert_eq!(response.header("access-control-allow-origin"), "*");
    assert!(
        response
            .header("access-control-expose-headers")
            .contains("X-Request-Id")
    );
    // Pages must be able to read refusals.
    let refused = stage
        .bare(Method::GET, "/api/v1/movies")
        .header("origin", "https://example.com");
    let refused = TestResponse::of(refused).await;
    refused.problem(401);
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    let same_origin = stage.get("/api/v1/movies").await;
    assert_eq!(same_origin.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_origins_are_allowed() {
    let stage =
        Stage::with_echo(&[("CORS_ORIGINS", "https://one.example, https://two.example/")]).await;
    for (origin, allowed) in [
        ("https://two.example", "https://two.example"),
        ("https://one.example", "https://one.example"),
        ("https://one.example.evil", ""),
        ("http://one.example", ""),
        ("null", ""),
    ] {
        let response = preflight(&stage, origin).await;
        assert_eq!(response.status, 204);
        assert_eq!(
            response.header("access-control-allow-origin"),
            allowed,
            "{origin}"
        );
        let call = stage
            .call(Method::GET, "/api/v1/movies")
            .header("origin", origin);
        let response = TestResponse::of(call).await;
        assert_eq!(response.status, 200);
        assert_eq!(
            response.header("access-control-allow-origin"),
            allowed,
            "{origin}"
        );
        assert_eq!(response.header("vary"), "Origin");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_allows_no_origin() {
    let stage = Stage::with_echo(&[("CORS_ORIGINS", "")]).await;
    let response = preflight(&stage, "https://example.com").await;
    assert_eq!(response.header("access-control-allow-origin"), "");
}
