//! Reactions: like, dislike or superlike, at most one per user and movie.

use axum::{Json as JsonBody, extract::State};
use chassis::{Problem, extract::Json, problem::FieldError};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::user_movie::{self, PartResponse, SetProblems, UserMoviePath, part_operations};
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

    fn new(state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id: state.user_id,
            movie_id: state.movie_id,
            reaction: state.reaction?,
            reacted_at: state.since(Self::PART)?,
        })
    }
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
) -> Result<JsonBody<ReactionResponse>, Problem> {
    let message = "must be one of like, dislike, superlike";
    let reaction = request.reaction;
    let reaction = reaction.ok_or_else(|| FieldError::new("reaction", message))?;
    user_movie::set(&state, path, Action::React(Some(reaction))).await
}

part_operations! {
    ReactionResponse, "reactions",
    get:
    /// Get a reaction
    ///
    /// Returns the user's reaction to the movie.
    get_reaction "/api/v1/users/{id}/reactions/{movie_id}" => "the reaction";
    remove:
    /// Remove a reaction
    ///
    /// Clears the user's reaction to the movie. Idempotent.
    remove_reaction "/api/v1/users/{id}/reactions/{movie_id}", Action::React(None) => "no reaction is set";
    list:
    /// List reactions
    ///
    /// Lists the user's reactions, newest first.
    list_reactions "/api/v1/users/{id}/reactions" => "the reactions",
    /// A page of a user's reactions, newest first.
    ReactionsResponse {
        /// The reactions.
        reactions: ReactionEntry {
            "user_id": 1,
            "movie_id": 603,
            "reaction": "superlike",
            "reacted_at": "2026-02-13T08:15:42.123456Z",
            "title": "The Matrix",
            "poster_url": "https://image.tmdb.org/t/p/w500/f89U3ADr1oiB1s9GkdPOEpXUk5H.jpg",
            "progress": null
        }
    }
}
