//! Administration of users: what administrators and moderators see of them, change, and leave in the audit log. Validated here,
//! stored by [`crate::repository::admin`].

use chassis::validate::{FieldError, Validator};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Role, UserId,
    text::{fold, has_invisible, parse_name},
};

/// In characters.
const MAX_REASON_LENGTH: usize = 500;
/// In characters.
const MAX_SEARCH_LENGTH: usize = 100;
const MAX_SUSPENSION: TimeDelta = TimeDelta::days(36_500);

/// A user, as administrators see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = AdminUserResponse, example = json!({
    "id": 2,
    "username": "berta",
    "email": "berta@example.org",
    "role": "user",
    "created_at": "2026-02-13T08:15:42.123456Z",
    "email_verified": true,
    "has_password": true,
    "suspended_until": null,
    "suspension_reason": null
}))]
pub struct AdminUser {
    /// The user's id.
    pub id: UserId,
    /// The username.
    pub username: String,
    /// The e-mail address.
    pub email: String,
    /// The role.
    pub role: Role,
    /// The time of signing up.
    pub created_at: DateTime<Utc>,
    /// False if the address waits for its verification.
    pub email_verified: bool,
    /// False if the user cannot log in by password.
    pub has_password: bool,
    /// The end of the suspension; null if there is none, or it has ended.
    pub suspended_until: Option<DateTime<Utc>>,
    /// The reason of the suspension.
    pub suspension_reason: Option<String>,
}

/// A suspension that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Its end.
    pub until: DateTime<Utc>,
    /// Its reason.
    pub reason: Option<String>,
}

/// A valid search for users. Made by [`UserSearch::parse`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserSearch {
    /// A part of the comparison key of username or address.
    pub text: Option<String>,
    /// The role.
    pub role: Option<Role>,
    /// True for suspended users, false for others.
    pub is_suspended: Option<bool>,
}

impl UserSearch {
    /// Validates the parameters of a request.
    pub fn parse(
        text: Option<&str>,
        role: Option<&str>,
        is_suspended: Option<bool>,
    ) -> Result<Self, Vec<FieldError>> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let mut check = Validator::default();
        check.require(
            text.is_none_or(|text| {
                text.chars().count() <= MAX_SEARCH_LENGTH && !has_invisible(text)
            }),
            "q",
            format!("must have at most {MAX_SEARCH_LENGTH} characters, none of them invisible"),
        );
        let role = parse_role(&mut check, role);
        check.finish(Self {
            text: text.map(fold),
            role,
            is_suspended,
        })
    }
}

/// A valid change of a user by an administrator. Made by [`AdminChange::parse`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminChange {
    /// The new role.
    pub role: Option<Role>,
    /// The new suspension; the inner `None` ends it.
    pub suspension: Option<Option<Suspension>>,
}

impl AdminChange {
    /// Validates the fields of a request. `suspended_until` is `Some(None)` for null.
    pub fn parse(
        role: Option<&str>,
        suspended_until: Option<Option<DateTime<Utc>>>,
        reason: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut check = Validator::default();
        let role = parse_role(&mut check, role);
        let reason = reason.map(str::trim);
        let is_valid = reason.is_some_and(|reason| {
            (1..=MAX_REASON_LENGTH).contains(&reason.chars().count()) && !has_invisible(reason)
        });
        let suspension = match suspended_until {
            Some(Some(until)) => {
                check.require(
                    until > now && until - now <= MAX_SUSPENSION,
                    "suspended_until",
                    "must be in the future, at most 100 years from now",
                );
                check.require(
                    is_valid,
                    "reason",
                    format!("is required for a suspension, 1 to {MAX_REASON_LENGTH} characters, none of them invisible"),
                );
                let reason = reason.map(str::to_owned);
                Some(Some(Suspension { until, reason }))
            }
            other => {
                check.require(reason.is_none(), "reason", "requires suspended_until");
                other.map(|_| None)
            }
        };
        check.finish(Self { role, suspension })
    }
}

fn parse_role(check: &mut Validator, name: Option<&str>) -> Option<Role> {
    let name = name?;
    let role = parse_name(name);
    check.require(role.is_some(), "role", "must be user, moderator or admin");
    role
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = AuditEntryResponse, example = json!({
    "id": 1,
    "at": "2026-02-13T08:15:42.123456Z",
    "actor": "1",
    "action": "user.suspend",
    "target_id": 2,
    "before": {"suspended_until": null},
    "after": {"suspended_until": "2026-03-13T08:15:42Z", "reason": "spam"},
    "request_id": "0199c1f7-5b5e-7c39-a0f9-0d3f7c1f2a3b"
}))]
pub struct AuditEntry {
    /// The entry's id, rising with time.
    pub id: i64,
    /// The time.
    pub at: DateTime<Utc>,
    /// The subject of the administrator's token, or `command line`.
    pub actor: String,
    /// The action, such as `user.role` or `user.suspend`, or a method with the pattern of a path.
    pub action: String,
    /// The user whom it concerned.
    pub target_id: Option<i64>,
    /// The values before it.
    #[schema(value_type = Option<Object>)]
    pub before: Option<serde_json::Value>,
    /// The values after it.
    #[schema(value_type = Option<Object>)]
    pub after: Option<serde_json::Value>,
    /// The id of the request, which logs have as well.
    pub request_id: Option<String>,
}

/// An action for the audit log.
#[derive(Debug, Clone)]
pub struct AuditedAction<'a> {
    /// The subject of the administrator's token.
    pub actor: &'a str,
    /// The id of the request.
    pub request_id: Option<&'a str>,
}

/// The access tokens of a user that are invalid before they expire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRevocation {
    /// The user.
    pub user_id: UserId,
    /// True if the user is suspended: no token is valid.
    pub suspended: bool,
    /// Seconds of the Unix epoch; tokens that were issued before are invalid.
    pub valid_from: i64,
}
