//! Genres.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::state::AppState;

/// A genre.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GenreResponse {
    /// TMDB's id.
    #[schema(example = 878)]
    id: i32,
    /// Its name, in English.
    #[schema(example = "Science Fiction")]
    name: String,
    /// How many films of the catalogue have it.
    #[schema(example = 120)]
    movie_count: usize,
}

/// All genres.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GenresResponse {
    /// The genres, alphabetical.
    genres: Vec<GenreResponse>,
}

/// List genres
///
/// All genres, alphabetical, with the number of films that have each.
#[utoipa::path(
    get,
    path = "/api/v1/genres",
    tag = "movies",
    responses(
        (status = 200, description = "all genres", body = GenresResponse, headers(("ETag" = String, description = "of this answer"))),
        (status = 304, description = "they are as `If-None-Match` names them"),
    )
)]
pub(super) async fn list_genres(
    State(state): State<AppState>,
) -> Result<Json<GenresResponse>, ApiError> {
    let genres = state.listing.genres().await?.into_iter();
    Ok(Json(GenresResponse {
        genres: genres
            .map(|(genre, movie_count)| GenreResponse {
                id: genre.id,
                name: genre.name,
                movie_count,
            })
            .collect(),
    }))
}
