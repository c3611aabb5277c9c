//! Swagger UI and its OpenAPI documents.

use axum::{Router, routing::get};
use chassis::testing::free_port;
use reqwest::Method;

use crate::stage::{Stage, TestResponse, serve};

async fn bare(stage: &Stage, path: &str) -> TestResponse {
    TestResponse::of(stage.bare(Method::GET, path)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_files_are_served_by_the_gateway() {
    let stage = Stage::with_echo(&[]).await;
    let redirect = bare(&stage, "/swagger").await;
    assert_eq!(
        (redirect.status, redirect.header("location")),
        (301, "/swagger/")
    );
    let page = bare(&stage, "/swagger/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(
        !page.text.contains("http://") && !page.text.contains("https://"),
        "{}",
        page.text
    );
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("default-src 'none'") && policy.contains("script-src 'self'"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let mut files = 0;
    for attribute in ["src=\"", "href=\""] {
        for rest in page.text.split(attribute).skip(1) {
            let file = rest.split('"').next().unwrap().trim_start_matches("./");
            let response = bare(&stage, &format!("/swagger/{file}")).await;
            assert_eq!(response.status, 200, "{file}");
            files += 1;
        }
    }
    assert!(files >= 4, "{files} files");
    bare(&stage, "/swagger/nothing.js").await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_lists_four_documents_and_contacts_no_other_host() {
    let stage = Stage::with_echo(&[]).await;
    let script = bare(&stage, "/swagger/swagger-initializer.js").await.text;
    for name in [
        "marquee",
        "movie-service",
        "preference-service",
        "recommendation-service",
    ] {
        assert!(
            script.contains(&format!("/swagger/docs/{name}.json")),
            "{script}"
        );
    }
    for setting in [
        r#""validatorUrl": "none""#,
        r#""persistAuthorization": true"#,
        r#""tryItOutEnabled": true"#,
    ] {
        assert!(script.contains(setting), "{setting} in {script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_come_from_the_services_or_are_503() {
    let app = Router::new().route(
        "/openapi.json",
        get(|| async {
            (
                [("content-type", "application/json")],
                r#"{"openapi":"3.1.0"}"#,
            )
        }),
    );
    let movie = format!("http://{}", serve(app).await);
    let away = format!("http://127.0.0.1:{}", free_port());
    let stage = Stage::new(
        ([127, 0, 0, 1], 1).into(),
        &[
            ("MOVIE_SERVICE_URL", &movie),
            ("RECOMMENDATION_SERVICE_URL", &away),
        ],
    );
    for name in ["marquee", "gateway"] {
        let own = bare(&stage, &format!("/swagger/docs/{name}.json")).await;
        assert_eq!(own.header("content-type"), "application/json");
        assert!(own.json()["paths"]["/api/v1/movies"]["get"].is_object());
    }
    let theirs = bare(&stage, "/swagger/docs/movie-service.json").await;
    assert_eq!(theirs.json()["openapi"], "3.1.0");
    assert_eq!(theirs.header("content-type"), "application/json");
    bare(&stage, "/swagger/docs/recommendation-service.json")
        .await
        .problem(503);
    for nothing in ["nothing.json", "movie-service", "gateway.yaml"] {
        bare(&stage, &format!("/swagger/docs/{nothing}"))
            .await
            .problem(404);
    }
}
