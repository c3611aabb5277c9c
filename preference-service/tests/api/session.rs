//! Sessions of the page: cookies instead of tokens.

use axum::{
    body::Body,
    http::{Method, Request},
};
use chassis::testing::TestResponse;
use serde_json::json;
use sqlx::PgPool;

use crate::stage::{MovieService, PASSWORD, TestApp, assert_problem};

/// A request of the page, if `of_page`, with `cookie`.
async fn call(
    app: &TestApp,
    (method, path): (Method, &str),
    cookie: &str,
    of_page: bool,
    body: Option<serde_json::Value>,
) -> TestResponse {
    let mut request = Request::builder().method(method).uri(path);
    if of_page {
        request = request.header("x-marquee", "page");
    }
    if !cookie.is_empty() {
        request = request.header("cookie", cookie);
    }
    let body = body.map_or(Body::empty(), |body| Body::from(body.to_string()));
    let request = request
        .header("content-type", "application/json")
        .body(body);
    chassis::testing::send(&app.router, request.expect("a request")).await
}

/// The cookies that a response sets, as a request sends them, and their attributes.
fn cookies(response: &TestResponse) -> (String, Vec<String>) {
    let lines = response.headers.get_all("set-cookie").iter();
    let lines: Vec<String> = lines
        .map(|line| line.to_str().expect("text").to_owned())
        .collect();
    let pairs: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(';').next())
        .collect();
    (pairs.join("; "), lines)
}

#[sqlx::test]
async fn a_session_is_begun_refreshed_once_and_ended_by_cookies(pool: PgPool) {
    let movies = MovieService::start().await;
    let app = TestApp::new(&pool, &movies);
    let user = app.account("anna").await;
    let login = json!({"username": "anna", "password": PASSWORD});
    let begin = (Method::POST, "/session");
    let refused = call(&app, begin.clone(), "", false, Some(login.clone())).await;
    assert_problem(&refused, 403, "forbidden");
    let begun = call(&app, begin.clone(), "", true, Some(login)).await;
    let (cookie, lines) = cookies(&begun);
    assert_eq!(begun.headers["cache-control"], "no-store");
    let begun = begun.expect(200);
    assert_eq!(begun["user"]["id"], user);
    assert!(begun.get("access_token").is_none(), "{begun}");
    // The access token, the refresh token, and the known device.
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert!(line.contains("HttpOnly; SameSite=Strict"), "{line}");
        assert!(!line.contains("Secure"), "{line}");
    }

    let refresh = (Method::POST, "/session/refresh");
    let refused = call(&app, refresh.clone(), &cookie, false, None).await;
    assert_problem(&refused, 403, "forbidden");
    let refreshed = call(&app, refresh.clone(), &cookie, true, None).await;
    let (next, _) = cookies(&refreshed);
    assert_eq!(refreshed.expect(200)["user"]["id"], user);
    assert_ne!(next, cookie);

    let end = (Method::DELETE, "/session");
    let ended = call(&app, end, &next, true, None).await;
    assert_eq!(ended.status, 204);
    assert!(
        cookies(&ended)
            .1
            .iter()
            .all(|line| line.contains("Max-Age=0"))
    );
    for cookie in [&next, ""] {
        let refused = call(&app, refresh.clone(), cookie, true, None).await;
        assert_eq!(refused.status, 401, "{}", refused.text);
    }
    let wrong = json!({"username": "anna", "password": "another password"});
    let refused = call(&app, begin, "", true, Some(wrong)).await;
    assert_problem(&refused, 401, "wrong username or password");
    assert_eq!(cookies(&refused).1, [""; 0]);
}
