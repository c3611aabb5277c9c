//! What is a user's right: to take all that is known of them away, and to have it erased.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{extract::Path, problem::ProblemDocument};
use futures_util::stream;
use tokio::sync::mpsc;

use super::error::ApiError;
use crate::{models::UserId, state::AppState};

/// How long the reader of an export may take for one piece of it; a transaction is open meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// Erase a user
///
/// Erases all that is known of the user, everywhere, and takes back what they counted for. That it was
/// done, and of which id, is kept as proof. This cannot be undone.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 204, description = "there is no such user any more"),
        (status = 400, description = "the id cannot be one: `invalid user ID`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn erase_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<StatusCode, ApiError> {
    if state.users.erase(id).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ApiError::UserNotFound)
    }
}

/// Export a user
///
/// All that is known of the user, as of one moment: account, preferences, logins, API keys, edits of
/// their taste, where they stand with each film, and all that they did.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/export",
    tag = "users",
    params(("id" = UserId, Path, description = "The user's id.", example = 1)),
    responses(
        (status = 200, description = "`user`, and the lists `logins`, `api_keys`, `taste_edits`, `films`, `imports` and `interactions`", content_type = "application/json", headers(
            ("Content-Disposition" = String, description = "a file name to save it under")
        )),
        (status = 400, description = "the id cannot be one: `invalid user ID`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn export_user(
    State(state): State<AppState>,
    Path(id): Path<UserId>,
) -> Result<Response, ApiError> {
    let export = state
        .users
        .export(id)
        .await?
        .ok_or(ApiError::UserNotFound)?;
    let (pieces, taken) = mpsc::channel::<String>(2);
    let sending = tokio::spawn(async move { export.stream(&pieces, PATIENCE).await });
    let body = Body::from_stream(stream::unfold(
        (taken, Some(sending)),
        async |(mut taken, mut sending)| {
            if let Some(piece) = taken.recv().await {
                return Some((Ok(Bytes::from(piece)), (taken, sending)));
            }
            // What broke off must not be taken for the whole.
            match sending.take()?.await {
                Ok(Ok(())) => None,
                failed => {
                    tracing::warn!(?failed, "an export broke off");
                    Some((Err(io::Error::other("broken off")), (taken, None)))
                }
            }
        },
    ));
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
