//! Routing of requests to services, and the refusals of unknown paths and methods.

use gateway::routes::Service;
use reqwest::Method;

use crate::stage::{Stage, TestResponse, echo, serve};

#[tokio::test(flavor = "multi_thread")]
async fn each_path_goes_to_its_service() {
    let services = [
        serve(echo()).await,
        serve(echo()).await,
        serve(echo()).await,
    ];
    let urls = services.map(|address| format!("http://{address}"));
    let stage = Stage::new(
        services[0],
        &[
            ("MOVIE_SERVICE_URL", &urls[0]),
            ("USER_PREFERENCE_SERVICE_URL", &urls[1]),
            ("RECOMMENDATION_SERVICE_URL", &urls[2]),
        ],
    );
    for (path, service) in [
        ("/api/v1/movies?page=2&sort_by=title", Service::Movie),
        ("/api/v1/movies/603", Service::Movie),
        ("/api/v1/users/7", Service::Preference),
        ("/api/v1/users/7/preferences", Service::Preference),
        ("/api/v1/users/7/interactions?limit=3", Service::Preference),
        (
            "/api/v1/users/7/recommendations?limit=3",
            Service::Recommendation,
        ),
        ("/api/v1/rules", Service::Recommendation),
    ] {
        let seen = stage.get(path).await.json();
        assert_eq!(seen["target"], path);
        let host = services[service as usize].to_string();
        assert_eq!(seen["headers"]["host"][0], host, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trailing_slashes_are_ignored() {
    let stage = Stage::with_echo(&[]).await;
    for (given, sent) in [
        ("/api/v1/movies/", "/api/v1/movies"),
        ("/api/v1/movies/603/?x=/", "/api/v1/movies/603?x=/"),
        (
            "/api/v1/movies/a.b..%C3%A9?x=%2f..//",
            "/api/v1/movies/a.b..%C3%A9?x=%2f..//",
        ),
    ] {
        assert_eq!(stage.get(given).await.json()["target"], sent);
    }
    assert_eq!(stage.get("/health/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn head_is_served_wherever_get_is() {
    let stage = Stage::with_echo(&[]).await;
    for path in [
        "/api/v1/movies",
        "/health",
        "/swagger/",
        "/swagger/docs/marquee.json",
    ] {
        let get = stage.get(path).await;
        let head = TestResponse::of(stage.call(Method::HEAD, path)).await;
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.text, "");
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
    let refused = TestResponse::of(stage.bare(Method::HEAD, "/api/v1/movies")).await;
    assert_eq!((refused.status, refused.text.as_str()), (401, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_are_404_and_unknown_methods_405_with_allow() {
    let stage = Stage::with_echo(&[]).await;
    let nothing = stage.get("/api/v1/nothing?key=secret").await;
    let problem = nothing.problem(404);
    assert_eq!(problem["error"], "Not Found");
    assert_eq!(problem["instance"], "/api/v1/nothing");
    for (method, path, allow) in [
        (Method::POST, "/api/v1/movies", "GET, HEAD"),
        (
            Method::DELETE,
            "/api/v1/users/7/preferences",
            "GET, HEAD, POST",
        ),
        (Method::GET, "/api/v1/admin/sync", "POST"),
        (Method::OPTIONS, "/api/v1/movies", "GET, HEAD"),
        (Method::TRACE, "/api/v1/movies", "GET, HEAD"),
        (
            Method::from_bytes(b"BREW").unwrap(),
            "/api/v1/movies",
            "GET, HEAD",
        ),
    ] {
        let response = TestResponse::of(stage.call(method.clone(), path)).await;
        response.problem(405);
        assert_eq!(response.header("allow"), allow, "{method} {path}");
    }
    // Without a token unknown paths look like known ones.
    TestResponse::of(stage.bare(Method::GET, "/api/v1/nothing"))
        .await
        .problem(401);
    TestResponse::of(stage.bare(Method::DELETE, "/api/v1/movies"))
        .await
        .problem(401);
}
