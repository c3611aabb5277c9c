//! Logging in and out, and what tokens are verified with.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, HeaderName},
    },
};
use chassis::{extract::Json, problem::ProblemDocument};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{caller::Caller, error::ApiError, users::AccountResponse};
use crate::{
    service::{auth::Login, signing::PublicKey},
    state::AppState,
};

/// Answers that hold secrets are for nobody on the way to keep (RFC 6749, 5.1).
const NO_STORE: [(HeaderName, &str); 1] = [(CACHE_CONTROL, "no-store")];

type Unstored<T> = ([(HeaderName, &'static str); 1], JsonBody<T>);

/// Somebody who logs in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "anna", "password": "correct horse battery staple"}))]
pub(super) struct LogInRequest {
    /// Their name or their e-mail address, in upper or lower case.
    username: String,
    /// Their password.
    #[schema(value_type = String)]
    password: SecretString,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"refresh_token": "2yv0…64 characters…Qk"}))]
pub(super) struct RefreshRequest {
    /// The newest of its login.
    #[schema(value_type = String)]
    refresh_token: SecretString,
}

/// What somebody gets who has logged in.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJhbGciOiJFZERTQSIs…",
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_token": "2yv0…64 characters…Qk",
    "user": {
        "id": 1,
        "username": "anna",
        "email": "anna@example.org",
        "role": "user",
        "created_at": "2026-02-13T08:15:42.123456Z"
    }
}))]
pub(super) struct LoginResponse {
    /// What goes into `Authorization: Bearer …`: a JWT, signed with a key of `/.well-known/jwks.json`.
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// How long it is valid, in seconds.
    expires_in: u32,
    /// What the next tokens are got with. It is good for one use.
    refresh_token: String,
    /// Who it is.
    user: AccountResponse,
}

impl From<Login> for LoginResponse {
    fn from(login: Login) -> Self {
        Self {
            access_token: login.access_token,
            token_type: "Bearer",
            expires_in: login.expires_in,
            refresh_token: login.refresh_token,
            user: login.user.into(),
        }
    }
}

/// Public keys (RFC 7517).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"keys": [{
    "kty": "OKP",
    "crv": "Ed25519",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "kid": "kPrK_qmxVWaYVA9w",
    "alg": "EdDSA",
    "use": "sig"
}]}))]
pub(super) struct JwksResponse {
    /// The key that signs, one that will, and those whose tokens have not expired yet.
    keys: Vec<PublicKey>,
}

/// Log in
///
/// Tokens for a name, or an e-mail address, and a password. A wrong name is answered as a wrong
/// password is. Attempts are limited for each name and each client address.
#[utoipa::path(
    post,
    path = "/api/v1/auth/token",
    tag = "auth",
    security(()),
    request_body = LogInRequest,
    responses(
        (status = 200, description = "tokens, and who it is", body = LoginResponse),
        (status = 400, description = "a field is missing or unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "`wrong username or password`, whichever it is", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 429, description = "too many attempts with this name or from this address", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "too many passwords are being checked", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn log_in(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<LogInRequest>,
) -> Result<Unstored<LoginResponse>, ApiError> {
    let LogInRequest { username, password } = request;
    let login = state
        .auth
        .log_in(&username, &password, caller.address)
        .await?;
    Ok((NO_STORE, JsonBody(login.into())))
}

/// Get new tokens
///
/// Uses up a refresh token. One that is shown twice, even at the same moment, ends its login: either
/// it was stolen, or its owner must be asked to be safe.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "auth",
    security(()),
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "the next tokens", body = LoginResponse),
        (status = 400, description = "the field is missing, or another is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 401, description = "the token is none, has expired, or was used before", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn refresh(
    State(state): State<AppState>,
    Json(request): Json<RefreshRequest>,
) -> Result<Unstored<LoginResponse>, ApiError> {
    let shown = request.refresh_token.expose_secret();
    let login = state.auth.refresh(shown).await?;
    Ok((NO_STORE, JsonBody(login.into())))
}

/// Log out
///
/// Ends the login that a refresh token belongs to. Its access token is valid until it expires, a
/// quarter of an hour at most. A token that is none is no error: there is nothing left to end.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "auth",
    security(()),
    request_body = RefreshRequest,
    responses(
        (status = 204, description = "the login has ended"),
        (status = 400, description = "the field is missing, or another is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn log_out(
    State(state): State<AppState>,
    Json(request): Json<RefreshRequest>,
) -> Result<StatusCode, ApiError> {
    let shown = request.refresh_token.expose_secret();
    state.auth.log_out(shown).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who I am
///
/// The user that the token is of.
#[utoipa::path(
    get,
    path = "/api/v1/auth/me",
    tag = "auth",
    responses(
        (status = 200, description = "the user", body = AccountResponse),
        (status = 404, description = "the token is of nobody here, or they are gone", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn me(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<JsonBody<AccountResponse>, ApiError> {
    let id = caller.id.ok_or(ApiError::UserNotFound)?;
    let user = state.users.find(id).await?.ok_or(ApiError::UserNotFound)?;
    Ok(JsonBody(user.into()))
}

/// Keys that tokens are verified with
///
/// A JWK set (RFC 7517) of Ed25519 keys (RFC 8037). A new key stands here for a while before it signs.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "auth",
    security(()),
    responses((status = 200, description = "the public keys", body = JwksResponse)),
)]
pub(super) async fn jwks(
    State(state): State<AppState>,
) -> Result<JsonBody<JwksResponse>, ApiError> {
    let keys = state.auth.published_keys().await.map_err(ApiError::from)?;
    Ok(JsonBody(JwksResponse { keys }))
}
