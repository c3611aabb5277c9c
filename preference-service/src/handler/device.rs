//! Endpoints of device authorization (RFC 8628): the request of a device and its user's decision. The device polls at the token
//! endpoint, see [`super::oauth`].

use axum::{
    Json as JsonBody,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Json, read_body},
    openapi::{BodyTooLarge, InvalidRequest},
    problem::ProblemDocument,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    no_store::NO_STORE,
    oauth::{OAuthError, parse_fields},
    proof::user_of,
};
use crate::{models::parse_client_id, service::confirmation::Requester, state::AppState};

/// A request of a device.
#[derive(ToSchema)]
#[schema(example = json!({"client_id": "marquee-tv"}))]
#[expect(dead_code, reason = "describes fields that are read one by one")]
pub(super) struct DeviceRequest {
    /// The name of the program, 1 to 100 characters, which its user sees.
    #[schema(min_length = 1, max_length = 100)]
    client_id: String,
    /// Ignored: a login has all permissions of its user.
    scope: Option<String>,
}

/// The codes of a device.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
    "user_code": "WDJB-MJHT",
    "verification_uri": "http://127.0.0.1:8080/#/device",
    "verification_uri_complete": "http://127.0.0.1:8080/#/device?code=WDJB-MJHT",
    "expires_in": 600,
    "interval": 5
}))]
pub(super) struct DeviceResponse {
    /// The secret with which the device polls `POST /api/v1/auth/token`.
    device_code: String,
    /// The code that the user types, in letters that cannot be mistaken.
    user_code: String,
    /// The page at which they type it.
    verification_uri: String,
    /// The same with the code, for a QR code.
    verification_uri_complete: String,
    /// The validity of both codes, in seconds.
    expires_in: u32,
    /// The least time between two polls, in seconds.
    interval: u32,
}

/// A user's decision on a device.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"user_code": "WDJB-MJHT", "approve": true}))]
pub(super) struct VerifyDeviceRequest {
    /// The code that the device shows; case, hyphens and blanks do not matter.
    #[schema(max_length = 100)]
    user_code: String,
    /// True to log the device in, false to refuse it; absent to see which program it is.
    approve: Option<bool>,
    /// The caller's present password; required to approve unless the caller logged in during the last five minutes or has none.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
}

/// A device.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"client_id": "marquee-tv", "expires_in": 540, "approved": true}))]
pub(super) struct VerifiedDeviceResponse {
    /// The name of the program, as it states it.
    client_id: String,
    /// The remaining validity of the code, in seconds.
    expires_in: i64,
    /// The decision; null if there is none yet.
    approved: Option<bool>,
}

/// Begin the login of a device
///
/// Returns a code that the device shows and another with which it polls `POST /api/v1/auth/token` (RFC 8628). The body is a form; JSON
/// with the same fields is accepted too. At most 30 requests of an address in 15 minutes.
#[utoipa::path(
    post,
    path = "/api/v1/auth/device",
    tag = "auth",
    security(()),
    request_body(content = DeviceRequest, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "the codes", body = DeviceResponse),
        (status = 400, description = "the request is invalid, as RFC 6749, 5.2 has it", content(
            (OAuthError = "application/json"),
            (ProblemDocument = "application/problem+json"),
        )),
        BodyTooLarge,
        (status = 429, description = "too many requests of this address", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn authorize_device(
    State(state): State<AppState>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let body = read_body(request).await?;
    let invalid = OAuthError::new(
        "invalid_request",
        "client_id must have 1 to 100 characters, once",
    );
    let Some(fields) = parse_fields(&body) else {
        return Ok(invalid.into_response());
    };
    let client_id = fields
        .get("client_id")
        .and_then(|text| parse_client_id(text));
    let Some(client_id) = client_id else {
        return Ok(invalid.into_response());
    };
    let begun = state
        .device_grants
        .begin(&client_id, caller.address)
        .await?;
    let body = JsonBody(DeviceResponse {
        device_code: begun.device_code,
        user_code: begun.user_code,
        verification_uri: begun.verification_uri.into(),
        verification_uri_complete: begun.verification_uri_complete.into(),
        expires_in: begun.expires_in,
        interval: begun.interval,
    });
    Ok((NO_STORE, body).into_response())
}

/// Approve or refuse a device
///
/// Shows which program asks for a login, or decides on it. Approving requires a login of the last five minutes or the password:
/// a stolen access token does not suffice. A code is valid for one decision and 10 minutes; at most 20 codes in 15 minutes.
#[utoipa::path(
    post,
    path = "/api/v1/auth/device/verify",
    tag = "auth",
    request_body = VerifyDeviceRequest,
    responses(
        (status = 200, description = "the device", body = VerifiedDeviceResponse),
        InvalidRequest,
        (status = 403, description = "the present password is wrong or absent, and the login is older than five minutes", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "the code is unknown, decided or has expired", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
        (status = 429, description = "too many codes were tried", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn verify_device(
    State(state): State<AppState>,
    caller: Caller,
    Json(request): Json<VerifyDeviceRequest>,
) -> Result<JsonBody<VerifiedDeviceResponse>, Problem> {
    let user_id = user_of(&caller)?;
    let code = request.user_code.as_str();
    let grants = &state.device_grants;
    let device = match request.approve {
        None => grants.show(code, user_id).await?,
        Some(is_approved) => {
            let requester = Requester::new(&caller, request.current_password.as_ref());
            grants
                .decide(code, user_id, is_approved, &requester)
                .await?
        }
    };
    Ok(JsonBody(VerifiedDeviceResponse {
        client_id: device.client_id,
        expires_in: device.expires_in,
        approved: request.approve,
    }))
}
