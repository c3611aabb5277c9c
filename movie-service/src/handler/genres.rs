//! The genre list.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::{models::GenreCount, state::AppState};

/// All genres.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GenresResponse {
    /// The genres, alphabetical.
    genres: Vec<GenreCount>,
}

/// List genres
///
/// All genres, alphabetical, with their numbers of movies.
#[utoipa::path(
    get,
    path = "/api/v1/genres",
    tag = "movies",
    responses(
        (status = 200, description = "all genres", body = GenresResponse, headers(("ETag" = String, description = "the entity tag"))),
        (status = 304, description = "unchanged since `If-None-Match`"),
    )
)]
pub(super) async fn list_genres(
    State(state): State<AppState>,
) -> Result<Json<GenresResponse>, ApiError> {
    let genres = state.listing.genres().await?;
    Ok(Json(GenresResponse { genres }))
}
