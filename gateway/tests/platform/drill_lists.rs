//! Fifty people who like, dislike and watch films at random while they read their lists, through the gateway:
//! what they know or dislike is never in a list again, and how soon that is so. Left out of ordinary runs,
//! since it measures:
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

use crate::stage::{Api, Platform, Wants, ids, percentile};

const PEOPLE: u64 = 50;
/// What each of them does.
const ACTIONS: usize = 30;
const PAGES: i64 = 32;
/// How soon what somebody did must show.
const FRESH: Duration = Duration::from_secs(1);
const STRATEGIES: [&str; 5] = [
    "",
    "&strategy=rules",
    "&strategy=content",
    "&strategy=taste",
    "&diversity=0.4",
];
const KINDS: [&str; 4] = ["like", "dislike", "superlike", "watched"];

/// Somebody, and when each film that they know was told.
struct Person {
    id: i64,
    client: Api,
    random: StdRng,
    known: HashMap<i64, Instant>,
    lists: Arc<AtomicUsize>,
}

impl Person {
    /// Reads a list, some of it page by page; asserts that no film that became known a second before the
    /// request is in it.
    async fn read(&mut self, query: &str) -> Vec<i64> {
        let path = format!("/api/v1/users/{}/recommendations?limit=20{query}", self.id);
        let mut films = Vec::new();
        let mut cursor = String::new();
        for _ in 0..self.random.random_range(1..4) {
            let asked = Instant::now();
            let body = self
                .client
                .get(&format!("{path}{cursor}"))
                .await
                .expect(200);
            self.lists.fetch_add(1, Ordering::Relaxed);
            let page = ids(&body["recommendations"]);
            for film in &page {
                if let Some(told) = self.known.get(film) {
                    let age = asked.saturating_duration_since(*told);
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

    /// Does something with a film of the list that they see, and tells how long after the answer a list was
    /// without it.
    async fn act(&mut self) -> Duration {
        let query = STRATEGIES[self.random.random_range(0..STRATEGIES.len())];
        let films = self.read(query).await;
        let fresh: Vec<i64> = films
            .into_iter()
            .filter(|film| !self.known.contains_key(film))
            .collect();
        assert!(!fresh.is_empty(), "user {} has run out of films", self.id);
        let film = fresh[self.random.random_range(0..fresh.len())];
        let kind = KINDS[self.random.random_range(0..KINDS.len())];
        let body = json!({"movie_id": film, "interaction_type": kind});
        let path = format!("/api/v1/users/{}/interactions", self.id);
        self.client.post(&path, body).await.expect(201);
        let told = Instant::now();
        self.known.insert(film, told);
        let path = format!("/api/v1/users/{}/recommendations?limit=100{query}", self.id);
        loop {
            let asked = told.elapsed();
            let body = self.client.get(&path).await.expect(200);
            self.lists.fetch_add(1, Ordering::Relaxed);
            if !ids(&body["recommendations"]).contains(&film) {
                return asked;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; see the head of the file"]
async fn what_people_know_or_dislike_is_never_in_their_lists_again() {
    let wants = Wants {
        recommendation_services: 2,
        log_level: "warn,chassis::run=info,gateway::app=info",
        ..Wants::default()
    };
    let platform = Platform::with_films(PAGES, wants).await;
    let lists = Arc::<AtomicUsize>::default();
    let mut people = JoinSet::new();
    let started = Instant::now();
    for number in 0..PEOPLE {
        let mut person = Person {
            id: platform.user(&format!("person{number}")).await,
            client: platform.client(),
            random: StdRng::seed_from_u64(number),
            known: HashMap::new(),
            lists: Arc::clone(&lists),
        };
        people.spawn(async move {
            let mut times = Vec::with_capacity(ACTIONS);
            for _ in 0..ACTIONS {
                times.push(person.act().await);
            }
            // Once all is told, every strategy leaves out all of it.
            tokio::time::sleep_until((Instant::now() + FRESH).into()).await;
            for query in STRATEGIES {
                person.read(query).await;
            }
            times
        });
    }
    let mut times: Vec<Duration> = people.join_all().await.into_iter().flatten().collect();
    times.sort_unstable();
    let at = |part| percentile(&times, part);
    println!(
        "{PEOPLE} people, {} actions, {} lists read in {:.1} s: none had what its reader knew or disliked",
        times.len(),
        lists.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64()
    );
    println!(
        "from the answer to an action until a list was asked for that shows it: p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    assert!(at(0.99) <= FRESH.as_secs_f64() * 1000.0);
    assert_eq!(platform.errors_logged(), [""; 0]);
}
