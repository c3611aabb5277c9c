//! Endpoints of the rights of data subjects (GDPR, articles 17 and 20): erasure and export.

use std::io;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{Problem, extract::Path, openapi::InvalidId};
use futures_util::stream;
use utoipa::ToSchema;

use super::error::UserNotFound;
use crate::{models::UserId, state::AppState};

/// Erase a user
///
/// Erases all data about the user in all services and subtracts them from all counters. The id and the
/// time of the erasure are kept as proof. This cannot be undone.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 204, description = "the user is erased"),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn erase_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<StatusCode, Problem> {
    state.users.erase(id).await?;
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

/// Export a user
///
/// Returns all data about the user, as of one snapshot: account, preferences, logins, API keys, taste
/// edits, the state of each movie, viewings, imports, and all interactions.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/export",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "the data", body = ExportResponse, headers(
            ("Content-Disposition" = String, description = "the suggested file name")
        )),
        InvalidId, UserNotFound,
    )
)]
pub(super) async fn export_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<Response, Problem> {
    let pieces = state.users.export(id).await?;
    let body = Body::from_stream(stream::unfold(Some(pieces), async |pieces| {
        let mut pieces = pieces?;
        match pieces.recv().await {
            Some(Some(piece)) => Some((Ok(Bytes::from(piece)), Some(pieces))),
            Some(None) => None,
            // An incomplete document must not end like a complete one.
            None => Some((Err(io::Error::other("the export was interrupted")), None)),
        }
    }));
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"marquee-user-{id}.json\""),
        ),
    ];
    Ok((headers, body).into_response())
}
