//! A fake of a service that owns data: its feed, in memory, and its response about a user.

use std::{
    collections::HashMap,
    net::SocketAddr,
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
use tokio::net::TcpListener;

/// The owner; cheap to clone.
#[derive(Clone)]
pub(crate) struct Owner {
    address: SocketAddr,
    state: Arc<Mutex<State_>>,
}

#[derive(Default)]
struct State_ {
    epoch: u32,
    /// The number of expired records.
    expired: usize,
    changes: Vec<Value>,
    snapshots: usize,
    requests: usize,
    users: HashMap<i64, Value>,
    /// Members by group.
    groups: HashMap<i64, Vec<i64>>,
    /// The entries of the audit log.
    audit: Vec<Value>,
    /// True if no entry can be written.
    is_audit_down: bool,
}

impl State_ {
    fn cursor(&self, seen: usize) -> String {
        format!("{:032x}.{}.0", self.epoch, seen)
    }

    fn seen(&self, cursor: &str) -> Option<usize> {
        let (epoch, rest) = cursor.split_once('.')?;
        let seen: usize = rest.split('.').next()?.parse().ok()?;
        let same = epoch == format!("{:032x}", self.epoch);
        (same && seen >= self.expired).then_some(seen)
    }
}

impl Owner {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State_ {
            epoch: 1,
            ..State_::default()
        }));
        let app = Router::new()
            .route("/internal/v1/changes", get(changes))
            .route("/internal/v1/snapshot", get(snapshot))
            .route("/internal/v1/users/{id}", get(user))
            .route(
                "/internal/v1/users/{id}/groups/{group_id}/members",
                get(group_members),
            )
            .route("/internal/v1/users/{id}/shared-group", get(shared_group))
            .route("/internal/v1/audit", post(audit))
            .with_state(Arc::clone(&state));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn tell(&self, name: &str, payload: Value) {
        let mut state = self.state.lock().unwrap();
        state.changes.push(json!({
            "name": name, "key": "k", "occurred_at": "2026-01-01T00:00:00Z", "payload": payload,
        }));
    }

    /// Expires all records, so that only a snapshot has them.
    pub(crate) fn expire(&self) {
        let mut state = self.state.lock().unwrap();
        state.epoch += 1;
    }

    /// Removes all records.
    pub(crate) fn forget(&self) {
        self.state.lock().unwrap().changes.clear();
    }

    pub(crate) fn snapshots(&self) -> usize {
        self.state.lock().unwrap().snapshots
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.lock().unwrap().requests
    }

    /// A user whose change is not in the feed.
    pub(crate) fn know(&self, id: i64, payload: Value) {
        self.state.lock().unwrap().users.insert(id, payload);
    }

    /// The entries of the audit log.
    pub(crate) fn audit(&self) -> Vec<Value> {
        self.state.lock().unwrap().audit.clone()
    }

    /// Makes entries of the audit log fail.
    pub(crate) fn stop_audit(&self) {
        self.state.lock().unwrap().is_audit_down = true;
    }

    /// Sets the members of a group.
    pub(crate) fn group(&self, id: i64, members: &[i64]) {
        let mut state = self.state.lock().unwrap();
        state.groups.insert(id, members.to_vec());
    }

    pub(crate) fn film(&self, id: i64, version: i64, more: Value) {
        let mut film = json!({
            "id": id, "version": version, "title": format!("Film {id}"), "original_language": "en",
            "release_date": null, "popularity": 0.0, "vote_average": 5.0, "vote_count": 5000, "poster_path": null,
            "genres": [],
        });
        for (name, value) in more.as_object().unwrap() {
            film[name] = value.clone();
        }
        self.tell("movie.synced", film);
    }

    pub(crate) fn user(&self, id: i64, version: i64, more: Value) {
        self.tell("user.profile.updated", profile(id, version, more));
    }

    /// Records an interaction of this kind, and nothing else, with a movie.
    pub(crate) fn interaction(&self, id: i64, user: i64, movie: i64, kind: &str) {
        let at = format!("2026-01-01T00:00:{:02}Z", id % 60);
        let mut state = json!({
            "reaction": null, "reacted_at": null, "bookmarked": kind == "watchlist",
            "bookmarked_at": (kind == "watchlist").then_some(&at), "rating": null, "rated_at": null,
            "watched": kind == "watched" || kind == "progress", "watched_seconds": 0,
            "watched_at": null, "completed": kind == "watched", "completed_at": null,
        });
        match kind {
            "like" | "dislike" | "superlike" => {
                state["reaction"] = json!(kind);
                state["reacted_at"] = json!(at);
            }
            "rating" => state["rating"] = json!(3.5),
            "watched" => state["completed_at"] = json!(at),
            _ => {}
        }
        self.tell(
            "interaction.recorded",
            json!({"id": id, "user_id": user, "movie_id": movie, "interaction_type": kind,
                   "occurred_at": at, "created_at": at, "state": state}),
        );
    }

    /// Records the erasure of a user.
    pub(crate) fn erase(&self, user: i64) {
        self.tell("user.erased", json!({"user_id": user}));
    }
}

pub(crate) fn profile(id: i64, version: i64, more: Value) -> Value {
    let mut profile = json!({
        "user_id": id, "version": version, "preferred_genres": [], "preferred_language": null,
        "min_rating": 0.0, "created_at": "2026-01-01T00:00:00Z",
    });
    for (name, value) in more.as_object().unwrap() {
        profile[name] = value.clone();
    }
    profile
}

type Shared = State<Arc<Mutex<State_>>>;

async fn changes(State(state): Shared, Query(query): Query<HashMap<String, String>>) -> Response {
    let wait: u64 = query["wait"].parse().unwrap();
    let until = tokio::time::Instant::now() + Duration::from_secs(wait);
    loop {
        {
            let state = state.lock().unwrap();
            let Some(seen) = state.seen(&query["after"]) else {
                return StatusCode::GONE.into_response();
            };
            let new = state.changes.get(seen..).unwrap_or_default();
            if !new.is_empty() || tokio::time::Instant::now() >= until {
                let next = state.cursor(seen + new.len());
                return Json(json!({"changes": new, "next": next})).into_response();
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn snapshot(State(state): Shared) -> String {
    let mut state = state.lock().unwrap();
    state.snapshots += 1;
    let mut lines = vec![json!({"cursor": state.cursor(state.changes.len())})];
    lines.extend(state.changes.iter().cloned());
    lines.push(json!({"end": true, "count": state.changes.len()}));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

async fn user(State(state): Shared, Path(id): Path<i64>) -> Response {
    let mut state = state.lock().unwrap();
    state.requests += 1;
    match state.users.get(&id) {
        Some(payload) => Json(payload.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn group_members(
    State(state): State<Arc<Mutex<State_>>>,
    Path((id, group_id)): Path<(i64, i64)>,
) -> Response {
    let mut state = state.lock().unwrap();
    state.requests += 1;
    match state.groups.get(&group_id) {
        Some(members) if members.contains(&id) => {
            Json(json!({"user_ids": members})).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn shared_group(
    State(state): State<Arc<Mutex<State_>>>,
    Path(id): Path<i64>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let mut state = state.lock().unwrap();
    state.requests += 1;
    let ids: Vec<i64> = query["user_ids"]
        .split(',')
        .map(|id| id.parse().unwrap())
        .collect();
    let has_all =
        |members: &Vec<i64>| members.contains(&id) && ids.iter().all(|id| members.contains(id));
    let shared = state.groups.values().any(has_all);
    Json(json!({"shared": shared})).into_response()
}

async fn audit(State(state): State<Arc<Mutex<State_>>>, Json(entry): Json<Value>) -> StatusCode {
    let mut state = state.lock().unwrap();
    if state.is_audit_down {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    state.audit.push(entry);
    StatusCode::NO_CONTENT
}
