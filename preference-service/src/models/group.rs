//! Groups of users who decide together, and the invitations to them. Validated here, stored by
//! [`crate::repository::groups`].

use chassis::validate::{FieldError, Validator};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{GroupId, MovieId, UserId, text::has_invisible};

/// Groups that a user may be a member of.
pub const MAX_GROUPS: i64 = 20;
/// Members of a group.
pub const MAX_MEMBERS: i64 = 20;
/// Invitations of a group that have not expired.
pub const MAX_INVITATIONS: i64 = 20;
/// Movies that a member may vote on; the latest count.
pub const MAX_VOTES: i64 = 200;
/// The time for which a vote counts, in hours.
pub const VOTE_HOURS: i32 = 24;
/// In characters.
const MAX_NAME_LENGTH: usize = 100;
const DEFAULT_INVITATION_SECONDS: i64 = 7 * 24 * 3600;
const MAX_INVITATION_SECONDS: i64 = 30 * 24 * 3600;
const MIN_INVITATION_SECONDS: i64 = 60;

/// A group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GroupOfUsersResponse, example = json!({
    "id": 1,
    "name": "Friday night",
    "owner_id": 1,
    "created_at": "2026-02-13T08:15:42.123456Z",
    "members": [
        {"user_id": 1, "username": "anna", "joined_at": "2026-02-13T08:15:42.123456Z"},
        {"user_id": 2, "username": "berta", "joined_at": "2026-02-13T09:01:07.654321Z"}
    ]
}))]
pub struct Group {
    /// The group's id.
    pub id: GroupId,
    /// The name.
    pub name: String,
    /// The member who may invite and remove others, and delete the group.
    pub owner_id: UserId,
    /// The time of creation.
    pub created_at: DateTime<Utc>,
    /// The members, at most 20, in the order of joining.
    pub members: Vec<GroupMember>,
}

/// A member of a group, as the other members see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, ToSchema)]
pub struct GroupMember {
    /// The member's id.
    pub user_id: UserId,
    /// The member's username.
    pub username: String,
    /// The time of joining.
    pub joined_at: DateTime<Utc>,
}

/// The votes of a group's members on a movie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"movie_id": 603, "yes": [1, 2], "no": []}))]
pub struct MovieVotes {
    /// The movie.
    pub movie_id: MovieId,
    /// The members who want to see it, at most 20.
    pub yes: Vec<UserId>,
    /// The members who do not, at most 20.
    pub no: Vec<UserId>,
}

/// The valid name of a group. Made by [`parse_group_name`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupName(pub String);

/// Validates the name of a group; surrounding whitespace is dropped.
pub fn parse_group_name(name: &str) -> Result<GroupName, Vec<FieldError>> {
    let name = name.trim();
    let mut check = Validator::default();
    check.require(
        (1..=MAX_NAME_LENGTH).contains(&name.chars().count()) && !has_invisible(name),
        "name",
        format!("must have 1 to {MAX_NAME_LENGTH} characters, none of them invisible"),
    );
    check.finish(GroupName(name.to_owned()))
}

/// A valid request for an invitation. Made by [`NewInvitation::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewInvitation {
    /// The time for which the code is valid, in seconds.
    pub expires_in: i64,
    /// The number of users who may join with the code.
    pub max_uses: i32,
}

impl NewInvitation {
    /// Validates the fields of a request.
    pub fn parse(
        expires_in_seconds: Option<i64>,
        max_uses: Option<i64>,
    ) -> Result<Self, Vec<FieldError>> {
        let expires_in = expires_in_seconds.unwrap_or(DEFAULT_INVITATION_SECONDS);
        let max_uses = max_uses.unwrap_or(1);
        let mut check = Validator::default();
        check.require(
            (MIN_INVITATION_SECONDS..=MAX_INVITATION_SECONDS).contains(&expires_in),
            "expires_in_seconds",
            format!(
                "must be a whole number from {MIN_INVITATION_SECONDS} to {MAX_INVITATION_SECONDS}"
            ),
        );
        check.require(
            (1..MAX_MEMBERS).contains(&max_uses),
            "max_uses",
            format!("must be a whole number from 1 to {}", MAX_MEMBERS - 1),
        );
        check.finish(Self {
            expires_in,
            max_uses: i32::try_from(max_uses).unwrap_or(1),
        })
    }
}

/// A new invitation with its code in clear text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = GroupInvitationResponse, example = json!({
    "group_id": 1,
    "code": "mqg_Xq3p0aJ…43 characters…",
    "expires_at": "2026-02-20T08:15:42.123456Z",
    "max_uses": 1
}))]
pub struct Invitation {
    /// The group.
    pub group_id: GroupId,
    /// The code, returned only here. `POST /api/v1/groups/join` takes it.
    pub code: String,
    /// The end of its validity.
    pub expires_at: DateTime<Utc>,
    /// The number of users who may join with it.
    pub max_uses: i32,
}
