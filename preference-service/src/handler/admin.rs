//! Endpoints of administration: users, roles, suspensions, the audit log; and the internal list of revoked tokens.

use axum::{Json as JsonBody, extract::State, http::StatusCode};
use chassis::{
    Problem,
    audit::AuditRecord,
    caller::Caller,
    extract::{Json, Path, Query, stated},
    openapi::{BodyTooLarge, InvalidId, InvalidRequest},
    paging::{DEFAULT_PAGE_SIZE, Page, PageSize, total_pages},
    problem::ProblemDocument,
    trace::TraceContext,
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::error::UserNotFound;
use crate::{
    models::{
        AdminChange, AdminUser, AuditEntry, AuditedAction, Role, TokenRevocation, UserId,
        UserSearch,
    },
    service::confirmation::Requester,
    state::AppState,
};

/// A search for users.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct UserSearchQuery {
    /// A part of the username or e-mail address, ignoring case.
    #[param(example = "anna", max_length = 100)]
    q: Option<String>,
    /// Only users of this role.
    #[param(value_type = Option<Role>, example = "moderator")]
    role: Option<String>,
    /// True for suspended users only, false for others only.
    #[param(example = false)]
    suspended: Option<bool>,
    /// The page, 1 to 100000; 1 if not given.
    #[param(inline, default = 1, example = 1)]
    page: Option<Page>,
    /// The number of users of a page, 1 to 100; 20 if not given.
    #[param(inline, default = 20, example = 20)]
    limit: Option<PageSize>,
}

/// A page of users.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"users": [], "page": 1, "limit": 20, "total": 0, "total_pages": 0}))]
pub(super) struct AdminUsersResponse {
    /// By id.
    users: Vec<AdminUser>,
    /// The page.
    page: i64,
    /// The number of users of a page.
    limit: i64,
    /// The number of all users that the search finds.
    total: i64,
    /// The number of pages.
    total_pages: i64,
}

/// A change of a user; an absent field keeps its value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"suspended_until": "2027-01-01T00:00:00Z", "reason": "spam"}))]
pub(super) struct AdminChangeRequest {
    /// The new role; administrators only, with a login of the last five minutes or `current_password`.
    #[schema(value_type = Option<Role>)]
    role: Option<String>,
    /// The end of a suspension; null ends it now.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = Option<DateTime<Utc>>)]
    suspended_until: Option<Option<DateTime<Utc>>>,
    /// The reason of the suspension, 1 to 500 characters; the user sees it when they log in.
    #[schema(min_length = 1, max_length = 500)]
    reason: Option<String>,
    /// The caller's present password.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
}

/// A part of the audit log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AuditQuery {
    /// Only entries that concern this user.
    #[param(minimum = 1, example = 2)]
    target_id: Option<i64>,
    /// Only entries older than the one with this id.
    #[param(minimum = 1, example = 1000)]
    before: Option<i64>,
    /// The number of entries, 1 to 100; 20 if not given.
    #[param(inline, default = 20, example = 20)]
    limit: Option<PageSize>,
}

/// Entries of the audit log.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"entries": []}))]
pub(super) struct AuditResponse {
    /// Newest first.
    entries: Vec<AuditEntry>,
}

/// List users
///
/// Finds users by a part of the name or address, by role and by suspension. For moderators and administrators.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users",
    tag = "administration",
    params(UserSearchQuery),
    responses(
        (status = 200, description = "a page of users", body = AdminUsersResponse),
        InvalidRequest,
    )
)]
pub(super) async fn list_users(
    State(state): State<AppState>,
    Query(query): Query<UserSearchQuery>,
) -> Result<JsonBody<AdminUsersResponse>, Problem> {
    let search = UserSearch::parse(query.q.as_deref(), query.role.as_deref(), query.suspended)?;
    let page = query.page.map_or(1, Page::get);
    let limit = query.limit.map_or(DEFAULT_PAGE_SIZE, PageSize::get);
    let (users, total) = state.administration.list(&search, page, limit).await?;
    Ok(JsonBody(AdminUsersResponse {
        users,
        page,
        limit,
        total,
        total_pages: total_pages(total, limit),
    }))
}

/// Get a user as administrator
///
/// Returns a user with role and suspension. For moderators and administrators.
#[utoipa::path(
    get,
    path = "/api/v1/admin/users/{id}",
    tag = "administration",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the user", body = AdminUser),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn get_user_as_admin(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<JsonBody<AdminUser>, Problem> {
    Ok(JsonBody(state.administration.get(id).await?))
}

/// Change a user's role or suspension
///
/// A suspension ends all logins and API keys of the user, and within 5 seconds their access tokens; logging in is refused until
/// it ends. A lower role makes access tokens invalid as quickly; a higher one is in those of the next refresh. Moderators may
/// suspend users; administrators may suspend everyone and change roles, except their own. The audit log has every change.
#[utoipa::path(
    patch,
    path = "/api/v1/admin/users/{id}",
    tag = "administration",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = AdminChangeRequest,
    responses(
        (status = 200, description = "the changed user", body = AdminUser),
        InvalidRequest,
        (status = 403, description = "a moderator may not do this, the account is the caller's own, or the proof for a new role is missing", body = ProblemDocument, content_type = "application/problem+json"),
        UserNotFound, BodyTooLarge,
    )
)]
pub(super) async fn change_user_as_admin(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    caller: Caller,
    Json(request): Json<AdminChangeRequest>,
) -> Result<JsonBody<AdminUser>, Problem> {
    let change = AdminChange::parse(
        request.role.as_deref(),
        request.suspended_until,
        request.reason.as_deref(),
        state.clock.now(),
    )?;
    let requester = Requester::new(&caller, request.current_password.as_ref());
    let trace = TraceContext::current();
    let action = audited(&caller, trace.as_ref());
    let administration = &state.administration;
    let user = administration.change(id, &change, &requester, &action);
    Ok(JsonBody(user.await?))
}

/// The action of `caller` for the audit log.
pub(super) fn audited<'a>(
    caller: &'a Caller,
    trace: Option<&'a TraceContext>,
) -> AuditedAction<'a> {
    AuditedAction {
        actor: caller.subject.as_deref().unwrap_or("a service"),
        request_id: trace.map(|trace| trace.request_id.as_str()),
    }
}

/// Records `name` in the audit log if `caller` is an administrator who acted on the account of another.
pub(super) async fn record_if_admin(
    state: &AppState,
    name: &str,
    target: UserId,
    details: serde_json::Value,
    caller: &Caller,
) -> Result<(), Problem> {
    if !Requester::new(caller, None).is_admin_of(target) {
        return Ok(());
    }
    let trace = TraceContext::current();
    let action = audited(caller, trace.as_ref());
    let target = Some(target);
    let recorded = state.administration.record(name, target, details, &action);
    Ok(recorded.await?)
}

/// Read the audit log
///
/// Returns what administrators and moderators did to accounts, and what administrators did to rules, experiments, models and the
/// catalogue, newest first: who, when, what, before and after. The latter, whose action is a method with a path, are recorded
/// before they are done; `after.target` has the whole path. For administrators.
#[utoipa::path(
    get,
    path = "/api/v1/admin/audit",
    tag = "administration",
    params(AuditQuery),
    responses(
        (status = 200, description = "the entries", body = AuditResponse),
        InvalidRequest,
    )
)]
pub(super) async fn list_audit(
    State(state): State<AppState>,
    Query(query): Query<AuditQuery>,
) -> Result<JsonBody<AuditResponse>, Problem> {
    let limit = query.limit.map_or(DEFAULT_PAGE_SIZE, PageSize::get);
    let administration = &state.administration;
    let entries = administration.list_audit(query.target_id, query.before, limit);
    let entries = entries.await?;
    Ok(JsonBody(AuditResponse { entries }))
}

/// Records what an administrator is about to do at another service.
pub(super) async fn record_audit(
    State(state): State<AppState>,
    Json(record): Json<AuditRecord>,
) -> Result<StatusCode, Problem> {
    let trace = TraceContext::current();
    let action = AuditedAction {
        actor: &record.actor,
        request_id: trace.as_ref().map(|trace| trace.request_id.as_str()),
    };
    let details = json!({"target": record.target});
    let administration = &state.administration;
    let recorded = administration.record(&record.action, None, details, &action);
    recorded.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The list of revoked tokens.
#[derive(Serialize)]
pub(super) struct RevocationsResponse {
    revocations: Vec<TokenRevocation>,
}

/// Lists users whose access tokens are invalid before they expire; for the gateway.
pub(super) async fn list_revocations(
    State(state): State<AppState>,
) -> Result<JsonBody<RevocationsResponse>, Problem> {
    let revocations = state.administration.list_revocations().await?;
    Ok(JsonBody(RevocationsResponse { revocations }))
}
