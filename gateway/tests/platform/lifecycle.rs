//! Starting and stopping: replicas that start at once, and processes that are told to stop while they are asked.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::stage::{
    Api, Database, INTERNAL_TOKEN, Load, Outcome, Platform, Program, Wants, service,
};

/// More than the grace that a stopping process gives the requests it has accepted.
const GRACE: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_of_one_service_may_start_at_once_on_an_empty_database() {
    const AT_ONCE: usize = 3;
    let nowhere = format!("http://127.0.0.1:{}", chassis::testing::free_port());
    for name in [
        "movie-service",
        "preference-service",
        "recommendation-service",
    ] {
        let database = Database::create("at_once").await;
        let settings = [
            ("DATABASE_URL", database.url(None)),
            ("MOVIE_SERVICE_URL", nowhere.clone()),
            ("USER_PREFERENCE_SERVICE_URL", nowhere.clone()),
        ];
        let starting: Vec<_> = (0..AT_ONCE)
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

fn replicated() -> Wants {
    Wants {
        movie_services: 2,
        recommendation_services: 2,
        ..Wants::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_the_gateway_nobody_notices_that_a_process_stops() {
    let mut platform = Platform::with_films(1, replicated()).await;
    let user = platform.user("anna").await;
    let films = "/api/v1/movies?page_size=5";
    let list = format!("/api/v1/users/{user}/recommendations?limit=5");
    stop_one_of_two(&mut platform, films, |platform| {
        &mut platform.movie_services[0]
    })
    .await;
    stop_one_of_two(&mut platform, &list, |platform| {
        &mut platform.recommendation_services[0]
    })
    .await;
    a_slow_request_is_answered(&mut platform).await;
    assert_eq!(platform.errors_logged(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_told_to_stop_finishes_what_it_has_begun() {
    stop_each_under_load(&[Outcome::Refused, Outcome::ClosedIdle, Outcome::Unheard]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a stopping process closes new connections that it has accepted but not read from yet"]
async fn a_process_that_is_told_to_stop_answers_all_that_it_accepted() {
    stop_each_under_load(&[Outcome::Refused, Outcome::ClosedIdle]).await;
}

/// Tells each program to stop while it is asked, several times; besides answers there may only be `allowed`.
async fn stop_each_under_load(allowed: &[Outcome]) {
    let mut platform = Platform::with_films(1, Wants::default()).await;
    let user = platform.user("anna").await;
    let films = "/api/v1/movies?page_size=5";
    let list = format!("/api/v1/users/{user}/recommendations?limit=5");
    let person = format!("/api/v1/users/{user}");
    for _ in 0..3 {
        stop_under_load(&mut platform.movie_services[0], films, allowed).await;
        stop_under_load(&mut platform.recommendation_services[0], &list, allowed).await;
        stop_under_load(&mut platform.preference_service, &person, allowed).await;
        // Not a service of its own: what it answers is ready when the services are.
        platform.until_ready().await;
        stop_under_load(&mut platform.gateways[0], films, allowed).await;
    }
    assert_eq!(platform.errors_logged(), [""; 0]);
}

fn head(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nAuthorization: Bearer any\r\nX-Internal-Token: {INTERNAL_TOKEN}\r\n"
    )
}

/// Tells `program` to stop while it is asked for `path`, and starts it again.
async fn stop_under_load(program: &mut Program, path: &str, allowed: &[Outcome]) {
    let load = Load::start(8, program.address(), &head(path));
    load.more(100).await;
    program.terminate();
    let status = program.ended(GRACE).await;
    let outcomes = load.stop().await;
    println!("{} stopped: {:?}", program.name(), summary(&outcomes));
    let status = status.unwrap_or_else(|| panic!("{} does not stop", program.name()));
    assert_eq!(status.code(), Some(0), "{}", program.name());
    assert_all_answered(program.name(), &outcomes, allowed);
    program.restart();
    program.until_ready().await;
}

/// Tells one of two replicas to stop while `path` is asked for through the gateway: nobody notices.
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
    assert_all_answered(&name, &outcomes, &[]);
}

/// A sync takes a while; the gateway waits for it.
async fn a_slow_request_is_answered(platform: &mut Platform) {
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

fn assert_all_answered(name: &str, outcomes: &[Outcome], allowed: &[Outcome]) {
    let wrong: Vec<&Outcome> = outcomes
        .iter()
        .filter(|&outcome| *outcome != Outcome::Answered(200) && !allowed.contains(outcome))
        .collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
}

/// How often each outcome came.
fn summary(outcomes: &[Outcome]) -> BTreeMap<String, usize> {
    let mut summary = BTreeMap::new();
    for outcome in outcomes {
        *summary.entry(format!("{outcome:?}")).or_default() += 1;
    }
    summary
}
