//! The genre list.

use axum::{Json, extract::State, response::IntoResponse};
use chassis::{
    extract::Query,
    language::{AcceptLanguage, Language},
    openapi::InvalidRequest,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{error::ApiError, language};
use crate::{models::GenreCount, state::AppState};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct GenresQuery {
    /// The display language (BCP 47); by default that of `Accept-Language`, else the catalogue's own. Genres without a
    /// name in it keep that of the catalogue. Filters accept the names of all languages.
    #[param(value_type = Option<String>, example = "ko-KR")]
    language: Option<Language>,
}

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
    params(GenresQuery),
    responses(
        (status = 200, description = "all genres", body = GenresResponse, headers(
            ("ETag" = String, description = "the entity tag"),
            ("Content-Language" = String, description = "the display language if names are in it, else the catalogue's own"))),
        (status = 304, description = "unchanged since `If-None-Match`"),
        InvalidRequest,
    )
)]
pub(super) async fn list_genres(
    State(state): State<AppState>,
    accepted: AcceptLanguage,
    Query(query): Query<GenresQuery>,
) -> Result<impl IntoResponse, ApiError> {
    let requested = language::display(&state, query.language.or(accepted.0));
    let (genres, used) = state.listing.genres(requested).await?;
    Ok((
        language::headers(&state, used),
        Json(GenresResponse { genres }),
    ))
}
