//! How soon a like is seen everywhere: in the user's taste, in the chart, in the recommender's profile; and how
//! fast charts are read. Left out of ordinary runs, since it measures:
//!
//! ```text
//! scripts/test.sh --release -p gateway --test platform --run-ignored only --no-capture -E 'test(drill_people)'
//! ```

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Api, PATIENCE, Platform, Wants, ids, percentile};

const PEOPLE: usize = 10;
const LIKES_EACH: usize = 20;
const CHART_READS: usize = 2000;
/// How soon a like must show.
const FRESH_MS: f64 = 1000.0;
/// How fast the first ten places of a chart must come.
const FAST_MS: f64 = 5.0;

/// The time until `shown` says yes, since `told`.
async fn until(told: Instant, what: &str, mut shown: impl AsyncFnMut() -> bool) -> Duration {
    loop {
        // What is asked for now shows what had happened by now.
        let asked = told.elapsed();
        if shown().await {
            return asked;
        }
        assert!(told.elapsed() < PATIENCE, "a like does not show in {what}");
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

/// Tells how long it took; p99 in milliseconds.
fn tell(what: &str, times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let [p50, p99, most] = [0.5, 0.99, 1.0].map(|part| percentile(times, part));
    println!("{what}: p50 {p50:.1} ms, p99 {p99:.1} ms, at most {most:.1} ms");
    p99
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; see the head of the file"]
async fn a_like_is_seen_everywhere_within_a_second() {
    let wants = Wants {
        log_level: "warn,chassis::run=info,gateway::app=info",
        ..Wants::default()
    };
    let platform = Platform::with_films(10, wants).await;
    let client = platform.client();
    let films = ids(&body(&client, "/api/v1/movies?page_size=100").await["data"]);
    let films = &films[..LIKES_EACH];
    let chart = "/api/v1/charts/top?metric=likes&limit=100";
    let [mut tastes, mut charts, mut profiles] = [const { Vec::new() }; 3];
    for person in 0..PEOPLE {
        let user = platform.user(&format!("person{person}")).await;
        for film in films {
            let taste = format!("/api/v1/users/{user}/taste");
            let list = format!("/api/v1/users/{user}/recommendations?limit=100");
            let taste_before = body(&client, &taste).await;
            let count_before = count_of(&body(&client, chart).await, *film);
            let like = json!({"movie_id": film, "interaction_type": "like"});
            let path = format!("/api/v1/users/{user}/interactions");
            client.post(&path, like).await.expect(201);
            let told = Instant::now();
            let (taste, chart, profile) = tokio::join!(
                until(told, "the taste", async || body(&client, &taste).await
                    != taste_before),
                until(told, "the chart", async || count_of(
                    &body(&client, chart).await,
                    *film
                ) == count_before + 1),
                until(told, "the profile", async || {
                    !ids(&body(&client, &list).await["recommendations"]).contains(film)
                }),
            );
            tastes.push(taste);
            charts.push(chart);
            profiles.push(profile);
        }
    }
    println!(
        "from the answer to one of {} likes until a question shows it",
        tastes.len()
    );
    let slowest = [
        tell("  taste", &mut tastes),
        tell("  chart", &mut charts),
        tell("  recommender's profile", &mut profiles),
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
    let read = tell(
        "the first ten of a chart through the gateway, warm",
        &mut reads,
    );
    assert!(read <= FAST_MS);
    assert_eq!(platform.errors_logged(), [""; 0]);
}
