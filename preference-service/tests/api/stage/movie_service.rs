//! The fake movie-service.

use std::{
    collections::{BTreeSet, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

/// The behaviour of the fake movie-service.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    /// Normal responses.
    Well,
    /// 500.
    Failing,
    /// No response for a minute.
    Silent,
}

/// A fake movie-service: its feed, its movies, selection and matching.
pub(crate) struct MovieService {
    state: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    fake: Mutex<Fake>,
    published: watch::Sender<()>,
}

struct Fake {
    mood: Mood,
    /// The records of the feed; a cursor is an index.
    records: Vec<Record>,
    /// Cursors below this have expired.
    expired: usize,
    /// True if snapshots end early.
    broken: bool,
    /// Movies that exist, but are not in the feed.
    secret: BTreeSet<i64>,
    /// Movies that only TMDB has.
    remote: BTreeSet<i64>,
    /// The movies of each match request.
    asked_matches: Vec<Vec<Value>>,
    snapshots: usize,
    /// The requested cursors.
    asked_after: Vec<usize>,
    /// The requested movies.
    asked_movies: Vec<i64>,
    /// The movies and the language of each selection.
    asked_selections: Vec<(Vec<i64>, String)>,
}

#[derive(Clone)]
struct Record {
    name: &'static str,
    key: i64,
    payload: Value,
}

impl Record {
    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "key": self.key.to_string(),
            "occurred_at": "2026-02-13T08:15:42Z",
            "payload": self.payload,
        })
    }
}

impl MovieService {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Shared {
            fake: Mutex::new(Fake {
                mood: Mood::Well,
                records: Vec::new(),
                expired: 0,
                broken: false,
                secret: BTreeSet::new(),
                remote: BTreeSet::new(),
                asked_matches: Vec::new(),
                snapshots: 0,
                asked_after: Vec::new(),
                asked_movies: Vec::new(),
                asked_selections: Vec::new(),
            }),
            published: watch::Sender::new(()),
        });
        let router = Router::new()
            .route("/internal/v1/changes", get(changes))
            .route("/internal/v1/snapshot", get(snapshot))
            .route("/api/v1/movies/{id}", get(movie))
            .route("/internal/v1/movies/select", post(select))
            .route("/internal/v1/movies/match", post(match_movies))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { state, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Fake) -> T) -> T {
        let result = change(&mut self.state.fake.lock().expect("not poisoned"));
        self.state.published.send_replace(());
        result
    }

    /// Publishes a movie.
    pub(crate) fn sync(&self, id: i64, version: i64, title: &str) {
        let payload = json!({"id": id, "version": version, "title": title, "runtime": 136});
        self.tell("movie.synced", id, payload);
    }

    /// Publishes the removal of a movie.
    pub(crate) fn remove(&self, id: i64, version: i64) {
        self.tell("movie.removed", id, json!({"id": id, "version": version}));
    }

    /// Publishes a change.
    pub(crate) fn tell(&self, name: &'static str, key: i64, payload: Value) {
        self.with(|fake| fake.records.push(Record { name, key, payload }));
    }

    /// Adds a movie that is not in the feed.
    pub(crate) fn hide(&self, id: i64) {
        self.with(|fake| fake.secret.insert(id));
    }

    /// Adds a movie that only TMDB has.
    pub(crate) fn leave_to_tmdb(&self, id: i64) {
        self.with(|fake| fake.remote.insert(id));
    }

    pub(crate) fn asked_matches(&self) -> Vec<Vec<Value>> {
        self.with(|fake| fake.asked_matches.clone())
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.with(|fake| fake.mood = mood);
    }

    /// Expires all cursors; the movies stay in the snapshot.
    pub(crate) fn expire(&self) {
        self.tell("something.else", -1, json!({}));
        self.with(|fake| fake.expired = fake.records.len());
    }

    /// Sets if snapshots end early.
    pub(crate) fn break_snapshots(&self, broken: bool) {
        self.with(|fake| fake.broken = broken);
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.with(|fake| fake.snapshots)
    }

    pub(crate) fn asked_after(&self) -> Vec<usize> {
        self.with(|fake| fake.asked_after.clone())
    }

    /// The movies and the language, empty if none, of each selection since the last call.
    pub(crate) fn take_selections(&self) -> Vec<(Vec<i64>, String)> {
        self.with(|fake| std::mem::take(&mut fake.asked_selections))
    }

    pub(crate) fn asked_movies(&self) -> Vec<i64> {
        self.with(|fake| fake.asked_movies.clone())
    }
}

#[derive(serde::Deserialize)]
struct After {
    after: usize,
    limit: usize,
    wait: u64,
}

async fn changes(State(shared): State<Arc<Shared>>, Query(query): Query<After>) -> Response {
    let mut told = shared.published.subscribe();
    let until = tokio::time::Instant::now() + Duration::from_secs(query.wait);
    shared
        .fake
        .lock()
        .expect("not poisoned")
        .asked_after
        .push(query.after);
    loop {
        {
            let fake = shared.fake.lock().expect("not poisoned");
            if query.after < fake.expired {
                return StatusCode::GONE.into_response();
            }
            let records: Vec<Value> = fake
                .records
                .iter()
                .skip(query.after)
                .take(query.limit)
                .map(Record::json)
                .collect();
            if !records.is_empty() || tokio::time::Instant::now() >= until {
                let next = query.after + records.len();
                return Json(json!({"changes": records, "next": next.to_string()})).into_response();
            }
        }
        let _ = tokio::time::timeout_at(until, told.changed()).await;
    }
}

/// The newest record of each movie that was not removed.
async fn snapshot(State(shared): State<Arc<Shared>>) -> String {
    let mut fake = shared.fake.lock().expect("not poisoned");
    fake.snapshots += 1;
    let mut newest: HashMap<i64, &Record> = HashMap::new();
    for record in &fake.records {
        newest.insert(record.key, record);
    }
    let lines: Vec<String> = newest
        .values()
        .filter(|record| record.name == "movie.synced")
        .map(|record| record.json().to_string())
        .collect();
    let cursor = fake.records.len();
    let end = if fake.broken {
        String::new()
    } else {
        format!("{}\n", json!({"end": true, "count": lines.len()}))
    };
    format!(
        "{}\n{}{end}",
        json!({"cursor": cursor.to_string()}),
        lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
    )
}

async fn movie(State(shared): State<Arc<Shared>>, Path(id): Path<i64>) -> Response {
    let (mood, known) = {
        let mut fake = shared.fake.lock().expect("not poisoned");
        fake.asked_movies.push(id);
        let told = fake.records.iter().rev().find(|record| record.key == id);
        let there = told.is_some_and(|record| record.name == "movie.synced");
        (fake.mood, there || fake.secret.contains(&id))
    };
    match mood {
        Mood::Well if known => Json(json!({"id": id})).into_response(),
        Mood::Well => StatusCode::NOT_FOUND.into_response(),
        Mood::Failing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Silent => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            StatusCode::OK.into_response()
        }
    }
}

#[derive(serde::Deserialize)]
struct Selection {
    ids: Vec<i64>,
    limit: usize,
    filter: HashMap<String, String>,
    language: Option<String>,
}

/// Selects movies that exist; those with an odd id have the genre Odd, and every year is invalid. Titles in Korean are
/// those in the feed with `(ko)` after them.
async fn select(State(shared): State<Arc<Shared>>, Json(selection): Json<Selection>) -> Response {
    let language = selection.language.unwrap_or_default();
    let mood = {
        let mut fake = shared.fake.lock().expect("not poisoned");
        fake.asked_selections
            .push((selection.ids.clone(), language.clone()));
        fake.mood
    };
    match mood {
        Mood::Well => {}
        Mood::Failing => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Mood::Silent => tokio::time::sleep(Duration::from_secs(60)).await,
    }
    let is_korean = language.starts_with("ko");
    let fake = shared.fake.lock().expect("not poisoned");
    if selection.filter.contains_key("year") {
        let errors = json!([{"field": "year", "message": "must be a year"}]);
        return (StatusCode::BAD_REQUEST, Json(json!({"errors": errors}))).into_response();
    }
    let odd = selection.filter.get("genres").map(|genre| genre == "Odd");
    let told = |id: &i64| fake.records.iter().rev().find(|record| record.key == *id);
    let films: Vec<Value> = selection
        .ids
        .iter()
        .filter(|id| odd.is_none_or(|odd| odd == (*id % 2 == 1)))
        .filter_map(told)
        .filter(|record| record.name == "movie.synced")
        .take(selection.limit)
        .map(|record| {
            let mut film = record.payload.clone();
            if is_korean {
                film["title"] = json!(format!(
                    "{} (ko)",
                    film["title"].as_str().unwrap_or_default()
                ));
            }
            film["poster_url"] = json!(format!("https://image.test/{}.jpg", record.key));
            film
        })
        .collect();
    let language = if is_korean { language.as_str() } else { "en" };
    Json(json!({"data": films, "language": language})).into_response()
}

#[derive(serde::Deserialize)]
struct Wanted {
    movies: Vec<Value>,
    fetch: usize,
}

/// Matches movies by id, then by exact title; two with one title are ambiguous.
async fn match_movies(State(shared): State<Arc<Shared>>, Json(wanted): Json<Wanted>) -> Response {
    let mut fake = shared.fake.lock().expect("not poisoned");
    fake.asked_matches.push(wanted.movies.clone());
    if fake.mood != Mood::Well {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut fetched = 0;
    let mut matches = Vec::new();
    for film in &wanted.movies {
        let told = |field: &str, value: &Value| -> BTreeSet<i64> {
            let has = |record: &&Record| !value.is_null() && record.payload[field] == *value;
            fake.records
                .iter()
                .filter(has)
                .map(|record| record.key)
                .collect()
        };
        let ids = told("id", &film["tmdb_id"]);
        let ids = if ids.is_empty() {
            told("imdb_id", &film["imdb_id"])
        } else {
            ids
        };
        let ids = if ids.is_empty() {
            // An id of another movie outweighs the title.
            let mut same = told("title", &film["title"]);
            same.retain(|id| {
                let wanted = &film["imdb_id"];
                let own = fake.records.iter().rfind(|record| record.key == *id);
                let own = own.map(|record| &record.payload["imdb_id"]);
                wanted.is_null() || own.is_none_or(|own| own.is_null() || own == wanted)
            });
            same
        } else {
            ids
        };
        let id = film["tmdb_id"].as_i64().unwrap_or_default();
        matches.push(if let (Some(id), 1) = (ids.first(), ids.len()) {
            json!({"id": id})
        } else if ids.len() > 1 {
            json!({"unmatched": "ambiguous"})
        } else if fake.secret.contains(&id) {
            json!({"id": id})
        } else if !fake.remote.contains(&id) {
            json!({"unmatched": "unknown"})
        } else if fetched < wanted.fetch {
            fetched += 1;
            fake.secret.insert(id);
            json!({"id": id})
        } else {
            json!({"unmatched": "deferred"})
        });
    }
    Json(json!({"matches": matches, "fetched": fetched})).into_response()
}
