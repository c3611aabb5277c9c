//! Internal endpoint: matches movies of users' imported lists for other services. The gateway does not route here.

use axum::{Json, extract::State};
use chassis::{
    extract,
    validate::{FieldError, Validator},
};
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use crate::{
    models::is_imdb_id,
    service::matching::{ExternalMovie, Match},
    state::AppState,
};

const MAX_MOVIES: usize = 1000;
/// Requests to TMDB per call.
const MAX_FETCHED: usize = 200;
/// Characters of a title.
const MAX_TITLE: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MatchRequest {
    movies: Vec<ExternalMovie>,
    /// The number of unknown movies that may be fetched from TMDB.
    #[serde(default)]
    fetch: usize,
}

#[derive(Debug, Serialize)]
pub(super) struct MatchResponse {
    /// In the order of the request.
    matches: Vec<Match>,
    /// The number of requests to TMDB.
    fetched: usize,
}

impl MatchRequest {
    fn validate(&self) -> Result<(), Vec<FieldError>> {
        let mut check = Validator::default();
        let message = format!("must be at most {MAX_MOVIES} films");
        check.require(self.movies.len() <= MAX_MOVIES, "movies", message);
        let message = format!("must be at most {MAX_FETCHED}");
        check.require(self.fetch <= MAX_FETCHED, "fetch", message);
        for (position, movie) in self.movies.iter().enumerate() {
            let name = |field| format!("movies[{position}].{field}");
            if !movie.imdb_id.as_deref().is_none_or(is_imdb_id) {
                check.error(name("imdb_id"), "must be `tt` and seven to ten digits");
            }
            let title = movie.title.as_deref().unwrap_or_default();
            if title.contains('\0') || title.chars().count() > MAX_TITLE {
                let message = format!("must be at most {MAX_TITLE} characters without NUL");
                check.error(name("title"), message);
            }
            if !movie.year.is_none_or(|year| (0..=9999).contains(&year)) {
                check.error(name("year"), "must be from 0 to 9999");
            }
        }
        check.finish(())
    }
}

/// Matches each movie of the request to one of the catalogue.
pub(super) async fn match_movies(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<MatchRequest>,
) -> Result<Json<MatchResponse>, ApiError> {
    request.validate().map_err(ApiError::Invalid)?;
    let (matches, fetched) = state.matching.find(&request.movies, request.fetch).await?;
    Ok(Json(MatchResponse { matches, fetched }))
}
