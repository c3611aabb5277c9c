//! Endpoints of API keys: create, list, delete; and the internal one by which the gateway authenticates
//! them.

use axum::{Json as JsonBody, extract::State, http::StatusCode, response::IntoResponse};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Json, Path, stated},
    openapi::{BodyTooLarge, InvalidId, InvalidRequest},
    problem::{FieldError, ProblemDocument},
};
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{admin::record_if_admin, error::UserNotFound, no_store::NO_STORE};
use crate::{
    models::{ApiKey, ApiKeyOwner, NewApiKey, RequestedExpiry, Scope, SecretHash, UserId},
    service::confirmation::Requester,
    state::AppState,
};

/// A request for an API key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly export", "scopes": ["read"]}))]
pub(super) struct CreateApiKeyRequest {
    /// A name for the key, 1 to 100 characters.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = r"^[^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*[^\s\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB][^\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF\uFFF9-\uFFFB]*$"
    )]
    name: String,
    /// The permissions: `read` (GET), `write` (all other methods), `admin` (operations of administrators,
    /// for keys of administrators only).
    #[schema(value_type = Vec<Scope>, min_items = 1)]
    scopes: Vec<String>,
    /// The end of its validity, at most 365 days from now; in 90 days if absent. `null` (none) only if the deployment allows it.
    #[serde(default, deserialize_with = "stated")]
    #[schema(value_type = Option<DateTime<Utc>>, example = "2027-01-01T00:00:00Z")]
    expires_at: Option<Option<DateTime<Utc>>>,
    /// The caller's present password; required unless the caller logged in during the last five minutes or has no password.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
}

/// A new API key.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "name": "nightly export",
    "prefix": "mq_Xq3p0a",
    "scopes": ["read"],
    "created_at": "2026-02-13T08:15:42.123456Z",
    "expires_at": null,
    "key": "mq_Xq3p0aJ…43 characters…"
}))]
pub(super) struct NewApiKeyResponse {
    #[serde(flatten)]
    api_key: ApiKey,
    /// The key in clear text, returned only here. Send it as `Authorization: Bearer …`.
    key: String,
}

/// The API keys of a user.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"api_keys": []}))]
pub(super) struct ApiKeysResponse {
    /// Newest first, at most 50.
    api_keys: Vec<ApiKey>,
}

/// Create an API key
///
/// Creates a key for a program that acts for the user. The clear text is returned once; only a hash is
/// stored. Requires an access token: an API key cannot create others. A stolen one does not suffice: a login of the last five
/// minutes or the password is required.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/api-keys",
    tag = "api keys",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = CreateApiKeyRequest,
    responses(
        (status = 201, description = "the new key with its clear text", body = NewApiKeyResponse),
        InvalidRequest,
        (status = 403, description = "the scope `admin` requires an administrator; or the present password is wrong or absent, and the login is older than five minutes", body = ProblemDocument, content_type = "application/problem+json"),
        UserNotFound,
        (status = 409, description = "the user has 50 keys", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn create_api_key(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    caller: Caller,
    Json(request): Json<CreateApiKeyRequest>,
) -> Result<impl IntoResponse, Problem> {
    let key = NewApiKey::parse(
        &request.name,
        &request.scopes,
        match request.expires_at {
            None => RequestedExpiry::Default,
            Some(None) => RequestedExpiry::Never,
            Some(Some(at)) => RequestedExpiry::At(at),
        },
        state.api_key_limits,
        state.clock.now(),
    )?;
    let requester = Requester::new(&caller, request.current_password.as_ref());
    let (api_key, key) = state.api_keys.create(user_id, &key, &requester).await?;
    let details = json!({"api_key": api_key.id, "scopes": api_key.scopes});
    record_if_admin(&state, "api-key.create", user_id, details, &caller).await?;
    let body = JsonBody(NewApiKeyResponse { api_key, key });
    Ok((StatusCode::CREATED, NO_STORE, body))
}

/// List API keys
///
/// Lists the user's keys, newest first, without their clear text.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/api-keys",
    tag = "api keys",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the keys", body = ApiKeysResponse),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn list_api_keys(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
) -> Result<JsonBody<ApiKeysResponse>, Problem> {
    let api_keys = state.api_keys.list(user_id).await?;
    Ok(JsonBody(ApiKeysResponse { api_keys }))
}

/// Delete an API key
///
/// Deletes a key; the gateway rejects it within 30 seconds.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/api-keys/{key_id}",
    tag = "api keys",
    params(
        ("id" = UserId, Path, description = "The user's id.", example = 1),
        ("key_id" = i64, Path, description = "The key's id.", example = 1),
    ),
    responses(
        (status = 204, description = "the key is deleted"),
        InvalidId,
        (status = 404, description = "the user has no such key", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_api_key(
    State(state): State<AppState>,
    Path((user_id, key_id)): Path<(UserId, i64)>,
    caller: Caller,
) -> Result<StatusCode, Problem> {
    state.api_keys.delete(user_id, key_id).await?;
    let details = json!({"api_key": key_id});
    record_if_admin(&state, "api-key.delete", user_id, details, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Resolves the SHA-256 of a key to its owner; for the gateway, which never sends the key itself.
pub(super) async fn resolve_api_key(
    State(state): State<AppState>,
    Path(hash): Path<String>,
) -> Result<JsonBody<ApiKeyOwner>, Problem> {
    let hash = SecretHash::from_hex(&hash)
        .ok_or_else(|| FieldError::new("hash", "must be 64 hexadecimal digits"))?;
    Ok(JsonBody(state.api_keys.get_owner(&hash).await?))
}
