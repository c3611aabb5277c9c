//! Control paths, by which a test changes demo-tmdb while it runs: faults, counts, and movies. Nothing here is TMDB's, needs
//! a key, or meets a fault. Responses are plain JSON, errors `{"error": "…"}`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::catalogue::{Catalogue, Film, FilmId, FilmPatch};
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
    ok(state.stats().report())
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
        Some(film) => ok(facts(&catalogue, film)),
        None => no_film(&id),
    }
}

async fn patch_film(
    State(state): SharedState,
    Path(id): Path<String>,
    body: Bytes,
) -> JsonResponse {
    let patch = match parse_patch(&body) {
        Ok(patch) => patch,
        Err(message) => return refuse(StatusCode::BAD_REQUEST, &message),
    };
    let Ok(number) = id.parse::<FilmId>() else {
        return no_film(&id);
    };
    let mut catalogue = state.catalogue_mut();
    match catalogue.patch(number, patch).map(|film| film.cloned()) {
        Ok(Some(film)) => ok(facts(&catalogue, &film)),
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

/// Reads a patch and, where it cannot, names the field.
fn parse_patch(body: &[u8]) -> Result<FilmPatch, String> {
    match serde_json::from_slice(body) {
        Ok(value @ Value::Object(_)) => {
            serde_path_to_error::deserialize(value).map_err(|error| error.to_string())
        }
        // Serde would also read a struct from an array; a merge patch is an object.
        Ok(_) => Err("a JSON object is expected".to_owned()),
        Err(error) => Err(format!("not JSON: {error}")),
    }
}

/// A film under the names that a patch uses.
fn facts(catalogue: &Catalogue, film: &Film) -> Value {
    let people = |ids: &[u32]| {
        ids.iter()
            .map(|id| catalogue.people().name(*id).to_owned())
            .collect::<Vec<_>>()
    };
    let keywords: Vec<&str> = film
        .keywords
        .iter()
        .map(|id| catalogue.keywords().name(*id))
        .collect();
    json!({
        "id": film.id,
        "hidden": catalogue.is_hidden(film.id),
        "title": film.title,
        "original_title": film.original_title,
        "korean_title": film.korean_title,
        "original_language": film.language,
        "release_date": film.release_date,
        "runtime": film.runtime,
        "genre_ids": film.genres,
        "popularity": film.popularity,
        "vote_average": film.vote_average,
        "vote_count": film.vote_count,
        "directors": people(&film.directors),
        "cast": people(&film.cast),
        "keywords": keywords,
        "imdb_id": film.imdb_id,
        "overview": film.overview,
        "adult": film.adult,
    })
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
