//! Endpoints of users: sign up, get, update.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Json, Path},
    openapi::{BodyTooLarge, IdempotencyKeyReused, InvalidId, InvalidRequest},
    problem::ProblemDocument,
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{error::UserNotFound, idempotency::IdempotencyHeader};
use crate::{
    models::{NewUser, User, UserId, UserUpdate},
    service::users::PasswordAuthorization,
    state::AppState,
};

/// A sign-up.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "anna", "email": "anna@example.org"}))]
pub(super) struct CreateUserRequest {
    /// The username, 1 to 100 characters without surrounding whitespace; unique, ignoring case.
    #[schema(required, value_type = String, min_length = 1, max_length = 100, pattern = r"^[^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*[^\s\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB][^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*$")]
    username: Option<String>,
    /// The e-mail address, at most 255 characters; unique, ignoring case.
    #[schema(required, value_type = String, min_length = 3, max_length = 255, pattern = r"^[^@\s]+@[^@\s]+$")]
    email: Option<String>,
    /// The password, 8 to 128 characters; without one the user cannot log in. Only a hash is stored.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    password: Option<SecretString>,
    /// The preferred language, as in the preferences: `ko` or `ko-KR`; not set if absent or empty.
    #[schema(pattern = "^([A-Za-z]{2}([-_][A-Za-z0-9]{1,8})*)?$", example = "ko")]
    preferred_language: Option<String>,
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
    /// The username.
    username: String,
    /// The e-mail address.
    email: String,
    /// The time of signing up.
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

/// An update of a user; an absent field keeps its value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeUserRequest, example = json!({"email": "anna@example.net"}))]
pub(super) struct UpdateUserRequest {
    /// The new username, 1 to 100 characters.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*[^\s\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB][^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*$"
    )]
    username: Option<String>,
    /// The new e-mail address, at most 255 characters.
    #[schema(min_length = 3, max_length = 255, pattern = r"^[^@\s]+@[^@\s]+$")]
    email: Option<String>,
    /// The new password, 8 to 128 characters. It ends all logins.
    #[schema(value_type = Option<String>, min_length = 8, max_length = 128)]
    password: Option<SecretString>,
    /// The present password; required with a new one, unless the user has none or an administrator sets
    /// the password of another user.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
}

/// Sign up
///
/// Creates a user. Usernames and e-mail addresses are unique, ignoring case and Unicode form. Sign-ups per
/// client address and hour are limited, except by an administrator.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "users",
    security((), ("bearer" = [])),
    params(IdempotencyHeader),
    request_body = CreateUserRequest,
    responses(
        (status = 201, description = "the new user", body = UserResponse),
        InvalidRequest, IdempotencyKeyReused,
        (status = 409, description = "the username or e-mail address is taken, or the request with this Idempotency-Key is still running", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn create_user(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<CreateUserRequest>,
) -> Result<(StatusCode, JsonBody<UserResponse>), Problem> {
    let user = NewUser::parse(
        request.username.as_deref(),
        request.email.as_deref(),
        request.password,
        request.preferred_language.as_deref(),
    )?;
    let counted = caller.address.filter(|_| !caller.is_admin);
    let user = state.users.create(&user, counted).await?;
    Ok((StatusCode::CREATED, JsonBody(user.into())))
}

/// Get a user
///
/// Returns the user of this id.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the user", body = UserResponse),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn get_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<JsonBody<UserResponse>, Problem> {
    Ok(JsonBody(state.users.get(id).await?.into()))
}

/// Update a user
///
/// Updates username, e-mail address or password. A new password requires the present one and ends all
/// logins; access tokens stay valid until they expire, API keys until they are deleted.
#[utoipa::path(
    patch,
    operation_id = "change_user",
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = UpdateUserRequest,
    responses(
        (status = 200, description = "the updated user", body = UserResponse),
        InvalidRequest,
        (status = 403, description = "the present password is wrong or absent", body = ProblemDocument, content_type = "application/problem+json"),
        UserNotFound,
        (status = 409, description = "the username or e-mail address is taken", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn update_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    caller: Caller,
    Json(request): Json<UpdateUserRequest>,
) -> Result<JsonBody<UserResponse>, Problem> {
    let update = UserUpdate::parse(
        request.username.as_deref(),
        request.email.as_deref(),
        request.password,
    )?;
    let authorization = if caller.is_admin && UserId::of(&caller) != Some(id) {
        PasswordAuthorization::Administrator
    } else {
        PasswordAuthorization::PresentPassword(request.current_password.as_ref())
    };
    let user = state.users.update(id, &update, authorization).await?;
    Ok(JsonBody(user.into()))
}

/// Returns the user's profile as in the change feed; for a service that meets a user before it has read
/// the change.
pub(super) async fn get_profile_change(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<impl IntoResponse, Problem> {
    let payload = state.users.get_profile_change(id).await?;
    Ok(([(CONTENT_TYPE, "application/json")], payload))
}
