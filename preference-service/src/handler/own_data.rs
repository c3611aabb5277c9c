//! Endpoints of the rights of data subjects (GDPR, articles 17 and 20): erasure and export.

use std::io;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    caller::Caller,
    extract::{Path, Query, parse_optional_json},
    openapi::{BodyTooLarge, InvalidId, InvalidRequest},
    problem::ProblemDocument,
};
use futures_util::stream;
use histories::export::Layout;
use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::{admin::record_if_admin, error::UserNotFound, proof::ProofRequest};
use crate::{models::UserId, state::AppState};

/// Erase a user
///
/// Erases all data about the user in all services and subtracts them from all counters. The id and the
/// time of the erasure are kept as proof. This cannot be undone. It requires a login of the last five minutes, or the caller's
/// password in the body, unless the caller has none.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    request_body(content = inline(Option<ProofRequest>), description = "optional; required without a recent login"),
    responses(
        (status = 204, description = "the user is erased"),
        InvalidRequest,
        (status = 403, description = "the present password is wrong or absent, and the login is older than five minutes", body = ProblemDocument, content_type = "application/problem+json"),
        UserNotFound, BodyTooLarge,
    )
)]
pub(super) async fn erase_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    caller: Caller,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let proof: ProofRequest = parse_optional_json(&body)?;
    state.users.erase(id, &proof.requester(&caller)).await?;
    record_if_admin(&state, "user.erase", id, Value::Null, &caller).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All data about a user; each list is complete.
#[derive(ToSchema)]
#[expect(
    dead_code,
    reason = "describes the document, which is written in pieces"
)]
struct ExportResponse {
    /// The account and the preferences.
    #[schema(value_type = Object)]
    user: (),
    /// Password logins that have not ended.
    #[schema(value_type = Vec<Object>)]
    logins: (),
    /// API keys, without their secrets.
    #[schema(value_type = Vec<Object>)]
    api_keys: (),
    /// Devices on which the user has logged in.
    #[schema(value_type = Vec<Object>)]
    devices: (),
    /// Accounts of other issuers that the user logs in with.
    #[schema(value_type = Vec<Object>)]
    identities: (),
    /// Addresses that wait for their verification.
    #[schema(value_type = Vec<Object>)]
    email_verifications: (),
    /// Groups that the user is a member of.
    #[schema(value_type = Vec<Object>)]
    groups: (),
    /// The user's edits of their taste profile.
    #[schema(value_type = Vec<Object>)]
    taste_edits: (),
    /// The state of each movie.
    #[schema(value_type = Vec<Object>)]
    films: (),
    /// The viewings that count, by movie.
    #[schema(value_type = Vec<Object>)]
    viewings: (),
    /// Webhooks, without their secrets.
    #[schema(value_type = Vec<Object>)]
    webhooks: (),
    /// Deliveries of media servers about the user.
    #[schema(value_type = Vec<Object>)]
    webhook_deliveries: (),
    /// Imports.
    #[schema(value_type = Vec<Object>)]
    imports: (),
    /// Interactions, oldest first.
    #[schema(value_type = Vec<Object>)]
    interactions: (),
}

/// The layout of an export.
#[derive(Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExportFormat {
    /// All data about the user, as JSON.
    #[default]
    Json,
    /// The history, as Letterboxd exports it.
    Letterboxd,
    /// The history, as Trakt exports it.
    Trakt,
}

impl ExportFormat {
    /// The layout of an archive, with its name; `None` for JSON.
    fn layout(self) -> Option<(Layout, &'static str)> {
        match self {
            Self::Json => None,
            Self::Letterboxd => Some((Layout::Letterboxd, "letterboxd")),
            Self::Trakt => Some((Layout::Trakt, "trakt")),
        }
    }
}

/// The parameters of an export.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// The layout: `json` holds everything; `letterboxd` and `trakt` are zip archives of the history as those sites export it,
    /// with TMDB's ids besides. An import of any of them restores the history as far as its layout holds it; preferences and
    /// taste edits are set by their own requests. Letterboxd's has no hours, dislikes, superlikes, playback positions and
    /// sources of viewings, and not that the rating of a movie was removed whose viewing has one; Trakt's has no reactions, playback positions, ratings of single viewings and sources.
    #[param(inline, default = "json", example = "letterboxd")]
    format: Option<ExportFormat>,
}

/// Export a user
///
/// Returns all data about the user, or the history in the layout of another site, as of one snapshot: account, preferences, logins, API keys, taste
/// edits, the state of each movie, viewings, imports, and all interactions.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/export",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), ExportQuery),
    responses(
        (status = 200, description = "the data", content(
            (ExportResponse = "application/json"),
            (Vec<u8> = "application/zip")
        ), headers(
            ("Content-Disposition" = String, description = "the suggested file name")
        )),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn export_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let layout = query.format.unwrap_or_default().layout();
    let pieces = state
        .users
        .export(id, layout.map(|(layout, _)| layout))
        .await?;
    let body = Body::from_stream(stream::unfold(Some(pieces), async |pieces| {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Some(piece)) => Some((Ok(Bytes::from(piece)), Some(pieces))),
            Some(None) => None,
            // An incomplete document must not end like a complete one.
            None => Some((Err(io::Error::other("the export was interrupted")), None)),
        }
    }));
    let (kind, name) = match layout {
        None => ("application/json", format!("marquee-user-{id}.json")),
        Some((_, layout)) => ("application/zip", format!("marquee-user-{id}-{layout}.zip")),
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    Ok((headers, body).into_response())
}
