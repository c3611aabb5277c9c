//! Reactions: what a user thinks of a film, one at a time.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::{
    extract::{Json, Path, Query},
    problem::{FieldError, ProblemDocument},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::ApiError,
    films::{FilmsQuery, page},
    user_film::UserFilm,
};
use crate::{
    models::{Action, MovieId, Reaction, UserId, UserMovie},
    repository::user_movies::Listed,
    service::writer::Command,
    state::AppState,
};

/// What a user thinks of a film.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"reaction": "superlike"}))]
pub(super) struct SetReactionRequest {
    // Optional, so that null is refused by name.
    #[schema(required, value_type = Reaction)]
    reaction: Option<Reaction>,
}

/// What a user thinks of a film, and since when.
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
    /// Since when they think so.
    reacted_at: DateTime<Utc>,
}

impl ReactionResponse {
    /// None where the user thinks nothing of it.
    pub(super) fn of(user_id: UserId, movie_id: MovieId, state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id,
            movie_id,
            reaction: state.reaction.value?,
            reacted_at: state.reaction.since()?,
        })
    }
}

/// What a user thinks of films, newest first.
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
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// React to a film
///
/// Likes, dislikes or superlikes it, in place of what the user thought of it before. To say the same
/// again changes nothing.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/reactions/{movie_id}",
    tag = "reactions",
    params(UserFilm),
    request_body = SetReactionRequest,
    responses(
        (status = 200, description = "the reaction, as it stands", body = ReactionResponse),
        (status = 400, description = "an id or the reaction is wrong, or a field is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_reaction(
    State(state): State<AppState>,
    film: UserFilm,
    Json(request): Json<SetReactionRequest>,
) -> Result<JsonBody<ReactionResponse>, ApiError> {
    let reaction = request.reaction.ok_or_else(|| {
        ApiError::Invalid(vec![FieldError::new(
            "reaction",
            "must be one of like, dislike, superlike",
        )])
    })?;
    let action = Action::React(Some(reaction));
    let command = Command::now(film.id, film.movie_id, action);
    let written = state.interactions.record(command).await?;
    ReactionResponse::of(film.id, film.movie_id, &written.state)
        .map(JsonBody)
        .ok_or(ApiError::NothingThere("reaction"))
}

/// Take a reaction back
///
/// Afterwards the user thinks nothing of the film. To do it again changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/reactions/{movie_id}",
    tag = "reactions",
    params(UserFilm),
    responses(
        (status = 204, description = "there is no reaction now"),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove_reaction(
    State(state): State<AppState>,
    film: UserFilm,
) -> Result<StatusCode, ApiError> {
    let command = Command::now(film.id, film.movie_id, Action::React(None));
    state.interactions.record(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A reaction
///
/// What the user thinks of the film.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/reactions/{movie_id}",
    tag = "reactions",
    params(UserFilm),
    responses(
        (status = 200, description = "the reaction", body = ReactionResponse),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`), or they did not react (`reaction not found`)", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_reaction(
    State(state): State<AppState>,
    film: UserFilm,
) -> Result<JsonBody<ReactionResponse>, ApiError> {
    let found = state.interactions.find(film.id, film.movie_id).await?;
    found
        .and_then(|found| ReactionResponse::of(film.id, film.movie_id, &found))
        .map(JsonBody)
        .ok_or(ApiError::NothingThere("reaction"))
}

/// A user's reactions
///
/// What the user thinks of films, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/reactions",
    tag = "reactions",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), FilmsQuery),
    responses(
        (status = 200, description = "the films", body = ReactionsResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; left out on the last")
        )),
        (status = 400, description = "the id or a parameter is wrong, or a parameter is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_reactions(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<FilmsQuery>,
) -> Result<(HeaderMap, JsonBody<ReactionsResponse>), ApiError> {
    let list = page(
        &state,
        user_id,
        Listed::Reactions,
        &query,
        |movie, standing| {
            let film = ReactionResponse::of(user_id, movie, standing)?;
            let at = film.reacted_at;
            Some((film, at))
        },
    )
    .await?;
    let body = ReactionsResponse {
        user_id,
        reactions: list.films,
        next_cursor: list.next_cursor,
    };
    Ok((list.headers, JsonBody(body)))
}
