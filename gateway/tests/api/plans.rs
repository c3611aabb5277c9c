//! The rate limits of users by plan, of API keys and of classes of routes, and their report.

use chassis::testing::{RedisServer, free_port};
use futures_util::future::join_all;
use gateway::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api_keys::{api_key, owners},
    stage::{ADMIN, Stage, TestResponse, echo, serve},
};

const MOVIES: &str = "/api/v1/movies";
const SEARCH: &str = "/api/v1/search?q=x";

/// Plans that are used up soon.
const PLANS: [(&str, &str); 4] = [
    ("PLANS", "free=5/60,pro=8/60,unlimited"),
    ("USER_PLANS", "8=pro"),
    ("API_KEY_LIMIT", "3/60"),
    ("ROUTE_LIMITS", "search=2/60,pro.search=4/60"),
];

async fn stage(more: &[(&str, &str)]) -> Stage {
    Stage::new(
        serve(echo().merge(owners())).await,
        &[&PLANS, more].concat(),
    )
}

async fn get(stage: &Stage, token: &str, path: &str) -> TestResponse {
    TestResponse::of(stage.bare(Method::GET, path).bearer_auth(token)).await
}

/// The status, and the limit that the headers state.
async fn state(stage: &Stage, token: &str, path: &str) -> (u16, String) {
    let response = get(stage, token, path).await;
    let policy = response.header("ratelimit-policy");
    let limit = policy.split('"').nth(1).unwrap_or_default();
    let remaining = response.header("x-ratelimit-remaining");
    let state = response.header("ratelimit");
    assert!(
        state.starts_with(&format!("\"{limit}\";r={remaining};t=")),
        "{state}"
    );
    assert_eq!(
        response.header("retry-after").is_empty(),
        response.status != 429
    );
    (response.status, format!("{policy} {remaining}"))
}

async fn limits_hold(redis: &str) {
    let stage = stage(&[("REDIS_URL", redis)]).await;
    let [free, pro, owner] = ["7", "8", "9"].map(|user| stage.token(user, Role::User));
    let key = api_key("9", "user", &["read"]);
    let steps = [
        (&free, MOVIES, 200, "\"user\";q=5;w=60 4"),
        (&free, SEARCH, 200, "\"search\";q=2;w=60 1"),
        (&free, SEARCH, 200, "\"search\";q=2;w=60 0"),
        // Refused by one limit, a request counts towards none.
        (&free, SEARCH, 429, "\"search\";q=2;w=60 0"),
        (&free, SEARCH, 429, "\"search\";q=2;w=60 0"),
        (&free, MOVIES, 200, "\"user\";q=5;w=60 1"),
        // Also one that finds nothing.
        (&free, "/api/v1/nothing", 404, "\"user\";q=5;w=60 0"),
        (&free, MOVIES, 429, "\"user\";q=5;w=60 0"),
        (&free, SEARCH, 429, "\"user\";q=5;w=60 0"),
        (&pro, SEARCH, 200, "\"search\";q=4;w=60 3"),
        (&pro, MOVIES, 200, "\"user\";q=8;w=60 6"),
        (&key, MOVIES, 200, "\"api_key\";q=3;w=60 2"),
        (&key, MOVIES, 200, "\"api_key\";q=3;w=60 1"),
        (&owner, MOVIES, 200, "\"user\";q=5;w=60 2"),
        (&key, MOVIES, 200, "\"api_key\";q=3;w=60 0"),
        (&key, MOVIES, 429, "\"api_key\";q=3;w=60 0"),
        (&owner, MOVIES, 200, "\"user\";q=5;w=60 0"),
    ];
    for (number, (token, path, status, limit)) in steps.into_iter().enumerate() {
        let found = state(&stage, token, path).await;
        assert_eq!(found, (status, limit.to_owned()), "step {number}: {path}");
    }
    let refused = get(&stage, &free, MOVIES).await;
    let problem = refused.problem(429);
    assert_eq!(problem["type"], "/problems/rate-limited");
    let metrics = stage.get("/metrics").await.text;
    for line in [
        "# HELP rate_limit_refused_total Requests refused",
        "rate_limit_refused_total{limit=\"search\"}",
        "rate_limit_refused_total{limit=\"api_key\"}",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_key_and_class_of_routes_has_its_limit_with_redis() {
    let redis = RedisServer::start();
    limits_hold(&redis.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_user_key_and_class_of_routes_has_its_limit_without_redis() {
    limits_hold("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_have_the_limit_of_their_address_alone() {
    let stage = stage(&[("RATE_LIMIT_MAX", "50")]).await;
    let token = stage.token(ADMIN, Role::Admin);
    for remaining in (30..50).rev() {
        let found = state(&stage, &token, SEARCH).await;
        assert_eq!(found, (200, format!("\"client\";q=50;w=60 {remaining}")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_share_the_limit_of_a_user() {
    let redis = RedisServer::start();
    let upstream = serve(echo()).await;
    let more = [
        ("PLANS", "free=60/60,unlimited"),
        ("ROUTE_LIMITS", "search=40/60"),
        ("REDIS_URL", &redis.url()[..]),
        ("REDIS_TIMEOUT_MS", "20000"),
    ];
    let stages = [Stage::new(upstream, &more), Stage::new(upstream, &more)];
    let token = stages[0].token("7", Role::User);
    for (path, range) in [(SEARCH, 30..=40), (MOVIES, 10..=30)] {
        let requests = (0..200).map(|number| get(&stages[number % 2], &token, path));
        let responses = join_all(requests).await;
        let admitted = responses
            .iter()
            .filter(|response| response.status == 200)
            .count();
        assert!(range.contains(&admitted), "{path}: {admitted}");
        assert!(
            responses
                .iter()
                .all(|response| [200, 429].contains(&response.status))
        );
    }
}

async fn admitted_without_redis(more: &[(&str, &str)]) -> usize {
    let redis = format!("redis://127.0.0.1:{}/0", free_port());
    let own = [("PLANS", "free=40/60,unlimited"), ("REDIS_URL", &redis[..])];
    let stage = Stage::with_echo(&[&own, more].concat()).await;
    let token = stage.token("7", Role::User);
    let responses = join_all((0..100).map(|_| get(&stage, &token, MOVIES))).await;
    assert!(
        responses
            .iter()
            .all(|response| [200, 429].contains(&response.status))
    );
    responses
        .iter()
        .filter(|response| response.status == 200)
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_a_gateway_has_its_share_of_a_limit_unless_limits_are_open() {
    assert_eq!(admitted_without_redis(&[]).await, 40);
    assert_eq!(
        admitted_without_redis(&[("RATE_LIMIT_GATEWAYS", "4")]).await,
        10
    );
    assert_eq!(
        admitted_without_redis(&[("RATE_LIMIT_WITHOUT_REDIS", "open")]).await,
        100
    );
}

/// The report for `token`, by name: limit, remaining, and true if a window has begun.
async fn report(stage: &Stage, token: &str, user: u64) -> Vec<(String, u64, u64, bool)> {
    let response = get(stage, token, &format!("/api/v1/users/{user}/limits")).await;
    assert_eq!(response.status, 200, "{}", response.text);
    assert_eq!(response.header("cache-control"), "no-store");
    let report = response.json();
    assert_eq!(report["user_id"], user);
    let number = |limit: &Value, name: &str| limit[name].as_u64().expect("a number");
    let limits = report["limits"].as_array().expect("limits");
    let limits = limits.iter().map(|limit| {
        assert_eq!(limit["window_seconds"], 60);
        let reset = number(limit, "reset_seconds");
        assert!(reset <= 60);
        let name = limit["name"].as_str().expect("a name").to_owned();
        (
            name,
            number(limit, "limit"),
            number(limit, "remaining"),
            reset > 0,
        )
    });
    limits.collect()
}

fn limit(name: &str, limit: u64, remaining: u64) -> (String, u64, u64, bool) {
    (name.to_owned(), limit, remaining, remaining < limit)
}

async fn limits_are_reported(redis: &str) {
    let stage = stage(&[("REDIS_URL", redis), ("RATE_LIMIT_MAX", "50")]).await;
    let token = stage.token("7", Role::User);
    let key = api_key("7", "user", &["read"]);
    for (token, path) in [(&token, MOVIES), (&key, SEARCH), (&key, MOVIES)] {
        assert_eq!(get(&stage, token, path).await.status, 200);
    }
    let [user, search] = [limit("user", 5, 2), limit("search", 2, 1)];
    // The report itself counts towards the limit of the address alone.
    let expected = [limit("client", 50, 46), user.clone(), search.clone()];
    assert_eq!(report(&stage, &token, 7).await, expected);
    let expected = [
        limit("client", 50, 45),
        user.clone(),
        limit("api_key", 3, 1),
        search.clone(),
    ];
    assert_eq!(report(&stage, &key, 7).await, expected);
    // It is there for a user who may send nothing else.
    for _ in 0..5 {
        get(&stage, &token, MOVIES).await;
    }
    get(&stage, &token, MOVIES).await.problem(429);
    assert_eq!(report(&stage, &token, 7).await[1], limit("user", 5, 0));
    let admin = stage.token(ADMIN, Role::Admin);
    assert_eq!(
        report(&stage, &admin, 7).await,
        [limit("user", 5, 0), search]
    );
    assert_eq!(report(&stage, &admin, 1).await.len(), 1);
    let path = "/api/v1/users/7/limits";
    assert_eq!(get(&stage, &token, path).await.json()["plan"], "free");
    assert_eq!(
        get(&stage, &admin, "/api/v1/users/8/limits").await.json()["plan"],
        "pro"
    );
    let stranger = stage.token("6", Role::User);
    get(&stage, &stranger, path).await.problem(403);
    let problem = get(&stage, &admin, "/api/v1/users/anna/limits")
        .await
        .problem(400);
    assert_eq!(problem["error"], json!("invalid user ID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_reported_with_redis() {
    let redis = RedisServer::start();
    limits_are_reported(&redis.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_reported_without_redis() {
    limits_are_reported("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_users_are_multiples_of_that_of_an_address_by_default() {
    let own = [
        ("RATE_LIMIT_MAX", "50"),
        ("ROUTE_LIMITS", "search=3x,writes=6x"),
    ];
    let stage = Stage::new(serve(echo().merge(owners())).await, &own);
    let token = stage.token("7", Role::User);
    let expected = [
        limit("client", 50, 49),
        limit("user", 500, 500),
        limit("search", 150, 150),
        limit("writes", 300, 300),
    ];
    assert_eq!(report(&stage, &token, 7).await, expected);
    let key = api_key("9", "user", &["read"]);
    let of_key = report(&stage, &key, 9).await;
    assert!(of_key.contains(&limit("api_key", 300, 300)), "{of_key:?}");
}
