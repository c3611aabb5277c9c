//! Starts of replicas at the same time, and shutdowns under load.

use std::{collections::BTreeMap, time::Duration};

use chassis::testing::eventually;
use serde_json::Value;

use crate::stage::{
    Api, Database, INTERNAL_TOKEN, Load, Outcome, Platform, PlatformOptions, Program, service,
};

/// Longer than the grace period of a shutdown.
const GRACE: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_can_start_at_once_on_an_empty_database() {
    const REPLICAS: usize = 3;
    let nowhere = format!("http://127.0.0.1:{}", chassis::testing::free_port());
    for name in [
        "movie-service",
        "preference-service",
        "recommendation-service",
    ] {
        let database = Database::create("at_once", None).await;
        let settings = [
            ("DATABASE_URL", database.url(None)),
            ("MOVIE_SERVICE_URL", nowhere.clone()),
            ("USER_PREFERENCE_SERVICE_URL", nowhere.clone()),
        ];
        let starting: Vec<_> = (0..REPLICAS)
            .map(|_| {
                let settings: Vec<(&'static str, String)> = service(&settings);
                tokio::task::spawn_blocking(move || Program::start(name, &settings))
            })
            .collect();
        for program in starting {
            let program = program.await.expect("it starts");
            let live = Api::new(&program.url()).get("/health/live").await;
            assert_eq!(live.expect(200)["service"], name);
            assert_eq!(program.errors(), [""; 0]);
        }
        let migrations = database.count("select count(*) from _sqlx_migrations where success");
        assert!(migrations.await > 0, "{name}");
    }
}

fn replicated() -> PlatformOptions {
    PlatformOptions {
        movie_services: 2,
        recommendation_services: 2,
        ..PlatformOptions::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_of_one_replica_fails_no_request_through_the_gateway() {
    let mut platform = Platform::with_films(1, replicated()).await;
    let user = platform.user("anna").await;
    // A replica that has just started refuses it until its index is built.
    let films = "/api/v1/search?q=a&page_size=5";
    let list = format!("/api/v1/users/{user}/recommendations?limit=5");
    for replica in &platform.movie_services {
        let replica = platform.inside(replica);
        eventually("the index is built", async || {
            replica.get(films).await.status == 200
        })
        .await;
    }
    stop_one_of_two(&mut platform, films, |platform| {
        &mut platform.movie_services[0]
    })
    .await;
    stop_one_of_two(&mut platform, &list, |platform| {
        &mut platform.recommendation_services[0]
    })
    .await;
    a_slow_request_is_served(&mut platform).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_process_finishes_requests_in_flight() {
    stop_each_under_load(&[Outcome::Refused, Outcome::ClosedIdle, Outcome::NoResponse]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_gateway_serves_every_accepted_connection() {
    let mut platform = Platform::with_films(1, PlatformOptions::default()).await;
    let films = "/api/v1/movies?page_size=5";
    let allowed = [Outcome::Refused, Outcome::ClosedIdle];
    for _ in 0..6 {
        platform.until_ready().await;
        stop_under_load(&mut platform.gateways[0], films, &allowed).await;
    }
    assert_eq!(platform.errors_logged(), [""; 0]);
}

/// Stops each program under load, several times; besides responses only the outcomes `allowed` may occur.
async fn stop_each_under_load(allowed: &[Outcome]) {
    let mut platform = Platform::with_films(1, PlatformOptions::default()).await;
    let user = platform.user("anna").await;
    let films = "/api/v1/movies?page_size=5";
    let list = format!("/api/v1/users/{user}/recommendations?limit=5");
    let person = format!("/api/v1/users/{user}");
    for _ in 0..3 {
        stop_under_load(&mut platform.movie_services[0], films, allowed).await;
        stop_under_load(&mut platform.recommendation_services[0], &list, allowed).await;
        stop_under_load(&mut platform.preference_service, &person, allowed).await;
        // The gateway is ready when the services are.
        platform.until_ready().await;
        stop_under_load(&mut platform.gateways[0], films, allowed).await;
    }
    assert_eq!(platform.errors_logged(), [""; 0]);
}

/// The head of the requests for `path`, which no stored response serves.
fn head(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nAuthorization: Bearer any\r\nX-Internal-Token: {INTERNAL_TOKEN}\r\nCache-Control: no-cache\r\n"
    )
}

/// Stops `program` while clients request `path`, and starts it again.
async fn stop_under_load(program: &mut Program, path: &str, allowed: &[Outcome]) {
    let load = Load::start(8, program.address(), &head(path));
    load.more(100).await;
    program.terminate();
    let status = program.ended(GRACE).await;
    let outcomes = load.stop().await;
    println!("{} stopped: {:?}", program.name(), summary(&outcomes));
    let status = status.unwrap_or_else(|| panic!("{} does not stop", program.name()));
    assert_eq!(status.code(), Some(0), "{}", program.name());
    assert_all_served(program.name(), &outcomes, allowed);
    program.restart();
    program.until_ready().await;
}

/// Stops one of two replicas while clients request `path` through the gateway: no request fails.
async fn stop_one_of_two(
    platform: &mut Platform,
    path: &str,
    replica: impl Fn(&mut Platform) -> &mut Program,
) {
    let load = Load::start(8, platform.gateways[0].address(), &head(path));
    load.more(100).await;
    replica(platform).terminate();
    let status = replica(platform).ended(GRACE).await;
    load.more(100).await;
    replica(platform).restart();
    replica(platform).until_ready().await;
    load.more(100).await;
    let outcomes = load.stop().await;
    let name = format!("one {} of two", replica(platform).name());
    println!("{name} stopped: {:?}", summary(&outcomes));
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{name}");
    assert_all_served(&name, &outcomes, &[]);
}

/// The gateway waits for a sync, which takes long.
async fn a_slow_request_is_served(platform: &mut Platform) {
    let tmdb = Api::new(&platform.demo_tmdb.url());
    let late = serde_json::json!({"kind": "latency", "ms": 200});
    tmdb.post("/__faults", late).await.expect(201);
    let client = platform.client();
    let sync = tokio::spawn(async move {
        client
            .post("/api/v1/admin/sync?pages=1", Value::Null)
            .await
            .expect(200)
    });
    chassis::testing::eventually("the sync has begun", async || {
        platform
            .movies
            .count("select count(*) from job where status = 'running'")
            .await
            == 1
    })
    .await;
    let gateway = &mut platform.gateways[0];
    gateway.terminate();
    let status = gateway.ended(GRACE).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0));
    assert_eq!(sync.await.unwrap()["movies_synced"], 20);
}

fn assert_all_served(name: &str, outcomes: &[Outcome], allowed: &[Outcome]) {
    let wrong: Vec<&Outcome> = outcomes
        .iter()
        .filter(|&outcome| *outcome != Outcome::Completed(200) && !allowed.contains(outcome))
        .collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
}

/// The number of occurrences of each outcome.
fn summary(outcomes: &[Outcome]) -> BTreeMap<String, usize> {
    let mut summary = BTreeMap::new();
    for outcome in outcomes {
        *summary.entry(format!("{outcome:?}")).or_default() += 1;
    }
    summary
}
