//! Control paths, by which a test changes demo-tmdb while it runs: faults, counts, and movies. Nothing here is TMDB's, needs
//! a key, or meets a fault. Responses are plain JSON, errors `{"error": "…"}`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::catalogue::{Catalogue, FilmFacts, FilmId};
use crate::faults::parse_faults;
use crate::state::{AppState, SharedState};

type JsonResponse = (StatusCode, Json<Value>);

/// All control paths.
pub(crate) fn router() -> Router<Arc<AppState>> {
    Router::new()
        .route(
            "/__faults",
            get(list_faults).post(add_faults).delete(clear_faults),
        )
        .route("/__faults/{id}", delete(remove_fault))
        .route("/__stats", get(get_stats).delete(reset_stats))
        .route("/__films", delete(restore_films))
        .route("/__films/{id}", get(get_film).post(patch_film))
        .route("/__films/{id}/hide", post(hide_film))
        .route("/__films/{id}/show", post(show_film))
}

async fn list_faults(State(state): SharedState) -> JsonResponse {
    ok(json!({ "faults": state.faults().active() }))
}

async fn add_faults(State(state): SharedState, body: Bytes) -> JsonResponse {
    match parse_faults(&body) {
        Ok(faults) => (
            StatusCode::CREATED,
            Json(json!({ "ids": state.faults().add(faults) })),
        ),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn clear_faults(State(state): SharedState) -> StatusCode {
    state.faults().clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(state): SharedState, Path(id): Path<String>) -> JsonResponse {
    if id.parse().is_ok_and(|id| state.faults().remove(id)) {
        ok(json!({ "removed": id }))
    } else {
        refuse(StatusCode::NOT_FOUND, &format!("no fault {id:?}"))
    }
}

async fn get_stats(State(state): SharedState) -> JsonResponse {
    ok(json!(*state.stats()))
}

async fn reset_stats(State(state): SharedState) -> StatusCode {
    state.stats().reset();
    StatusCode::NO_CONTENT
}

async fn restore_films(State(state): SharedState) -> StatusCode {
    state.catalogue_mut().restore();
    StatusCode::NO_CONTENT
}

async fn get_film(State(state): SharedState, Path(id): Path<String>) -> JsonResponse {
    let catalogue = state.catalogue();
    match id.parse().ok().and_then(|id| catalogue.find_any(id)) {
        Some(film) => show(&catalogue, film.id, catalogue.facts(film)),
        None => no_film(&id),
    }
}

async fn patch_film(
    State(state): SharedState,
    Path(id): Path<String>,
    body: Bytes,
) -> JsonResponse {
    let patch = match serde_json::from_slice(&body) {
        Ok(Value::Object(patch)) => patch,
        Ok(_) => return refuse(StatusCode::BAD_REQUEST, "a JSON object is expected"),
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("not JSON: {error}")),
    };
    let Ok(number) = id.parse() else {
        return no_film(&id);
    };
    let mut catalogue = state.catalogue_mut();
    match catalogue.patch(number, patch) {
        Ok(Some(facts)) => show(&catalogue, number, facts),
        Ok(None) => no_film(&id),
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn hide_film(State(state): SharedState, Path(id): Path<String>) -> JsonResponse {
    set_hidden(&state, &id, true)
}

async fn show_film(State(state): SharedState, Path(id): Path<String>) -> JsonResponse {
    set_hidden(&state, &id, false)
}

fn set_hidden(state: &AppState, id: &str, hidden: bool) -> JsonResponse {
    match id.parse::<FilmId>() {
        Ok(number) if state.catalogue_mut().set_hidden(number, hidden) => {
            ok(json!({ "id": number, "hidden": hidden }))
        }
        _ => no_film(id),
    }
}

fn show(catalogue: &Catalogue, id: FilmId, facts: FilmFacts) -> JsonResponse {
    let mut body = json!(facts);
    body["id"] = json!(id);
    body["hidden"] = json!(catalogue.is_hidden(id));
    ok(body)
}

fn ok(body: Value) -> JsonResponse {
    (StatusCode::OK, Json(body))
}

fn refuse(status: StatusCode, message: &str) -> JsonResponse {
    (status, Json(json!({ "error": message })))
}

fn no_film(id: &str) -> JsonResponse {
    refuse(StatusCode::NOT_FOUND, &format!("no film {id:?}"))
}
