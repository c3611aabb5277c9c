//! Watching: how far a user came in a film, and what they watched.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::{
    extract::{Json, Path, Query},
    problem::ProblemDocument,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::ApiError,
    films::{FilmsQuery, page},
    interactions::progress,
    user_film::UserFilm,
};
use crate::{
    models::{Action, MovieId, Progress, UserId, UserMovie},
    repository::user_movies::Listed,
    service::writer::Command,
    state::AppState,
};

/// How far a user has come in a film.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"position_seconds": 1260, "duration_seconds": 8160}))]
pub(super) struct SetWatchRequest {
    /// Where the user is, from 0 to the end.
    #[schema(required, value_type = i32, minimum = 0)]
    position_seconds: Option<i32>,
    /// How long the film is.
    #[schema(required, value_type = i32, minimum = 1, maximum = 604_800)]
    duration_seconds: Option<i32>,
}

/// What a user watched of a film.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "movie_id": 603,
    "position_seconds": 1260,
    "duration_seconds": 8160,
    "watched_seconds": 1260,
    "completed": false,
    "completed_at": null,
    "watched_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct WatchResponse {
    user_id: UserId,
    movie_id: MovieId,
    /// Where they stopped; null where only the fact is known.
    position_seconds: Option<i32>,
    /// How long the film is; null likewise.
    duration_seconds: Option<i32>,
    /// The furthest point that they reached.
    watched_seconds: i32,
    /// Whether they reached nine tenths of it, once.
    completed: bool,
    /// When they did first.
    completed_at: Option<DateTime<Utc>>,
    /// When they watched it last.
    watched_at: DateTime<Utc>,
}

impl WatchResponse {
    fn of(user_id: UserId, movie_id: MovieId, state: &UserMovie) -> Option<Self> {
        let watch = Some(&state.watch).filter(|watch| watch.is_begun())?;
        Some(Self {
            user_id,
            movie_id,
            position_seconds: watch.progress.map(Progress::position_seconds),
            duration_seconds: watch.progress.map(Progress::duration_seconds),
            watched_seconds: watch.watched_seconds,
            completed: watch.completed.is_some(),
            completed_at: watch.completed.map(|mark| mark.at),
            watched_at: watch.mark?.at,
        })
    }
}

/// What a user watched, last first.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "watch": [{
        "user_id": 1,
        "movie_id": 603,
        "position_seconds": 1260,
        "duration_seconds": 8160,
        "watched_seconds": 1260,
        "completed": false,
        "completed_at": null,
        "watched_at": "2026-02-13T08:15:42.123456Z"
    }],
    "next_cursor": null
}))]
pub(super) struct WatchListResponse {
    user_id: UserId,
    /// The films.
    watch: Vec<WatchResponse>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Report progress
///
/// Remembers where the user is in the film. At nine tenths it is watched, and stays so when it is begun again.
/// Each minute counts once towards taste, however often it is reported.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/watch/{movie_id}",
    tag = "watch",
    params(UserFilm),
    request_body = SetWatchRequest,
    responses(
        (status = 200, description = "what they watched of it, as it stands", body = WatchResponse),
        (status = 400, description = "an id or a number is wrong, or a field is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_watch(
    State(state): State<AppState>,
    film: UserFilm,
    Json(request): Json<SetWatchRequest>,
) -> Result<JsonBody<WatchResponse>, ApiError> {
    let progress = progress(request.position_seconds, request.duration_seconds)
        .map_err(|error| ApiError::Invalid(vec![error]))?;
    let command = Command::now(film.id, film.movie_id, Action::Watch(progress));
    let written = state.interactions.record(command).await?;
    WatchResponse::of(film.id, film.movie_id, &written.state)
        .map(JsonBody)
        .ok_or(ApiError::NothingThere("watch entry"))
}

/// Forget that a film was watched
///
/// Takes it out of what the user watched, with its minutes. To do it again changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/watch/{movie_id}",
    tag = "watch",
    params(UserFilm),
    responses(
        (status = 204, description = "nothing of it is watched now"),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove_watch(
    State(state): State<AppState>,
    film: UserFilm,
) -> Result<StatusCode, ApiError> {
    let command = Command::now(film.id, film.movie_id, Action::ForgetWatch);
    state.interactions.record(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Progress in a film
///
/// What the user watched of the film, and where they stopped.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/watch/{movie_id}",
    tag = "watch",
    params(UserFilm),
    responses(
        (status = 200, description = "what they watched of it", body = WatchResponse),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`), or they did not watch it (`watch entry not found`)", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_watch(
    State(state): State<AppState>,
    film: UserFilm,
) -> Result<JsonBody<WatchResponse>, ApiError> {
    let found = state.interactions.find(film.id, film.movie_id).await?;
    found
        .and_then(|found| WatchResponse::of(film.id, film.movie_id, &found))
        .map(JsonBody)
        .ok_or(ApiError::NothingThere("watch entry"))
}

/// What a user watched
///
/// The films that the user watched, be it in part, last first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/watch",
    tag = "watch",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), FilmsQuery),
    responses(
        (status = 200, description = "the films", body = WatchListResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; left out on the last")
        )),
        (status = 400, description = "the id or a parameter is wrong, or a parameter is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_watch(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<FilmsQuery>,
) -> Result<(HeaderMap, JsonBody<WatchListResponse>), ApiError> {
    let list = page(
        &state,
        user_id,
        Listed::Watched,
        &query,
        |movie, standing| {
            let film = WatchResponse::of(user_id, movie, standing)?;
            let at = film.watched_at;
            Some((film, at))
        },
    )
    .await?;
    let body = WatchListResponse {
        user_id,
        watch: list.films,
        next_cursor: list.next_cursor,
    };
    Ok((list.headers, JsonBody(body)))
}
