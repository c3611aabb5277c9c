//! The watch history: the playback position in a movie, and the movies watched.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::extract::{Json, Path, Query};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::ApiError,
    interactions::progress,
    user_movie::{
        self, ClearProblems, GetProblems, ListProblems, MoviesQuery, PartResponse, SetProblems,
        UserMoviePath,
    },
};
use crate::{
    models::{Action, MovieId, Progress, StatePart, UserId, UserMovie},
    state::AppState,
};

/// The playback position in a movie.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"position_seconds": 1260, "duration_seconds": 8160}))]
pub(super) struct SetWatchRequest {
    /// The playback position, 0 to `duration_seconds`.
    #[schema(required, value_type = i32, minimum = 0)]
    position_seconds: Option<i32>,
    /// The movie's runtime.
    #[schema(required, value_type = i32, minimum = 1, maximum = 604_800)]
    duration_seconds: Option<i32>,
}

/// A user's watch history of a movie.
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
    /// The last playback position; null if unknown.
    position_seconds: Option<i32>,
    /// The movie's runtime; null if unknown.
    duration_seconds: Option<i32>,
    /// The furthest position reached.
    watched_seconds: i32,
    /// True once nine tenths of the movie have been reached.
    completed: bool,
    /// The first time they were reached.
    completed_at: Option<DateTime<Utc>>,
    /// The last time the user watched the movie.
    watched_at: DateTime<Utc>,
}

impl PartResponse for WatchResponse {
    const PART: StatePart = StatePart::Watch;
    const NAME: &'static str = "watch entry";

    fn new(user_id: UserId, movie_id: MovieId, state: &UserMovie) -> Option<Self> {
        let watch = &state.watch;
        Some(Self {
            user_id,
            movie_id,
            position_seconds: watch.progress.map(Progress::position_seconds),
            duration_seconds: watch.progress.map(Progress::duration_seconds),
            watched_seconds: watch.watched_seconds,
            completed: watch.completed.is_some(),
            completed_at: watch.completed.map(|mark| mark.at),
            watched_at: watch.since()?,
        })
    }
}

/// A page of a user's watch history, last watched first.
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
pub(super) struct WatchesResponse {
    user_id: UserId,
    /// The movies.
    watch: Vec<WatchResponse>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// Report progress
///
/// Stores the playback position. From nine tenths of the runtime on the movie counts as watched, and stays so if it is
/// started again. Each minute counts once towards taste, however often it is reported.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/watch/{movie_id}",
    tag = "watch",
    params(UserMoviePath),
    request_body = SetWatchRequest,
    responses((status = 200, description = "the watch history of the movie", body = WatchResponse), SetProblems)
)]
pub(super) async fn set_watch(
    State(state): State<AppState>,
    path: UserMoviePath,
    Json(request): Json<SetWatchRequest>,
) -> Result<JsonBody<WatchResponse>, ApiError> {
    let progress = progress(request.position_seconds, request.duration_seconds)
        .map_err(|error| ApiError::Invalid(vec![error]))?;
    user_movie::set(&state, path, Action::Watch(progress)).await
}

/// Remove from the watch history
///
/// Clears the watch history of the movie, with its minutes. Idempotent.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/watch/{movie_id}",
    tag = "watch",
    params(UserMoviePath),
    responses((status = 204, description = "the movie is not in the watch history"), ClearProblems)
)]
pub(super) async fn remove_watch(
    State(state): State<AppState>,
    path: UserMoviePath,
) -> Result<StatusCode, ApiError> {
    user_movie::clear(&state, path, Action::ForgetWatch).await
}

/// Get progress
///
/// Returns the user's watch history of the movie, with the last playback position.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/watch/{movie_id}",
    tag = "watch",
    params(UserMoviePath),
    responses((status = 200, description = "the watch history of the movie", body = WatchResponse), GetProblems)
)]
pub(super) async fn get_watch(
    State(state): State<AppState>,
    path: UserMoviePath,
) -> Result<JsonBody<WatchResponse>, ApiError> {
    user_movie::get(&state, path).await
}

/// List the watch history
///
/// Lists the movies that the user has watched, also in part, last watched first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/watch",
    tag = "watch",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), MoviesQuery),
    responses(
        (status = 200, description = "the movies", body = WatchesResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; absent on the last")
        )),
        ListProblems
    )
)]
pub(super) async fn list_watch(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<MoviesQuery>,
) -> Result<(HeaderMap, JsonBody<WatchesResponse>), ApiError> {
    user_movie::list(&state, user_id, &query, |watch, next_cursor| {
        WatchesResponse {
            user_id,
            watch,
            next_cursor,
        }
    })
    .await
}
