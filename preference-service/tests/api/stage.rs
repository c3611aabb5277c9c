//! What the tests stand on: the service, and a movie-service that is played.

use std::{
    collections::{BTreeSet, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, Query, State},
    http::{Method, Request, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{
    Process, Settings,
    testing::{TestResponse, eventually},
};
use preference_service::{NAME, app, config, handler};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, sync::watch};

/// What those sign up with who have a password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The service under test; its background tasks end with it.
pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) pool: PgPool,
    process: Process,
}

impl TestApp {
    /// The service over `pool`, following `movies`.
    pub(crate) fn new(pool: &PgPool, movies: &MovieService) -> Self {
        Self::with(pool, movies, &[])
    }

    /// The same, with further settings.
    pub(crate) fn with(pool: &PgPool, movies: &MovieService, settings: &[(&str, &str)]) -> Self {
        let url = movies.url();
        // Hashes that take no time; what they take otherwise is a matter of settings.
        let environment: HashMap<String, String> = [
            ("MOVIE_SERVICE_URL", url.as_str()),
            ("REDIS_URL", ""),
            ("ARGON2_MEMORY_KIB", "8"),
            ("ARGON2_ITERATIONS", "1"),
            ("ARGON2_WAIT_MS", "20000"),
        ]
        .iter()
        .chain(settings)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        let settings = Settings::merge(config::DEFAULTS, &environment).expect("settings");
        let config = settings.read().expect("settings");
        let process = Process::new(NAME, settings).expect("settings");
        let (routes, health) = app::assemble(&process, &config, pool.clone()).expect("a service");
        Self {
            router: process.application(routes, health, &handler::openapi()),
            pool: pool.clone(),
            process,
        }
    }

    /// The service over `pool`, beside a movie-service that has films 603 and 604.
    pub(crate) async fn beside_movies(pool: &PgPool) -> (Self, MovieService) {
        let movies = MovieService::start().await;
        movies.sync(603, 1, "The Matrix");
        movies.sync(604, 1, "The Matrix Reloaded");
        (Self::new(pool, &movies), movies)
    }

    pub(crate) async fn get(&self, path: &str) -> TestResponse {
        chassis::testing::get(&self.router, path).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> TestResponse {
        chassis::testing::post(&self.router, path, body).await
    }

    /// One request as the gateway sends it: by `principal` (id and role) from `address`.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Value,
        principal: Option<(i64, &str)>,
        address: Option<&str>,
    ) -> TestResponse {
        let mut request = Request::builder().method(method).uri(path);
        if let Some((id, role)) = principal {
            let told = json!({"subject": id.to_string(), "role": role});
            request = request.header("x-principal", told.to_string());
        }
        if let Some(address) = address {
            request = request.header("x-real-ip", address);
        }
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let request = request.body(Body::from(body)).expect("a request");
        chassis::testing::send(&self.router, request).await
    }

    /// Signs up `name` with the password `PASSWORD`; the id.
    pub(crate) async fn account(&self, name: &str) -> i64 {
        let email = format!("{name}@example.org");
        let body = json!({"username": name, "email": email, "password": PASSWORD});
        let user = self.post("/api/v1/users", body).await.expect(201);
        user["id"].as_i64().expect("an id")
    }

    /// Tries to log in.
    pub(crate) async fn log_in(&self, name: &str, password: &str) -> TestResponse {
        let body = json!({"username": name, "password": password});
        self.post("/api/v1/auth/token", body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> TestResponse {
        chassis::testing::call(&self.router, Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> TestResponse {
        chassis::testing::call(&self.router, Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> TestResponse {
        chassis::testing::call(&self.router, Method::DELETE, path, None).await
    }

    /// Signs up `name`; the id.
    pub(crate) async fn user(&self, name: &str) -> i64 {
        let body = json!({"username": name, "email": format!("{name}@example.org")});
        let user = self.post("/api/v1/users", body).await.expect(201);
        user["id"].as_i64().expect("an id")
    }

    /// Stores an interaction; its id.
    pub(crate) async fn interact(&self, user: i64, kind: &str, movie: i64) -> i64 {
        let body = json!({"movie_id": movie, "interaction_type": kind});
        let path = format!("/api/v1/users/{user}/interactions");
        self.post(&path, body).await.expect(201)["id"]
            .as_i64()
            .expect("an id")
    }

    /// How many rows `table` has.
    pub(crate) async fn count(&self, table: &'static str) -> i64 {
        let statement = match table {
            "user_account" => "select count(*) from user_account",
            "preference" => "select count(*) from preference",
            "interaction" => "select count(*) from interaction",
            "refresh_family" => "select count(*) from refresh_family",
            "signing_key" => "select count(*) from signing_key",
            "outbox" => "select count(*) from outbox",
            "user_movie" => "select count(*) from user_movie",
            other => panic!("{other} is not counted"),
        };
        sqlx::query_scalar(statement)
            .fetch_one(&self.pool)
            .await
            .expect("a count")
    }

    /// The films of the read model that are there: id, version, title.
    pub(crate) async fn films(&self) -> Vec<(i64, i64, String)> {
        sqlx::query_as("select id, version, title from movie where not removed order by id")
            .fetch_all(&self.pool)
            .await
            .expect("films")
    }

    /// Waits until the read model has as many films as this.
    pub(crate) async fn knows_films(&self, count: usize) {
        eventually("the films are known", async || {
            self.films().await.len() == count
        })
        .await;
    }

    /// Ends the background tasks, as a stopping process does.
    pub(crate) async fn stop(self) {
        self.process.shutdown.start();
        assert!(self.process.shutdown.drain(Duration::from_secs(5)).await);
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.process.shutdown.start();
    }
}

/// Makes sure that `problem` is one, of `status`, with this one-line text; its fields with errors.
pub(crate) fn assert_problem(answer: &TestResponse, status: u16, error: &str) -> Vec<String> {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    let body = &answer.body;
    assert_eq!(body["error"], error, "{}", answer.text);
    assert_eq!(body["status"], status);
    for member in ["type", "title", "detail", "instance", "request_id"] {
        let text = body[member].as_str().unwrap_or_default();
        assert!(!text.is_empty(), "{member} in {}", answer.text);
    }
    body["errors"]
        .as_array()
        .map(|errors| {
            errors
                .iter()
                .filter_map(|error| error["field"].as_str().map(str::to_owned))
                .collect()
        })
        .unwrap_or_default()
}

/// What movie-service answers about a film that its feed has not told of.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Mood {
    /// What it knows.
    Well,
    /// 500.
    Failing,
    /// Nothing, for a long time.
    Silent,
}

/// movie-service, played: its feed, and one film at a time.
pub(crate) struct MovieService {
    stage: Arc<Stage>,
    address: SocketAddr,
}

struct Stage {
    play: Mutex<Play>,
    told: watch::Sender<()>,
}

struct Play {
    mood: Mood,
    /// The records of the feed; a cursor is a position among them.
    records: Vec<Record>,
    /// Cursors below this are too old.
    expired: usize,
    /// Whether a snapshot breaks off before its end.
    broken: bool,
    /// Films that are there, but that the feed does not tell of.
    secret: BTreeSet<i64>,
    /// Films that only TMDB knows.
    remote: BTreeSet<i64>,
    /// Which films were to be found, question by question.
    asked_matches: Vec<Vec<Value>>,
    snapshots: usize,
    /// Cursors that were asked for.
    asked_after: Vec<usize>,
    /// Films that were asked for.
    asked_movies: Vec<i64>,
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
        let stage = Arc::new(Stage {
            play: Mutex::new(Play {
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
            }),
            told: watch::Sender::new(()),
        });
        let router = Router::new()
            .route("/internal/v1/changes", get(changes))
            .route("/internal/v1/snapshot", get(snapshot))
            .route("/api/v1/movies/{id}", get(movie))
            .route("/internal/v1/movies/select", post(select))
            .route("/internal/v1/movies/match", post(match_movies))
            .with_state(Arc::clone(&stage));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { stage, address }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn play<T>(&self, change: impl FnOnce(&mut Play) -> T) -> T {
        let result = change(&mut self.stage.play.lock().expect("not poisoned"));
        self.stage.told.send_replace(());
        result
    }

    /// Tells of a film.
    pub(crate) fn sync(&self, id: i64, version: i64, title: &str) {
        let payload = json!({"id": id, "version": version, "title": title, "runtime": 136});
        self.tell("movie.synced", id, payload);
    }

    /// Tells that a film went away.
    pub(crate) fn remove(&self, id: i64, version: i64) {
        self.tell("movie.removed", id, json!({"id": id, "version": version}));
    }

    /// Tells of anything.
    pub(crate) fn tell(&self, name: &'static str, key: i64, payload: Value) {
        self.play(|play| play.records.push(Record { name, key, payload }));
    }

    /// Has a film without telling of it.
    pub(crate) fn hide(&self, id: i64) {
        self.play(|play| play.secret.insert(id));
    }

    /// Has to ask TMDB for a film.
    pub(crate) fn leave_to_tmdb(&self, id: i64) {
        self.play(|play| play.remote.insert(id));
    }

    pub(crate) fn asked_matches(&self) -> Vec<Vec<Value>> {
        self.play(|play| play.asked_matches.clone())
    }

    pub(crate) fn mood(&self, mood: Mood) {
        self.play(|play| play.mood = mood);
    }

    /// Forgets its records: every cursor given out so far is too old. What they told is in its
    /// snapshot still.
    pub(crate) fn expire(&self) {
        self.tell("something.else", -1, json!({}));
        self.play(|play| play.expired = play.records.len());
    }

    /// From now on snapshots break off, or no longer do.
    pub(crate) fn break_snapshots(&self, broken: bool) {
        self.play(|play| play.broken = broken);
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.play(|play| play.snapshots)
    }

    pub(crate) fn asked_after(&self) -> Vec<usize> {
        self.play(|play| play.asked_after.clone())
    }

    pub(crate) fn asked_movies(&self) -> Vec<i64> {
        self.play(|play| play.asked_movies.clone())
    }
}

#[derive(serde::Deserialize)]
struct After {
    after: usize,
    limit: usize,
    wait: u64,
}

async fn changes(State(stage): State<Arc<Stage>>, Query(query): Query<After>) -> Response {
    let mut told = stage.told.subscribe();
    let until = tokio::time::Instant::now() + Duration::from_secs(query.wait);
    stage
        .play
        .lock()
        .expect("not poisoned")
        .asked_after
        .push(query.after);
    loop {
        {
            let play = stage.play.lock().expect("not poisoned");
            if query.after < play.expired {
                return StatusCode::GONE.into_response();
            }
            let records: Vec<Value> = play
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

/// The newest record of each film that did not go away.
async fn snapshot(State(stage): State<Arc<Stage>>) -> String {
    let mut play = stage.play.lock().expect("not poisoned");
    play.snapshots += 1;
    let mut newest: HashMap<i64, &Record> = HashMap::new();
    for record in &play.records {
        newest.insert(record.key, record);
    }
    let lines: Vec<String> = newest
        .values()
        .filter(|record| record.name == "movie.synced")
        .map(|record| record.json().to_string())
        .collect();
    let cursor = play.records.len();
    let end = if play.broken {
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

async fn movie(State(stage): State<Arc<Stage>>, Path(id): Path<i64>) -> Response {
    let (mood, known) = {
        let mut play = stage.play.lock().expect("not poisoned");
        play.asked_movies.push(id);
        let told = play.records.iter().rev().find(|record| record.key == id);
        let there = told.is_some_and(|record| record.name == "movie.synced");
        (play.mood, there || play.secret.contains(&id))
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
}

/// Films that are there, of the genre Odd where their id is odd; no year is one.
async fn select(State(stage): State<Arc<Stage>>, Json(selection): Json<Selection>) -> Response {
    let play = stage.play.lock().expect("not poisoned");
    if play.mood != Mood::Well {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    if selection.filter.contains_key("year") {
        let errors = json!([{"field": "year", "message": "must be a year"}]);
        return (StatusCode::BAD_REQUEST, Json(json!({"errors": errors}))).into_response();
    }
    let odd = selection.filter.get("genres").map(|genre| genre == "Odd");
    let told = |id: &i64| play.records.iter().rev().find(|record| record.key == *id);
    let films: Vec<Value> = selection
        .ids
        .iter()
        .filter(|id| odd.is_none_or(|odd| odd == (*id % 2 == 1)))
        .filter_map(told)
        .filter(|record| record.name == "movie.synced")
        .take(selection.limit)
        .map(|record| record.payload.clone())
        .collect();
    Json(json!({"data": films})).into_response()
}

#[derive(serde::Deserialize)]
struct Wanted {
    movies: Vec<Value>,
    fetch: usize,
}

/// Films by their ids, then by their titles, where these are written as they were told; two that were
/// told with one title are ambiguous.
async fn match_movies(State(stage): State<Arc<Stage>>, Json(wanted): Json<Wanted>) -> Response {
    let mut play = stage.play.lock().expect("not poisoned");
    play.asked_matches.push(wanted.movies.clone());
    if play.mood != Mood::Well {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let mut fetched = 0;
    let mut matches = Vec::new();
    for film in &wanted.movies {
        let told = |field: &str, value: &Value| -> BTreeSet<i64> {
            let has = |record: &&Record| !value.is_null() && record.payload[field] == *value;
            play.records
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
            told("title", &film["title"])
        } else {
            ids
        };
        let id = film["tmdb_id"].as_i64().unwrap_or_default();
        matches.push(if let (Some(id), 1) = (ids.first(), ids.len()) {
            json!({"id": id})
        } else if ids.len() > 1 {
            json!({"unmatched": "ambiguous"})
        } else if play.secret.contains(&id) {
            json!({"id": id})
        } else if !play.remote.contains(&id) {
            json!({"unmatched": "unknown"})
        } else if fetched < wanted.fetch {
            fetched += 1;
            play.secret.insert(id);
            json!({"id": id})
        } else {
            json!({"unmatched": "deferred"})
        });
    }
    Json(json!({"matches": matches, "fetched": fetched})).into_response()
}
