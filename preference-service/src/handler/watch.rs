//! The watch history: the playback position in a movie, and the movies watched.

use axum::{Json as JsonBody, extract::State};
use chassis::{Problem, extract::Json};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    interactions::progress,
    user_movie::{self, PartResponse, SetProblems, UserMoviePath, part_operations},
};
use crate::{
    models::{Action, MovieId, StatePart, UserId, UserMovie, ViewingTime},
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
    /// The first time they were reached; null if that is unknown.
    completed_at: Option<DateTime<Utc>>,
    /// The last time the user watched the movie; 1970-01-01T00:00:00Z if that is unknown.
    watched_at: DateTime<Utc>,
}

impl PartResponse for WatchResponse {
    const PART: StatePart = StatePart::Watch;

    fn new(state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id: state.user_id,
            movie_id: state.movie_id,
            position_seconds: state.position_seconds,
            duration_seconds: state.duration_seconds,
            watched_seconds: state.watched_seconds,
            completed: state.completed_at.is_some(),
            completed_at: state
                .completed_at
                .filter(|at| ViewingTime::at(*at).is_known()),
            watched_at: state.since(Self::PART)?,
        })
    }
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
) -> Result<JsonBody<WatchResponse>, Problem> {
    let progress = progress(request.position_seconds, request.duration_seconds)?;
    user_movie::set(&state, path, Action::Watch(progress)).await
}

part_operations! {
    WatchResponse, "watch",
    get:
    /// Get progress
    ///
    /// Returns the user's watch history of the movie, with the last playback position.
    get_watch "/api/v1/users/{id}/watch/{movie_id}" => "the watch history of the movie";
    remove:
    /// Remove from the watch history
    ///
    /// Clears the watch history of the movie, with its minutes. Idempotent.
    remove_watch "/api/v1/users/{id}/watch/{movie_id}", Action::ForgetWatch => "the movie is not in the watch history";
    list:
    /// List the watch history
    ///
    /// Lists the movies that the user has watched, also in part, last watched first.
    list_watch "/api/v1/users/{id}/watch" => "the movies",
    /// A page of a user's watch history, last watched first.
    WatchesResponse {
        /// The movies.
        watch: WatchEntry {
            "user_id": 1,
            "movie_id": 603,
            "position_seconds": 1260,
            "duration_seconds": 8160,
            "watched_seconds": 1260,
            "completed": false,
            "completed_at": null,
            "watched_at": "2026-02-13T08:15:42.123456Z",
            "title": "The Matrix",
            "poster_url": "https://image.tmdb.org/t/p/w500/f89U3ADr1oiB1s9GkdPOEpXUk5H.jpg",
            "progress": 0.15
        }
    }
}
