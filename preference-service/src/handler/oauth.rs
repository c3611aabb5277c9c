//! The parts of OAuth 2.0 at the token endpoint (RFC 6749): grants as forms, errors in the form of section 5.2, and the metadata of
//! the authorization server (RFC 8414).

use std::collections::HashMap;

use axum::{
    Json as JsonBody,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{Problem, problem::ProblemDocument};
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::no_store::NO_STORE;
use crate::{
    error::Error,
    models::{DevicePoll, parse_client_id},
    service::{auth::Login, device_grants::PollResult},
    state::AppState,
};

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const REFRESH_GRANT: &str = "refresh_token";

/// An error of OAuth 2.0 (RFC 6749, 5.2; RFC 8628, 3.5).
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(example = json!({"error": "authorization_pending", "error_description": "the user has not decided yet"}))]
pub(super) struct OAuthError {
    /// The code: `authorization_pending`, `slow_down`, `access_denied`, `expired_token`, `invalid_grant`, `invalid_request` or
    /// `unsupported_grant_type`.
    error: &'static str,
    /// The reason, for developers.
    error_description: &'static str,
}

impl OAuthError {
    pub(super) fn new(error: &'static str, error_description: &'static str) -> Self {
        Self {
            error,
            error_description,
        }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, NO_STORE, JsonBody(self)).into_response()
    }
}

/// A grant of OAuth 2.0, as a form.
#[derive(ToSchema)]
#[schema(example = json!({
    "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
    "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
    "client_id": "marquee-tv"
}))]
#[expect(dead_code, reason = "describes fields that are read one by one")]
pub(super) struct GrantRequest {
    /// `urn:ietf:params:oauth:grant-type:device_code` or `refresh_token`.
    grant_type: String,
    /// The device code, of the first.
    device_code: Option<String>,
    /// The name of the program as in `POST /api/v1/auth/device`, of the first.
    client_id: Option<String>,
    /// The refresh token, of the second.
    refresh_token: Option<String>,
}

/// Reads the fields of a form, or of a JSON object of texts; `None` if a field is given twice or is no text.
pub(super) fn parse_fields(body: &[u8]) -> Option<HashMap<String, String>> {
    let mut fields = HashMap::new();
    if is_json(body) {
        let object: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
        for (name, value) in object {
            if !value.is_null() {
                fields.insert(name, value.as_str()?.to_owned());
            }
        }
        return Some(fields);
    }
    for (name, value) in form_urlencoded::parse(body) {
        if fields
            .insert(name.into_owned(), value.into_owned())
            .is_some()
        {
            return None;
        }
    }
    Some(fields)
}

fn is_json(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

/// True if `body` is a grant of OAuth: a form, not the JSON of a password login, which many send with any content type.
pub(super) fn is_grant(body: &[u8]) -> bool {
    if is_json(body) {
        return serde_json::from_slice::<serde_json::Map<String, Value>>(body)
            .is_ok_and(|object| object.contains_key("grant_type"));
    }
    form_urlencoded::parse(body).any(|(name, _)| name == "grant_type")
}

/// Carries out the grant in `body`.
pub(super) async fn grant(state: &AppState, body: &[u8]) -> Result<Response, Problem> {
    let invalid = |description| Ok(OAuthError::new("invalid_request", description).into_response());
    let Some(fields) = parse_fields(body) else {
        return invalid("a field is given twice, or is no text");
    };
    let field = |name: &str| fields.get(name).map(String::as_str);
    match field("grant_type") {
        Some(DEVICE_GRANT) => {
            let (Some(code), Some(client_id)) = (field("device_code"), field("client_id")) else {
                return invalid("device_code and client_id are required");
            };
            let client_id = parse_client_id(client_id).unwrap_or_default();
            match state.device_grants.poll(code, &client_id).await? {
                PollResult::LoggedIn(login) => Ok(tokens(*login)),
                PollResult::Not(reason) => Ok(poll_error(reason).into_response()),
            }
        }
        Some(REFRESH_GRANT) => {
            let Some(token) = field("refresh_token") else {
                return invalid("refresh_token is required");
            };
            match state.auth.refresh(token).await {
                Ok(login) => Ok(tokens(login)),
                Err(Error::InvalidRefreshToken) => {
                    let description = "the refresh token is invalid, expired or already used";
                    Ok(OAuthError::new("invalid_grant", description).into_response())
                }
                Err(error) => Err(error.into()),
            }
        }
        _ => {
            let description =
                "grant_type must be refresh_token or the device code's; people log in by JSON";
            Ok(OAuthError::new("unsupported_grant_type", description).into_response())
        }
    }
}

fn tokens(login: Login) -> Response {
    (NO_STORE, JsonBody(login)).into_response()
}

fn poll_error(reason: DevicePoll) -> OAuthError {
    let (error, description) = match reason {
        DevicePoll::Pending => ("authorization_pending", "the user has not decided yet"),
        DevicePoll::TooEarly => ("slow_down", "wait 5 seconds longer between two polls"),
        DevicePoll::Denied => ("access_denied", "the user refused, or may not log in"),
        DevicePoll::Expired => ("expired_token", "the codes have expired; request others"),
        DevicePoll::Unknown | DevicePoll::Approved(_) => (
            "invalid_grant",
            "the device code is unknown, used, or another program's",
        ),
    };
    OAuthError::new(error, description)
}

/// The metadata of the authorization server (RFC 8414).
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "issuer": "https://marquee.example.org",
    "jwks_uri": "https://marquee.example.org/.well-known/jwks.json",
    "token_endpoint": "https://marquee.example.org/api/v1/auth/token",
    "device_authorization_endpoint": "https://marquee.example.org/api/v1/auth/device",
    "grant_types_supported": ["refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
    "response_types_supported": [],
    "token_endpoint_auth_methods_supported": ["none"],
    "service_documentation": "https://marquee.example.org/swagger/"
}))]
pub(super) struct ServerMetadata {
    /// The claim `iss` of access tokens.
    issuer: String,
    /// The public keys of access tokens.
    jwks_uri: String,
    /// The endpoint of the grants.
    token_endpoint: String,
    /// The endpoint of device authorization (RFC 8628).
    device_authorization_endpoint: String,
    /// The grants, as forms.
    grant_types_supported: [&'static str; 2],
    /// None: there is no authorization endpoint.
    response_types_supported: [&'static str; 0],
    /// `none`: clients are public.
    token_endpoint_auth_methods_supported: [&'static str; 1],
    /// The documentation.
    service_documentation: String,
}

/// Get the metadata of the authorization server
///
/// Tells resource servers how to verify our access tokens, and devices where to log in (RFC 8414). The issuer is the claim `iss` of
/// the tokens. Not found while `JWT_ISSUER` is no URL.
#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    tag = "auth",
    security(()),
    responses(
        (status = 200, description = "the metadata", body = ServerMetadata),
        (status = 304, description = "unchanged since `If-None-Match`"),
        (status = 404, description = "JWT_ISSUER is no URL", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn server_metadata(
    State(state): State<AppState>,
) -> Result<JsonBody<ServerMetadata>, Problem> {
    let issuer = state.auth.issuer();
    if !issuer.starts_with("https://") && !issuer.starts_with("http://") {
        let problem = chassis::problem::from_status(StatusCode::NOT_FOUND);
        return Err(problem.detail("set JWT_ISSUER to the URL at which clients reach the gateway"));
    }
    let base = state.public_url.as_str().trim_end_matches('/');
    let url = |path: &str| format!("{base}{path}");
    Ok(JsonBody(ServerMetadata {
        issuer: issuer.to_owned(),
        jwks_uri: url("/.well-known/jwks.json"),
        token_endpoint: url("/api/v1/auth/token"),
        device_authorization_endpoint: url("/api/v1/auth/device"),
        grant_types_supported: [REFRESH_GRANT, DEVICE_GRANT],
        response_types_supported: [],
        token_endpoint_auth_methods_supported: ["none"],
        service_documentation: url("/swagger/"),
    }))
}
