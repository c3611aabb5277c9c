//! The request sequence of the original system through the gateway, with the statuses, fields and error texts of its
//! contract, and the corrections to it.

mod movies;
mod recommendations;
mod tokens;
mod users;

use std::collections::HashSet;

use chassis::testing::{TestResponse, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use self::movies::{
    detail, list, list_is_conditional_and_continues, list_is_ordered_and_filtered,
    list_refuses_values_out_of_range, sync, sync_that_fetches_nothing_or_is_running,
};
use self::recommendations::{recommendations, rules};
use self::users::{create_user, get_user, interactions, preferences};
use crate::stage::{Api, Platform, PlatformOptions, assert_fields, assert_problem, ids};

/// The id of no movie and no user.
const UNKNOWN_ID: i64 = 9_000_000_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_sequence_gets_the_documented_responses() {
    let platform = Platform::start(PlatformOptions::default()).await;
    let client = platform.client();
    health(&platform).await;
    unauthenticated_requests_are_refused(&client).await;
    unknown_paths_and_methods(&client).await;
    sync(&platform).await;
    list(&client).await;
    list_is_ordered_and_filtered(&client).await;
    list_refuses_values_out_of_range(&client).await;
    list_is_conditional_and_continues(&client).await;
    detail(&client).await;
    let user = create_user(&client).await;
    get_user(&client, user).await;
    preferences(&client, user).await;
    let liked = interactions(&client, user).await;
    recommendations(&client, user, &liked).await;
    rules(&client).await;
    every_response_has_its_limits_and_its_id(&client).await;
    sync_that_fetches_nothing_or_is_running(&platform).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

// --- GET /health ---------------------------------------------------------------------------------

async fn health(platform: &Platform) {
    let stranger = platform.client().bare();
    for path in ["/health", "/health/live"] {
        let health = stranger.get(path).await.expect(200);
        assert_fields(&health, &json!({"service": "", "status": ""}));
        assert_eq!(health["status"], "ok");
    }
    assert_eq!(stranger.get("/health").await.body["service"], "gateway");
    stranger.get("/health/ready").await.expect(200);
    for service in platform
        .services()
        .filter(|service| service.name() != "gateway")
    {
        // Also public at the services: the internal token is not required.
        let health = Api::new(&service.url())
            .get("/api/v1/health")
            .await
            .expect(200);
        assert_eq!(health["service"], service.name());
        assert_eq!(health["status"], "ok");
    }
}

// --- authentication ------------------------------------------------------------------------------

async fn unauthenticated_requests_are_refused(client: &Api) {
    let with = |header: Option<&str>| match header {
        Some(value) => client.clone().bare().header("Authorization", value),
        None => client.clone().bare(),
    };
    let format = "invalid Authorization header format, expected 'Bearer <token>'";
    for (header, error) in [
        (None, "missing Authorization header"),
        (Some("Basic YTpi"), format),
        (Some("x"), format),
        (Some("Bearerx"), format),
    ] {
        for path in ["/api/v1/movies", "/api/v1/rules", "/api/v1/users/1"] {
            let response = with(header).get(path).await;
            assert_problem(&response, 401, error);
            assert!(response.headers.contains_key("www-authenticate"), "{path}");
        }
        if header.is_some() {
            let response = with(header).post("/api/v1/users", json!({})).await;
            assert_problem(&response, 401, error);
        }
    }
    // Trailing blanks are no part of a header, so this is `Bearer` alone.
    assert_problem(
        &with(Some("Bearer ")).get("/api/v1/movies").await,
        401,
        "empty bearer token",
    );
    for token in ["x", "test-token-12345", "a.b.c"] {
        client
            .clone()
            .bare()
            .token(token)
            .get("/api/v1/rules")
            .await
            .expect(200);
    }
}

async fn unknown_paths_and_methods(client: &Api) {
    for path in [
        "/api/v1/nothing",
        "/api/v1/moviesx",
        "/api/v1/movies/1/2/3",
        "/api/v1/users/1/nothing",
        "/api/v2/movies",
        "/nothing",
    ] {
        assert_problem(&client.get(path).await, 404, "Not Found");
    }
    // Never routed, for any caller.
    for path in [
        "/internal/v1/changes",
        "/internal/v1/snapshot",
        "/internal/v1/users/1",
    ] {
        assert_problem(&client.get(path).await, 404, "Not Found");
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/api/v1/movies", "GET"),
        (Method::POST, "/api/v1/movies/603", "GET"),
        (Method::GET, "/api/v1/admin/sync", "POST"),
        (Method::GET, "/api/v1/users", "POST"),
        (Method::PUT, "/api/v1/users/1/preferences", "GET"),
        (Method::POST, "/api/v1/rules", "GET"),
        (Method::PATCH, "/api/v1/users/1/interactions", "POST"),
    ] {
        let response = client.send(method.clone(), path).await;
        assert_problem(&response, 405, "Method Not Allowed");
        let allow = response.headers["allow"].to_str().unwrap();
        assert!(
            allow.split(", ").any(|one| one == allowed),
            "{method} {path}: {allow}"
        );
    }
}

// --- headers of all responses --------------------------------------------------------------------

async fn every_response_has_its_limits_and_its_id(client: &Api) {
    let sane = client.clone().header("X-Request-Id", "from-the-client.1");
    for (path, status) in [
        ("/api/v1/movies", 200),
        ("/api/v1/movies/0", 400),
        ("/api/v1/nothing", 404),
    ] {
        let response = sane.get(path).await;
        assert_eq!(response.status.as_u16(), status, "{}", response.text);
        assert_eq!(response.headers["x-request-id"], "from-the-client.1");
        let number = |name: &str| -> u64 {
            let value = response
                .headers
                .get(name)
                .unwrap_or_else(|| panic!("{path}: no {name}"));
            value.to_str().unwrap().parse().unwrap()
        };
        assert_eq!(number("x-ratelimit-limit"), 1_000_000);
        assert!(number("x-ratelimit-remaining") < 1_000_000);
        assert!(number("x-ratelimit-reset") <= 60);
        for name in ["ratelimit-policy", "ratelimit"] {
            assert!(response.headers.contains_key(name), "{path}: no {name}");
        }
        let type_of = response.headers["content-type"].to_str().unwrap();
        assert!(type_of.starts_with("application/"), "{type_of}");
    }
    let malformed = client
        .clone()
        .header("X-Request-Id", "a b{}")
        .get("/api/v1/movies")
        .await;
    assert_ne!(malformed.headers["x-request-id"], "a b{}");
}

/// Asserts that `response` is a 400 that names `field`.
fn assert_names(response: &TestResponse, field: &str) {
    let error = response.body["error"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert_problem(response, 400, &error);
    let errors = response.body["errors"].as_array();
    let named = errors.is_some_and(|errors| errors.iter().any(|error| error["field"] == field));
    assert!(named, "{field} is not named: {}", response.text);
}

/// RFC 3339 in UTC, with a `Z`.
fn assert_instant(value: &Value) {
    let text = value.as_str().unwrap_or_default();
    let is_one = chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z');
    assert!(is_one, "{value}");
}
