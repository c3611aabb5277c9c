//! The page at `/`: its files, and sessions by cookies.

use std::{collections::BTreeSet, fs, path::Path};

use gateway::Role;
use reqwest::Method;

use crate::stage::{Stage, TestResponse};

async fn bare(stage: &Stage, path: &str) -> TestResponse {
    TestResponse::of(stage.bare(Method::GET, path)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_what_its_source_says_and_contacts_no_other_host() {
    let stage = Stage::with_echo(&[("RATE_LIMIT_MAX", "1")]).await;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("page");
    let mut served = BTreeSet::new();
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let content = fs::read_to_string(entry.path()).unwrap();
        let response = bare(&stage, &format!("/page/{name}")).await;
        assert_eq!((response.status, &response.text), (200, &content), "{name}");
        let policy = response.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert_eq!(response.header("cache-control"), "no-cache");
        let known = stage
            .bare(Method::GET, &format!("/page/{name}"))
            .header("if-none-match", response.header("etag"));
        assert_eq!(TestResponse::of(known).await.status, 304);
        for reference in [
            "src=\"http",
            "href=\"http",
            "url(http",
            "from \"http",
            "import(\"http",
        ] {
            assert!(!content.contains(reference), "{name}: {reference}");
        }
        served.insert(name);
    }
    let page = bare(&stage, "/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for attribute in ["src=\"/page/", "href=\"/page/"] {
        for rest in page.text.split(attribute).skip(1) {
            let file = rest.split('"').next().unwrap();
            assert!(served.contains(file), "{file}");
        }
    }
    assert!(!page.text.contains("<script>") && !page.text.contains("style=\""));
    bare(&stage, "/page/nothing.js").await.problem(404);
    let image = bare(&stage, "/images/w342/a.jpg").await;
    assert_eq!(image.status, 200, "{}", image.text);
    // Files do not count, so the first request that does is served.
    assert_eq!(stage.get("/api/v1/genres").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cookie_counts_in_requests_of_the_page_only() {
    let stage = Stage::with_echo(&[]).await;
    let settings = bare(&stage, "/session").await.text;
    assert_eq!(settings, r#"{"mode":"jwt","user":null}"#);
    let token = stage.token("7", Role::User);
    let path = "/api/v1/users/7/preferences";
    for (headers, expected) in [
        (&[("x-marquee", "page")][..], 200),
        (
            &[("x-marquee", "page"), ("sec-fetch-site", "same-origin")],
            200,
        ),
        (
            &[("x-marquee", "page"), ("sec-fetch-site", "cross-site")],
            401,
        ),
        (&[], 401),
        // A header outweighs the cookie.
        (&[("x-marquee", "page"), ("authorization", "Bearer x")], 401),
    ] {
        let mut request = stage
            .bare(Method::GET, path)
            .header("cookie", format!("a=b; marquee_access={token}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = TestResponse::of(request).await;
        assert_eq!(response.status, expected, "{headers:?}: {}", response.text);
    }
    let session = stage
        .bare(Method::GET, "/session")
        .header("cookie", format!("marquee_access={token}"))
        .header("x-marquee", "page");
    let session = TestResponse::of(session).await.text;
    assert_eq!(session, r#"{"mode":"jwt","user":{"id":"7","role":"user"}}"#);
    let other = stage
        .bare(Method::GET, "/api/v1/users/8/preferences")
        .header("cookie", format!("marquee_access={token}"))
        .header("x-marquee", "page");
    TestResponse::of(other).await.problem(403);
}
