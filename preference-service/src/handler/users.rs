//! Users: signing up, and who they are.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use chassis::{
    extract::{Json, Path},
    problem::ProblemDocument,
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{caller::Caller, error::ApiError};
use crate::{
    models::{NewUser, Role, User, UserChange, UserId},
    service::users::PasswordRight,
    state::AppState,
};

/// Somebody who signs up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "anna", "email": "anna@example.org"}))]
pub(super) struct CreateUserRequest {
    /// What they want to be called: 1 to 100 characters. Blanks around it do not count, and nobody
    /// else may have it, in upper or lower case.
    #[schema(required, value_type = String, min_length = 1, max_length = 100)]
    username: Option<String>,
    /// Their e-mail address: at most 255 characters. Nobody else may have it, in upper or lower case.
    #[schema(required, value_type = String, min_length = 3, max_length = 255)]
    email: Option<String>,
    /// A password, where they want one: 8 to 128 characters. Only a hash of it is kept.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    password: Option<SecretString>,
}

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "username": "anna",
    "email": "anna@example.org",
    "created_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct UserResponse {
    id: UserId,
    /// What they call themselves.
    username: String,
    /// Their e-mail address.
    email: String,
    /// When they signed up.
    created_at: DateTime<Utc>,
}

impl From<User> for UserResponse {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            created_at: user.created_at,
        }
    }
}

/// A user, and what they may do.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "username": "anna",
    "email": "anna@example.org",
    "role": "user",
    "created_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct AccountResponse {
    id: UserId,
    /// What they call themselves.
    username: String,
    /// Their e-mail address.
    email: String,
    /// What they may do.
    role: Role,
    /// When they signed up.
    created_at: DateTime<Utc>,
}

impl From<User> for AccountResponse {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            username: user.username,
            email: user.email,
            role: user.role,
            created_at: user.created_at,
        }
    }
}

/// What a user wants to have otherwise. What is not given stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "anna@example.net"}))]
pub(super) struct ChangeUserRequest {
    /// What they want to be called: 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    username: Option<String>,
    /// Their e-mail address: at most 255 characters.
    #[schema(min_length = 3, max_length = 255)]
    email: Option<String>,
    /// A new password: 8 to 128 characters. It ends all logins.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    password: Option<SecretString>,
    /// The present password, which a new one takes, unless there is none yet, or an administrator sets
    /// that of somebody else.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
}

/// Sign up
///
/// Stores a user. Names and addresses belong to one user each, however they are written. That one is
/// taken is told here, as clients rely on it; logging in tells nothing of the kind. How many may sign up
/// from one client address in an hour is limited, except by an administrator.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "users",
    security(()),
    request_body = CreateUserRequest,
    responses(
        (status = 201, description = "the user, stored", body = UserResponse),
        (status = 400, description = "a field is missing, wrong or unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the name or the address is taken", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_user(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<CreateUserRequest>,
) -> Result<(StatusCode, JsonBody<UserResponse>), ApiError> {
    let user = NewUser::parse(
        request.username.as_deref(),
        request.email.as_deref(),
        request.password,
    )?;
    let counted = caller.address.filter(|_| !caller.is_admin);
    let user = state.users.create(&user, counted).await?;
    Ok((StatusCode::CREATED, JsonBody(user.into())))
}

/// A user
///
/// Who has this id.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the user", body = UserResponse),
        (status = 400, description = "the id cannot be one: `invalid user ID`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<JsonBody<UserResponse>, ApiError> {
    let user = state.users.find(id).await?.ok_or(ApiError::UserNotFound)?;
    Ok(JsonBody(user.into()))
}

/// Change a user
///
/// Changes name, address or password. A new password takes the present one and ends all logins; access
/// tokens are valid until they expire, API keys until they are taken away.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = ChangeUserRequest,
    responses(
        (status = 200, description = "the user as they are now", body = UserResponse),
        (status = 400, description = "a field is wrong or unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "the present password is another, or was not given", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the name or the address is taken", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn change_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    caller: Caller,
    Json(request): Json<ChangeUserRequest>,
) -> Result<JsonBody<UserResponse>, ApiError> {
    let change = UserChange::parse(
        request.username.as_deref(),
        request.email.as_deref(),
        request.password,
    )
    .map_err(ApiError::Invalid)?;
    let right = if caller.is_admin && caller.id != Some(id) {
        PasswordRight::Administrator
    } else {
        PasswordRight::Present(request.current_password.as_ref())
    };
    let user = state.users.change(id, &change, right).await?;
    Ok(JsonBody(user.into()))
}

/// The user's profile, exactly as the change feed tells it; for a service that meets a user before
/// the feed has told of them.
pub(super) async fn get_profile_change(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<impl IntoResponse, ApiError> {
    let payload = state
        .users
        .find_profile_change(id)
        .await?
        .ok_or(ApiError::UserNotFound)?;
    Ok(([(CONTENT_TYPE, "application/json")], payload))
}
