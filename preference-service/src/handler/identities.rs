//! Endpoints of external identities: the accounts of other issuers that a user logs in with.

use axum::{
    Json as JsonBody,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Json, Path, parse_optional_json},
    openapi::{BodyTooLarge, InvalidId, InvalidRequest},
    problem::ProblemDocument,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    admin::record_if_admin,
    error::UserNotFound,
    no_store::NO_STORE,
    oidc::{AuthorizationResponse, login_cookie, return_path},
    proof::ProofRequest,
};
use crate::{
    models::{ExternalIdentity, UserId},
    service::confirmation::Requester,
    state::AppState,
};

/// The external identities of a user.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"identities": []}))]
pub(super) struct IdentitiesResponse {
    /// Oldest first, at most 10.
    identities: Vec<ExternalIdentity>,
}

/// A request to link an account of a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"provider": "google"}))]
pub(super) struct LinkRequest {
    /// The name of the provider, as in `GET /api/v1/auth/oidc`.
    #[schema(example = "google")]
    provider: String,
    /// The path of ours to which the browser returns; `/` if absent.
    #[schema(
        max_length = 500,
        pattern = r"^/([!-.0-?A-\[\]-~][!-?A-\[\]-~]*)?$",
        example = "/"
    )]
    return_to: Option<String>,
    /// The caller's present password; required unless the caller logged in during the last five minutes or has no password.
    #[schema(value_type = Option<String>)]
    current_password: Option<SecretString>,
}

/// List external identities
///
/// Lists the accounts of other issuers that the user can log in with.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/identities",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the identities", body = IdentitiesResponse),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn list_identities(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
) -> Result<JsonBody<IdentitiesResponse>, Problem> {
    state.users.get(user_id).await?;
    let identities = state.oidc.list_identities(user_id).await?;
    Ok(JsonBody(IdentitiesResponse { identities }))
}

/// Link an account of a provider
///
/// Begins a login at the provider; its callback links the account there to the user's, so that they can log in with it. For users
/// themselves, with a login of the last five minutes or the password; not for moderators and administrators.
#[utoipa::path(
    post,
    path = "/api/v1/users/{id}/identities",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body = LinkRequest,
    responses(
        (status = 200, description = "the provider's page, to be opened in the same browser", body = AuthorizationResponse),
        InvalidRequest,
        (status = 403, description = "the present password is wrong or absent, and the login is older than five minutes; or the account is another's", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "no user has this id, or no provider has this name", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
        (status = 429, description = "too many logins were begun", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 503, description = "the provider is unavailable", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn link_identity(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    caller: Caller,
    headers: HeaderMap,
    Json(request): Json<LinkRequest>,
) -> Result<impl IntoResponse, Problem> {
    let return_to = return_path(request.return_to.as_deref())?;
    let provider = request.provider;
    let requester = Requester::new(&caller, request.current_password.as_ref());
    let begun = state
        .oidc
        .begin_link(user_id, &provider, return_to, &requester);
    let begun = begun.await?;
    let cookie = login_cookie(&headers, &provider, Some(&begun.browser_secret))?;
    let body = JsonBody(AuthorizationResponse {
        authorization_url: begun.authorization_url.into(),
    });
    Ok((cookie, NO_STORE, body))
}

/// Unlink an account of a provider
///
/// Ends the link, so that nobody logs in with it any more. It requires a login of the last five minutes, or the caller's password
/// in the body; the only way to log in cannot be unlinked.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/identities/{identity_id}",
    tag = "users",
    params(
        ("id" = UserId, Path, description = "The user's id.", example = 1),
        ("identity_id" = i64, Path, description = "The id of the link.", example = 1),
    ),
    request_body(content = inline(Option<ProofRequest>), description = "optional; required without a recent login"),
    responses(
        (status = 204, description = "the link has ended"),
        InvalidRequest,
        (status = 403, description = "the present password is wrong or absent, and the login is older than five minutes", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "the user has no such link, or no user has this id", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the user could not log in without it", body = ProblemDocument, content_type = "application/problem+json"),
        BodyTooLarge,
    )
)]
pub(super) async fn unlink_identity(
    State(state): State<AppState>,
    Path((user_id, id)): Path<(UserId, i64)>,
    caller: Caller,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let proof: ProofRequest = parse_optional_json(&body)?;
    let requester = proof.requester(&caller);
    state.oidc.unlink(user_id, id, &requester).await?;
    let details = json!({"identity": id});
    record_if_admin(&state, "identity.delete", user_id, details, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
