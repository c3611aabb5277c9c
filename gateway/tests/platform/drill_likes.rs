//! A benchmark: the time until a like shows in the taste profile, the chart and the recommender's profile, and the
//! latency of charts. Not part of ordinary runs:
//!
//! ```text
//! scripts/test.sh --release -p gateway --test platform --run-ignored only --no-capture -E 'test(drill_likes)'
//! ```

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Api, MAX_WAIT, Platform, PlatformOptions, ids, percentile};

const USERS: usize = 10;
const LIKES_EACH: usize = 20;
const CHART_READS: usize = 2000;
/// The longest time until a like shows.
const FRESH_MS: f64 = 1000.0;
/// The longest p99 of the first ten ranks of a chart.
const FAST_MS: f64 = 5.0;

/// The time from `start` until `is_shown` returns true.
async fn until(start: Instant, what: &str, mut is_shown: impl AsyncFnMut() -> bool) -> Duration {
    loop {
        // A response shows the state at the time of its request.
        let requested = start.elapsed();
        if is_shown().await {
            return requested;
        }
        assert!(start.elapsed() < MAX_WAIT, "a like does not show in {what}");
    }
}

async fn body(client: &Api, path: &str) -> Value {
    client.get(path).await.expect(200)
}

fn count_of(chart: &Value, film: i64) -> i64 {
    let places = chart["data"].as_array().unwrap();
    places
        .iter()
        .find(|place| place["movie"]["id"] == film)
        .map_or(0, |place| place["count"].as_i64().unwrap())
}

/// Prints the percentiles; returns the p99 in milliseconds.
fn print_percentiles(what: &str, times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| percentile(times, part));
    println!("{what}: p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
    p99
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; see the head of the file"]
async fn a_like_shows_everywhere_within_a_second() {
    let options = PlatformOptions {
        log_level: "warn,chassis::run=info,gateway::server=info",
        ..PlatformOptions::default()
    };
    let platform = Platform::with_films(10, options).await;
    let client = platform.client();
    let films = ids(&body(&client, "/api/v1/movies?page_size=100").await["data"]);
    let films = &films[..LIKES_EACH];
    let chart = "/api/v1/charts/top?metric=likes&limit=100";
    let [mut tastes, mut charts, mut profiles] = [const { Vec::new() }; 3];
    for reader in 0..USERS {
        let user = platform.user(&format!("reader{reader}")).await;
        for film in films {
            let taste = format!("/api/v1/users/{user}/taste");
            let list = format!("/api/v1/users/{user}/recommendations?limit=100");
            let taste_before = body(&client, &taste).await;
            let count_before = count_of(&body(&client, chart).await, *film);
            let like = json!({"movie_id": film, "interaction_type": "like"});
            let path = format!("/api/v1/users/{user}/interactions");
            client.post(&path, like).await.expect(201);
            let start = Instant::now();
            let (taste, chart, profile) = tokio::join!(
                until(start, "the taste", async || body(&client, &taste).await
                    != taste_before),
                until(start, "the chart", async || count_of(
                    &body(&client, chart).await,
                    *film
                ) == count_before + 1),
                until(start, "the profile", async || {
                    !ids(&body(&client, &list).await["recommendations"]).contains(film)
                }),
            );
            tastes.push(taste);
            charts.push(chart);
            profiles.push(profile);
        }
    }
    println!(
        "from the response to one of {} likes until a request shows it",
        tastes.len()
    );
    let slowest = [
        print_percentiles("  taste", &mut tastes),
        print_percentiles("  chart", &mut charts),
        print_percentiles("  recommender's profile", &mut profiles),
    ];
    assert!(slowest.into_iter().all(|p99| p99 <= FRESH_MS));

    let mut reads = Vec::with_capacity(CHART_READS);
    for _ in 0..CHART_READS {
        let started = Instant::now();
        client
            .get("/api/v1/charts/top?metric=likes&limit=10")
            .await
            .expect(200);
        reads.push(started.elapsed());
    }
    let read = print_percentiles(
        "the first ten of a chart through the gateway, warm",
        &mut reads,
    );
    assert!(read <= FAST_MS);
    assert_eq!(platform.errors_logged(), [""; 0]);
}
