//! Reactions: like, dislike or superlike, at most one per user and movie.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::{
    extract::{Json, Path, Query},
    problem::FieldError,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::ApiError,
    user_movie::{
        self, ClearProblems, GetProblems, ListProblems, MoviesQuery, PartResponse, SetProblems,
        UserMoviePath,
    },
};
use crate::{
    models::{Action, MovieId, Reaction, StatePart, UserId, UserMovie},
    state::AppState,
};

/// A reaction to a movie.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reaction": "superlike"}))]
pub(super) struct SetReactionRequest {
    // Optional, so that null is reported with the field's name.
    #[schema(required, value_type = Reaction)]
    reaction: Option<Reaction>,
}

/// A user's reaction to a movie.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "movie_id": 603,
    "reaction": "superlike",
    "reacted_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct ReactionResponse {
    user_id: UserId,
    movie_id: MovieId,
    reaction: Reaction,
    /// The time of the reaction.
    reacted_at: DateTime<Utc>,
}

impl PartResponse for ReactionResponse {
    const PART: StatePart = StatePart::Reaction;
    const NAME: &'static str = "reaction";

    fn new(user_id: UserId, movie_id: MovieId, state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id,
            movie_id,
            reaction: state.reaction.value?,
            reacted_at: state.reaction.since()?,
        })
    }
}

/// A page of a user's reactions, newest first.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "reactions": [{
        "user_id": 1,
        "movie_id": 603,
        "reaction": "superlike",
        "reacted_at": "2026-02-13T08:15:42.123456Z"
    }],
    "next_cursor": null
}))]
pub(super) struct ReactionsResponse {
    user_id: UserId,
    /// The reactions.
    reactions: Vec<ReactionResponse>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// Set a reaction
///
/// Likes, dislikes or superlikes the movie and replaces the previous reaction. Idempotent.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/reactions/{movie_id}",
    tag = "reactions",
    params(UserMoviePath),
    request_body = SetReactionRequest,
    responses((status = 200, description = "the reaction", body = ReactionResponse), SetProblems)
)]
pub(super) async fn set_reaction(
    State(state): State<AppState>,
    path: UserMoviePath,
    Json(request): Json<SetReactionRequest>,
) -> Result<JsonBody<ReactionResponse>, ApiError> {
    let reaction = request.reaction.ok_or_else(|| {
        let message = "must be one of like, dislike, superlike";
        ApiError::Invalid(vec![FieldError::new("reaction", message)])
    })?;
    user_movie::set(&state, path, Action::React(Some(reaction))).await
}

/// Remove a reaction
///
/// Clears the user's reaction to the movie. Idempotent.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/reactions/{movie_id}",
    tag = "reactions",
    params(UserMoviePath),
    responses((status = 204, description = "no reaction is set"), ClearProblems)
)]
pub(super) async fn remove_reaction(
    State(state): State<AppState>,
    path: UserMoviePath,
) -> Result<StatusCode, ApiError> {
    user_movie::clear(&state, path, Action::React(None)).await
}

/// Get a reaction
///
/// Returns the user's reaction to the movie.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/reactions/{movie_id}",
    tag = "reactions",
    params(UserMoviePath),
    responses((status = 200, description = "the reaction", body = ReactionResponse), GetProblems)
)]
pub(super) async fn get_reaction(
    State(state): State<AppState>,
    path: UserMoviePath,
) -> Result<JsonBody<ReactionResponse>, ApiError> {
    user_movie::get(&state, path).await
}

/// List reactions
///
/// Lists the user's reactions, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/reactions",
    tag = "reactions",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), MoviesQuery),
    responses(
        (status = 200, description = "the reactions", body = ReactionsResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; absent on the last")
        )),
        ListProblems
    )
)]
pub(super) async fn list_reactions(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<MoviesQuery>,
) -> Result<(HeaderMap, JsonBody<ReactionsResponse>), ApiError> {
    user_movie::list(&state, user_id, &query, |reactions, next_cursor| {
        ReactionsResponse {
            user_id,
            reactions,
            next_cursor,
        }
    })
    .await
}
