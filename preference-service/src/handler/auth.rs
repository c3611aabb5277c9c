//! Endpoints of logins: log in, refresh, log out, the current user, and the public keys of tokens.

use axum::{
    Json as JsonBody,
    extract::{Request, State},
    http::{
        HeaderMap, StatusCode,
        header::{HeaderName, HeaderValue, SET_COOKIE},
    },
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    caller::Caller,
    cookie,
    extract::{Json, parse_json, read_body},
    openapi::{BodyTooLarge, InvalidRequest},
    problem::ProblemDocument,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    no_store::NO_STORE,
    oauth::{GrantRequest, OAuthError, grant, is_grant},
    proof::user_of,
};
use crate::{
    models::User,
    service::{
        auth::{LoggedIn, Login, LoginClient},
        signing::PublicKey,
    },
    state::AppState,
};

/// The cookie by which a device is known.
const DEVICE_COOKIE: &str = "marquee_device";
const DEVICE_SECONDS: u32 = 90 * 24 * 3600;
/// In characters.
const MAX_DEVICE_LENGTH: usize = 100;

type Unstored<T> = ([(HeaderName, &'static str); 1], JsonBody<T>);

/// The credentials of a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"username": "anna", "password": "correct horse battery staple"}))]
pub(super) struct LogInRequest {
    /// The username or e-mail address, case-insensitive.
    username: String,
    /// The password.
    #[schema(value_type = String)]
    password: SecretString,
}

/// A refresh token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"refresh_token": "2yv0…64 characters…Qk"}))]
pub(super) struct RefreshRequest {
    /// The newest refresh token of the login.
    #[schema(value_type = String)]
    refresh_token: SecretString,
}

/// A JWK set (RFC 7517).
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
    /// The key that signs, the next one, and those whose tokens have not expired.
    keys: Vec<PublicKey>,
}

/// Log in
///
/// Issues tokens for a username or e-mail address and a password. An unknown username and a wrong
/// password have the same response. Attempts are counted by username and client address together: from the fourth one on
/// responses are delayed, after 30 in 15 minutes further ones are refused. The response sets a cookie by which the device is
/// known: wrong passwords of others do not refuse it.
///
/// Programs may send a form of OAuth 2.0 instead: `refresh_token`, or the polls of a device (RFC 8628).
#[utoipa::path(
    post,
    path = "/api/v1/auth/token",
    tag = "auth",
    security(()),
    request_body(content(
        (LogInRequest = "application/json"),
        (GrantRequest = "application/x-www-form-urlencoded"),
    )),
    params(("marquee_device" = Option<String>, Cookie, description = "The cookie of an earlier login of this device.", example = "Zk3vJ0c9mPq2")),
    responses(
        (status = 200, description = "the tokens and the user", body = Login),
        (status = 400, description = "a field, parameter or header is invalid; `errors` lists each. Of a grant: an error of RFC 6749, 5.2", content(
            (ProblemDocument = "application/problem+json"),
            (OAuthError = "application/json"),
        )),
        (status = 401, description = "invalid username or password: `wrong username or password`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 403, description = "the password is right, but the account is suspended: `suspended_until` and `reason`", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
        (status = 429, description = "too many attempts for this username or from this address", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "too many passwords are being checked", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn log_in(
    State(state): State<AppState>,
    caller: Caller,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_body(request).await?;
    if is_grant(&body) {
        return grant(&state, &body).await;
    }
    let request: LogInRequest = parse_json(&body)?;
    let path = "/api/v1/auth/token";
    let (login, set_device) = log_in_at(path, &state, &caller, &headers, request).await?;
    Ok((NO_STORE, set_device, JsonBody(login)).into_response())
}

/// The secret in the cookie of a known device.
fn device_of(headers: &HeaderMap) -> Option<String> {
    let secret = cookie::find(headers, DEVICE_COOKIE)?;
    (secret.len() <= MAX_DEVICE_LENGTH).then(|| secret.to_owned())
}

/// Logs in; returns the tokens, and the header that sets the cookie of a known device, sent with logins at `path` alone.
pub(super) async fn log_in_at(
    path: &str,
    state: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    request: LogInRequest,
) -> Result<(Login, [(HeaderName, HeaderValue); 1]), Problem> {
    let LogInRequest { username, password } = request;
    let client = LoginClient {
        address: caller.address,
        device: device_of(headers),
    };
    let LoggedIn { login, device } = state.auth.log_in(&username, &password, client).await?;
    let cookie = (DEVICE_COOKIE, device.as_str());
    let cookie = cookie::set(headers, cookie, path, DEVICE_SECONDS);
    let cookie = cookie.map_err(|error| Problem::internal(&error))?;
    Ok((login, [(SET_COOKIE, cookie)]))
}

/// Refresh tokens
///
/// Exchanges a refresh token for new tokens. A token that is presented twice, even concurrently, ends
/// its login, since it may have been stolen.
#[utoipa::path(
    post,
    path = "/api/v1/auth/refresh",
    tag = "auth",
    security(()),
    request_body = RefreshRequest,
    responses(
        (status = 200, description = "the new tokens", body = Login),
        InvalidRequest,
        (status = 401, description = "the refresh token is invalid, expired or already used", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn refresh(
    State(state): State<AppState>,
    Json(request): Json<RefreshRequest>,
) -> Result<Unstored<Login>, Problem> {
    let token = request.refresh_token.expose_secret();
    let login = state.auth.refresh(token).await?;
    Ok((NO_STORE, JsonBody(login)))
}

/// Log out
///
/// Ends the login of a refresh token. Its access token stays valid until it expires, at most 15 minutes
/// later. An invalid token is not an error.
#[utoipa::path(
    post,
    path = "/api/v1/auth/logout",
    tag = "auth",
    security(()),
    request_body = RefreshRequest,
    responses(
        (status = 204, description = "the login has ended"),
        InvalidRequest, BodyTooLarge,
    )
)]
pub(super) async fn log_out(
    State(state): State<AppState>,
    Json(request): Json<RefreshRequest>,
) -> Result<StatusCode, Problem> {
    let token = request.refresh_token.expose_secret();
    state.auth.log_out(token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get the current user
///
/// Returns the user that the access token belongs to.
#[utoipa::path(
    get,
    path = "/api/v1/auth/me",
    tag = "auth",
    responses(
        (status = 200, description = "the user", body = User),
        (status = 404, description = "the token's subject is not a user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn me(
    State(state): State<AppState>,
    caller: Caller,
) -> Result<JsonBody<User>, Problem> {
    Ok(JsonBody(state.users.get(user_of(&caller)?).await?))
}

/// Get the public keys of tokens
///
/// Returns the JWK set (RFC 7517) of Ed25519 keys (RFC 8037) that verify access tokens. A new key is
/// published before it signs.
#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    tag = "auth",
    security(()),
    responses(
        (status = 200, description = "the public keys", body = JwksResponse),
        (status = 304, description = "unchanged since `If-None-Match`"),
    ),
)]
pub(super) async fn jwks(State(state): State<AppState>) -> Result<JsonBody<JwksResponse>, Problem> {
    let keys = state.auth.public_keys().await?;
    Ok(JsonBody(JwksResponse { keys }))
}
