//! API keys: made and shown once, listed, taken away; and, for the gateway, whose they are.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::IntoResponse,
};
use chassis::{
    extract::{Json, Path},
    problem::{FieldError, ProblemDocument},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use crate::{
    models::{ApiKey, NewApiKey, Role, Scope, SecretHash, UserId},
    state::AppState,
};

/// A key as it is asked for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "nightly export", "scopes": ["read"]}))]
pub(super) struct CreateApiKeyRequest {
    /// What you want to know it by: 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// What it may be used for: `read` (GET), `write` (all other methods), `admin` (what only
    /// administrators may, who alone can have it).
    #[schema(value_type = Vec<Scope>, min_items = 1)]
    scopes: Vec<String>,
    /// When it ends to be valid; not given: never.
    #[schema(example = "2030-01-01T00:00:00Z")]
    expires_at: Option<DateTime<Utc>>,
}

/// A key, as far as it is known afterwards.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": 1,
    "name": "nightly export",
    "prefix": "mq_Xq3p0a",
    "scopes": ["read"],
    "created_at": "2026-02-13T08:15:42.123456Z",
    "expires_at": null
}))]
pub(super) struct ApiKeyResponse {
    id: i64,
    /// What it is known by.
    name: String,
    /// How it begins.
    prefix: String,
    /// What it may be used for.
    scopes: Vec<Scope>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it ends to be valid; null: never.
    expires_at: Option<DateTime<Utc>>,
}

/// A key that was just made.
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
    api_key: ApiKeyResponse,
    /// The key itself, which is shown this once. It goes into `Authorization: Bearer …`.
    key: String,
}

/// The keys of a user.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"api_keys": []}))]
pub(super) struct ApiKeysResponse {
    /// The newest first; 50 at most.
    api_keys: Vec<ApiKeyResponse>,
}

impl From<ApiKey> for ApiKeyResponse {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            scopes: key.scopes,
            created_at: key.created_at,
            expires_at: key.expires_at,
        }
    }
}

/// Make an API key
///
/// A key for a program that acts for the user. It is shown once; only a hash of it is kept. Needs an
/// access token: an API key cannot make others.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/api-keys",
    tag = "api keys",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = CreateApiKeyRequest,
    responses(
        (status = 201, description = "the key, to be seen this once", body = NewApiKeyResponse),
        (status = 400, description = "a field is missing, wrong or unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "only administrators can have the scope `admin`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the user has 50 keys", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create_api_key(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Json(request): Json<CreateApiKeyRequest>,
) -> Result<impl IntoResponse, ApiError> {
    let key = NewApiKey::parse(
        &request.name,
        &request.scopes,
        request.expires_at,
        Utc::now(),
    )
    .map_err(ApiError::Invalid)?;
    let (api_key, key) = state.api_keys.create(user_id, &key).await?;
    let api_key = api_key.into();
    let answer = JsonBody(NewApiKeyResponse { api_key, key });
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], answer))
}

/// A user's API keys
///
/// All keys of the user, the newest first, without the keys themselves.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/api-keys",
    tag = "api keys",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the keys", body = ApiKeysResponse),
        (status = 400, description = "the id cannot be one: `invalid user ID`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_api_keys(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
) -> Result<JsonBody<ApiKeysResponse>, ApiError> {
    let keys = state.api_keys.list(user_id).await?;
    let keys = keys.ok_or(ApiError::UserNotFound)?;
    let api_keys = keys.into_iter().map(ApiKeyResponse::from).collect();
    Ok(JsonBody(ApiKeysResponse { api_keys }))
}

/// Take an API key away
///
/// The key is refused half a minute later at the latest.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/api-keys/{key_id}",
    tag = "api keys",
    params(
        ("id" = UserId, Path, description = "The user's id.", example = 1),
        ("key_id" = i64, Path, description = "The key's id.", example = 1),
    ),
    responses(
        (status = 204, description = "the key is gone"),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "the user has no such key", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn delete_api_key(
    State(state): State<AppState>,
    Path((user_id, key_id)): Path<(UserId, i64)>,
) -> Result<StatusCode, ApiError> {
    match state.api_keys.revoke(user_id, key_id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::ApiKeyNotFound),
    }
}

/// Whom a key stands for, as the gateway is told.
#[derive(Serialize)]
pub(super) struct ApiKeyOwnerResponse {
    user_id: UserId,
    role: Role,
    scopes: Vec<Scope>,
    /// Seconds of the Unix epoch.
    expires_at: Option<i64>,
}

/// Whose the key with this SHA-256 is; for the gateway. The key itself never leaves it.
pub(super) async fn resolve_api_key(
    State(state): State<AppState>,
    Path(hash): Path<String>,
) -> Result<JsonBody<ApiKeyOwnerResponse>, ApiError> {
    let hash = SecretHash::from_hex(&hash).ok_or_else(|| {
        let message = "must be 64 hexadecimal digits";
        ApiError::Invalid(vec![FieldError::new("hash", message)])
    })?;
    let owner = state.api_keys.resolve(&hash).await?;
    let owner = owner.ok_or(ApiError::ApiKeyNotFound)?;
    Ok(JsonBody(ApiKeyOwnerResponse {
        user_id: owner.user_id,
        role: owner.role,
        scopes: owner.scopes,
        expires_at: owner.expires_at.map(|instant| instant.timestamp()),
    }))
}
