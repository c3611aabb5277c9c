//! A benchmark: fifty users like, dislike and watch movies at random while they read their lists through the gateway.
//! Asserts that known and disliked movies leave the lists, and measures after what time. Not part of ordinary runs:
//!
//! ```text
//! scripts/test.sh --release -p gateway --test platform --run-ignored only --no-capture -E 'test(drill_lists)'
//! ```

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::stage::{Api, Platform, PlatformOptions, ids, percentile};

const USERS: u64 = 50;
/// Actions of each user.
const ACTIONS: usize = 30;
const PAGES: i64 = 32;
/// The longest time until an action shows.
const FRESH: Duration = Duration::from_secs(1);
const STRATEGIES: [&str; 5] = [
    "",
    "&strategy=rules",
    "&strategy=content",
    "&strategy=taste",
    "&diversity=0.4",
];
const KINDS: [&str; 4] = ["like", "dislike", "superlike", "watched"];

/// A user, with the time at which each known movie was reported.
struct Reader {
    id: i64,
    client: Api,
    random: StdRng,
    known: HashMap<i64, Instant>,
    lists: Arc<AtomicUsize>,
}

impl Reader {
    /// Reads a list, sometimes page by page; asserts that it has no movie that was known a second before the
    /// request.
    async fn read(&mut self, query: &str) -> Vec<i64> {
        let path = format!("/api/v1/users/{}/recommendations?limit=20{query}", self.id);
        let mut films = Vec::new();
        let mut cursor = String::new();
        for _ in 0..self.random.random_range(1..4) {
            let requested = Instant::now();
            let body = self
                .client
                .get(&format!("{path}{cursor}"))
                .await
                .expect(200);
            self.lists.fetch_add(1, Ordering::Relaxed);
            let page = ids(&body["recommendations"]);
            for film in &page {
                if let Some(reported) = self.known.get(film) {
                    let age = requested.saturating_duration_since(*reported);
                    assert!(
                        age < FRESH,
                        "film {film} of user {} after {age:?}: {body}",
                        self.id
                    );
                }
            }
            films.extend(page);
            match &body["next_cursor"] {
                Value::String(next) => cursor = format!("&cursor={next}"),
                _ => break,
            }
        }
        films
    }

    /// Acts on a movie of the list; returns the time from the response until a list is without it.
    async fn act(&mut self) -> Duration {
        let query = STRATEGIES[self.random.random_range(0..STRATEGIES.len())];
        let films = self.read(query).await;
        let fresh: Vec<i64> = films
            .into_iter()
            .filter(|film| !self.known.contains_key(film))
            .collect();
        assert!(
            !fresh.is_empty(),
            "user {} has no unknown movie left",
            self.id
        );
        let film = fresh[self.random.random_range(0..fresh.len())];
        let kind = KINDS[self.random.random_range(0..KINDS.len())];
        let body = json!({"movie_id": film, "interaction_type": kind});
        let path = format!("/api/v1/users/{}/interactions", self.id);
        self.client.post(&path, body).await.expect(201);
        let reported = Instant::now();
        self.known.insert(film, reported);
        let path = format!("/api/v1/users/{}/recommendations?limit=100{query}", self.id);
        loop {
            let requested = reported.elapsed();
            let body = self.client.get(&path).await.expect(200);
            self.lists.fetch_add(1, Ordering::Relaxed);
            if !ids(&body["recommendations"]).contains(&film) {
                return requested;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; see the head of the file"]
async fn known_and_disliked_movies_leave_the_lists() {
    let options = PlatformOptions {
        recommendation_services: 2,
        log_level: "warn,chassis::run=info,gateway::server=info",
        ..PlatformOptions::default()
    };
    let platform = Platform::with_films(PAGES, options).await;
    let lists = Arc::<AtomicUsize>::default();
    let mut users = JoinSet::new();
    let started = Instant::now();
    for number in 0..USERS {
        let mut reader = Reader {
            id: platform.user(&format!("reader{number}")).await,
            client: platform.client(),
            random: StdRng::seed_from_u64(number),
            known: HashMap::new(),
            lists: Arc::clone(&lists),
        };
        users.spawn(async move {
            let mut times = Vec::with_capacity(ACTIONS);
            for _ in 0..ACTIONS {
                times.push(reader.act().await);
            }
            // In the end every strategy leaves out all of them.
            tokio::time::sleep_until((Instant::now() + FRESH).into()).await;
            for query in STRATEGIES {
                reader.read(query).await;
            }
            times
        });
    }
    let mut times: Vec<Duration> = users.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |part| percentile(&times, part);
    println!(
        "{USERS} users, {} actions, {} lists read in {:.1} s: none contained a known or disliked movie",
        times.len(),
        lists.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64()
    );
    println!(
        "from the response to an action until a request for a list that reflects it: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(at(0.99) <= FRESH.as_secs_f64() * 1000.0);
    assert_eq!(platform.errors_logged(), [""; 0]);
}
