//! Endpoints of the verification of e-mail addresses: open a link, request another.

use axum::{Json as JsonBody, extract::State, http::StatusCode};
use chassis::{
    Problem,
    extract::{Path, Query},
    openapi::{InvalidId, InvalidRequest},
    problem::ProblemDocument,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::UserNotFound;
use crate::{models::UserId, state::AppState};

/// The link's parameter.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct VerifyQuery {
    /// The token of the link.
    #[param(example = "Xq3p0aJ")]
    token: String,
}

/// The result of opening a link.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"verified": true}))]
pub(super) struct VerifiedResponse {
    /// True: the address is the user's.
    verified: bool,
}

/// Verify an e-mail address
///
/// Makes the address take effect to which this link was sent. A link is valid once, for a day.
#[utoipa::path(
    get,
    path = "/api/v1/auth/verify-email",
    tag = "auth",
    security(()),
    params(VerifyQuery),
    responses(
        (status = 200, description = "the address is verified", body = VerifiedResponse),
        InvalidRequest,
        (status = 404, description = "the link is unknown, used or has expired", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "another user has the address by now", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn verify_email(
    State(state): State<AppState>,
    Query(query): Query<VerifyQuery>,
) -> Result<JsonBody<VerifiedResponse>, Problem> {
    state.email_verification.verify(&query.token).await?;
    Ok(JsonBody(VerifiedResponse { verified: true }))
}

/// Request another verification link
///
/// Sends a link to the address of the user that waits for its verification; earlier links become invalid. At most 5 an hour.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/email-verification",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 204, description = "the link is on its way"),
        InvalidId, UserNotFound,
        (status = 409, description = "no address of the user waits", body = ProblemDocument, content_type = "application/problem+json"),
        chassis::openapi::BodyTooLarge,
        (status = 429, description = "too many links were requested", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn request_verification(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Problem> {
    state.email_verification.request_again(id).await?;
    Ok(StatusCode::NO_CONTENT)
}
