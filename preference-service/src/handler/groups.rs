//! Endpoints of groups: create, list, invite, join, leave; and the internal ones by which recommendation-service checks who
//! shares a group. The caller is the user of the token, also if they are an administrator.

use axum::{Json as JsonBody, extract::State, http::StatusCode, response::IntoResponse};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Json, Path, Query},
    openapi::{BodyTooLarge, InvalidId, InvalidRequest},
    problem::ProblemDocument,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{no_store::NO_STORE, proof::user_of};
use crate::{
    models::{Group, GroupId, Invitation, NewInvitation, UserId, parse_group_name},
    state::AppState,
};

chassis::problem_responses! {
    /// 404: the caller is not a member of the group, or it does not exist.
    pub(super) GroupNotFound = 404, "the caller is not a member of the group, or it does not exist: `group not found`";
    /// 403: the caller does not own the group.
    pub(super) NotGroupOwner = 403, "only the owner of the group may do this";
}

/// A new group.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Friday night"}))]
pub(super) struct CreateGroupRequest {
    /// The name, 1 to 100 characters.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*[^\s\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB][^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*$"
    )]
    name: String,
}

/// The groups of a user.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"groups": []}))]
pub(super) struct GroupsResponse {
    /// Oldest first, at most 20.
    groups: Vec<Group>,
}

/// A request for an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"expires_in_seconds": 86400, "max_uses": 3}))]
pub(super) struct InviteRequest {
    /// The time for which the code is valid, 60 to 2592000; a week if not given.
    #[schema(minimum = 60, maximum = 2_592_000)]
    expires_in_seconds: Option<i64>,
    /// The number of users who may join with the code, 1 to 19; 1 if not given.
    #[schema(minimum = 1, maximum = 19)]
    max_uses: Option<i64>,
}

/// The acceptance of an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "mqg_Xq3p0aJ…43 characters…"}))]
pub(super) struct JoinRequest {
    /// The code of the invitation.
    #[schema(value_type = String)]
    code: SecretString,
}

/// Users whom recommendation-service may name in one check.
const MAX_NAMED_USERS: usize = 100;

/// Create a group
///
/// Creates a group that the caller owns and is the first member of.
#[utoipa::path(
    post,
    path = "/api/v1/groups",
    tag = "groups",
    request_body = CreateGroupRequest,
    responses(
        (status = 201, description = "the new group", body = Group),
        InvalidRequest,
        (status = 404, description = "the token's subject is not a user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the caller is a member of 20 groups", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn create_group(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<CreateGroupRequest>,
) -> Result<(StatusCode, JsonBody<Group>), Problem> {
    let name = parse_group_name(&request.name)?;
    let group = state.groups.create(user_of(&caller)?, &name).await?;
    Ok((StatusCode::CREATED, JsonBody(group)))
}

/// List groups
///
/// Lists the groups that the caller is a member of.
#[utoipa::path(
    get,
    path = "/api/v1/groups",
    tag = "groups",
    responses(
        (status = 200, description = "the groups", body = GroupsResponse),
        (status = 404, description = "the token's subject is not a user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_groups(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<JsonBody<GroupsResponse>, Problem> {
    let groups = state.groups.list(user_of(&caller)?).await?;
    Ok(JsonBody(GroupsResponse { groups }))
}

/// Get a group
///
/// Returns a group that the caller is a member of.
#[utoipa::path(
    get,
    path = "/api/v1/groups/{id}",
    tag = "groups",
    params(("id" = GroupId, Path, description = "The group's id.", example = 1)),
    responses(
        (status = 200, description = "the group", body = Group),
        InvalidId, GroupNotFound,
    )
)]
pub(super) async fn get_group(
    State(state): State<AppState>,
    Path(id): Path<GroupId>,
    caller: Caller,
) -> Result<JsonBody<Group>, Problem> {
    Ok(JsonBody(state.groups.get(user_of(&caller)?, id).await?))
}

/// Delete a group
///
/// Deletes a group that the caller owns, with its memberships and invitations.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{id}",
    tag = "groups",
    params(("id" = GroupId, Path, description = "The group's id.", example = 1)),
    responses(
        (status = 204, description = "the group is deleted"),
        InvalidId, NotGroupOwner, GroupNotFound,
    )
)]
pub(super) async fn delete_group(
    State(state): State<AppState>,
    Path(id): Path<GroupId>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    state.groups.delete(user_of(&caller)?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Invite to a group
///
/// Creates a code with which users join a group that the caller owns. The code is returned once; only a hash is stored. A
/// group has at most 20 invitations that have not expired.
#[utoipa::path(
    post,
    path = "/api/v1/groups/{id}/invitations",
    tag = "groups",
    params(("id" = GroupId, Path, description = "The group's id.", example = 1)),
    request_body = InviteRequest,
    responses(
        (status = 201, description = "the invitation with its code", body = Invitation),
        InvalidRequest, NotGroupOwner, GroupNotFound,
        (status = 409, description = "the group has 20 invitations", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn create_invitation(
    State(state): State<AppState>,
    Path(id): Path<GroupId>,
    caller: Caller,
    Json(request): Json<InviteRequest>,
) -> Result<impl IntoResponse, Problem> {
    let invitation = NewInvitation::parse(request.expires_in_seconds, request.max_uses)?;
    let groups = &state.groups;
    let invitation = groups.invite(user_of(&caller)?, id, invitation).await?;
    let body = JsonBody(invitation);
    Ok((StatusCode::CREATED, NO_STORE, body))
}

/// Withdraw invitations
///
/// Makes all codes of a group that the caller owns invalid.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{id}/invitations",
    tag = "groups",
    params(("id" = GroupId, Path, description = "The group's id.", example = 1)),
    responses(
        (status = 204, description = "no code is valid"),
        InvalidId, NotGroupOwner, GroupNotFound,
    )
)]
pub(super) async fn withdraw_invitations(
    State(state): State<AppState>,
    Path(id): Path<GroupId>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let groups = &state.groups;
    groups.withdraw_invitations(user_of(&caller)?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Join a group
///
/// Makes the caller a member of the group that the code invites to. **Joining is consent**: the other members see the
/// caller's username, and may request lists for the caller and themselves. Such a list shows in tenths how well each movie
/// suits the caller, and leaves out movies that the caller has watched, rated, liked, disliked or excludes by preferences; it
/// does not show for which of these reasons, nor in a group of three or more for whom, but a member who requests several
/// lists may find out whose reason it is. Leaving the group ends this at once. A code that does not exist, has expired or is
/// used up has the same response; invalid codes per user are limited.
#[utoipa::path(
    post,
    path = "/api/v1/groups/join",
    tag = "groups",
    request_body = JoinRequest,
    responses(
        (status = 200, description = "the group, which the caller is a member of now", body = Group),
        InvalidRequest,
        (status = 404, description = "no valid invitation has this code", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the group has 20 members, or the caller is a member of 20 groups", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
        (status = 429, description = "too many invalid codes", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn join_group(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<JoinRequest>,
) -> Result<JsonBody<Group>, Problem> {
    let code = request.code.expose_secret();
    let group = state.groups.join(user_of(&caller)?, code).await?;
    Ok(JsonBody(group))
}

/// Leave a group
///
/// Ends the caller's membership at once. The group of an owner passes to the member who joined first; after the last member
/// it is deleted.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{id}/members/me",
    tag = "groups",
    params(("id" = GroupId, Path, description = "The group's id.", example = 1)),
    responses(
        (status = 204, description = "the caller is no member any more"),
        InvalidId, GroupNotFound,
    )
)]
pub(super) async fn leave_group(
    State(state): State<AppState>,
    Path(id): Path<GroupId>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    state.groups.leave(user_of(&caller)?, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a member
///
/// Ends the membership of another member of a group that the caller owns, and withdraws all invitations, one of which the
/// removed member may have.
#[utoipa::path(
    delete,
    path = "/api/v1/groups/{id}/members/{user_id}",
    tag = "groups",
    params(
        ("id" = GroupId, Path, description = "The group's id.", example = 1),
        ("user_id" = UserId, Path, description = "The member's id.", example = 2),
    ),
    responses(
        (status = 204, description = "the user is no member any more"),
        InvalidId, NotGroupOwner,
        (status = 404, description = "the caller is not a member of the group, or the user is not another member", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove_member(
    State(state): State<AppState>,
    Path((id, user_id)): Path<(GroupId, UserId)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    let groups = &state.groups;
    groups.remove(user_of(&caller)?, id, user_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The ids of members.
#[derive(Serialize)]
pub(super) struct MembersResponse {
    user_ids: Vec<UserId>,
}

/// Lists the members of a group that the user is a member of; for recommendation-service.
pub(super) async fn list_group_members(
    State(state): State<AppState>,
    Path((id, group_id)): Path<(UserId, GroupId)>,
) -> Result<JsonBody<MembersResponse>, Problem> {
    let user_ids = state.groups.list_members(id, group_id).await?;
    Ok(JsonBody(MembersResponse { user_ids }))
}

/// The users that a caller names.
#[derive(Deserialize, IntoParams)]
pub(super) struct SharedQuery {
    /// Ids, separated by commas.
    user_ids: String,
}

/// The result of the check whether users share a group.
#[derive(Serialize)]
pub(super) struct SharedResponse {
    shared: bool,
}

/// Checks if one group has the user and all that the query names; for recommendation-service. Users who do not exist share
/// none.
pub(super) async fn check_shared_group(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    Query(query): Query<SharedQuery>,
) -> Result<JsonBody<SharedResponse>, Problem> {
    let ids: Option<Vec<UserId>> = query
        .user_ids
        .split(',')
        .map(|text| text.parse().ok().and_then(UserId::new))
        .collect();
    let shared = match ids.filter(|ids| ids.len() <= MAX_NAMED_USERS) {
        Some(ids) => state.groups.share_one(id, &ids).await?,
        None => false,
    };
    Ok(JsonBody(SharedResponse { shared }))
}
