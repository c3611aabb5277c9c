//! Endpoints of the votes in a group, by which its members choose what to see together. The caller is the user of the token.

use axum::{Json as JsonBody, extract::State, http::StatusCode};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Json, Path},
    openapi::{BodyTooLarge, InvalidId, InvalidRequest},
    problem::ProblemDocument,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{groups::GroupNotFound, proof::user_of};
use crate::{
    models::{GroupId, MovieId, MovieVotes},
    state::AppState,
};

/// A vote.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"yes": true}))]
pub(super) struct VoteRequest {
    /// True if the caller wants to see the movie.
    yes: bool,
}

/// The votes in a group.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"votes": [{"movie_id": 603, "yes": [1, 2], "no": []}]}))]
pub(super) struct VotesResponse {
    /// The movies with votes of the last 24 hours, those with most votes for them first, at most 4,000.
    votes: Vec<MovieVotes>,
}

/// Vote on a movie
///
/// Stores the caller's vote, in place of an earlier one. All members see it. It counts for 24 hours, as do the latest 200 votes
/// of a member, and is no like or dislike. Leaving the group deletes it.
#[utoipa::path(
    put,
    path = "/api/v1/groups/{id}/votes/{movie_id}",
    tag = "groups",
    params(
        ("id" = GroupId, Path, description = "The group's id.", example = 1),
        ("movie_id" = MovieId, Path, description = "The movie's id.", example = 603),
    ),
    request_body = VoteRequest,
    responses(
        (status = 204, description = "the vote is stored"),
        InvalidRequest,
        (status = 404, description = "the caller is not a member of the group, or there is no such movie", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn set_vote(
    State(state): State<AppState>,
    Path((id, movie_id)): Path<(GroupId, MovieId)>,
    caller: Caller,
    Json(request): Json<VoteRequest>,
) -> Result<StatusCode, Problem> {
    let groups = &state.groups;
    groups
        .vote(user_of(&caller)?, id, movie_id, request.yes)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// List votes
///
/// Lists the votes of all members, by movie.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{id}/votes",
    tag = "groups",
    params(("id" = GroupId, Path, description = "The group's id.", example = 1)),
    responses(
        (status = 200, description = "the votes", body = VotesResponse),
        InvalidId, GroupNotFound,
    )
)]
pub(super) async fn list_votes(
    State(state): State<AppState>,
    Path(id): Path<GroupId>,
    caller: Caller,
) -> Result<JsonBody<VotesResponse>, Problem> {
    let votes = state.groups.list_votes(user_of(&caller)?, id).await?;
    Ok(JsonBody(VotesResponse { votes }))
}

/// Delete own votes
///
/// Deletes all votes of the caller in the group. Idempotent.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{id}/votes",
    tag = "groups",
    params(("id" = GroupId, Path, description = "The group's id.", example = 1)),
    responses(
        (status = 204, description = "the caller has no votes in the group"),
        InvalidId, GroupNotFound,
    )
)]
pub(super) async fn delete_votes(
    State(state): State<AppState>,
    Path(id): Path<GroupId>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    state.groups.delete_votes(user_of(&caller)?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
