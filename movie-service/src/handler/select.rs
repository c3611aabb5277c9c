//! Internal endpoint: filters a ranked list of movie ids for other services. The gateway does not route here.

use axum::{Json, extract::State};
use chassis::{extract, problem::FieldError};
use serde::{Deserialize, Serialize};

use super::{
    error::ApiError,
    movies::{
        check_genres,
        entry::{Fields, MovieSummary},
    },
};
use crate::{
    models::{Filter, FilterParams, MovieId},
    state::AppState,
};

const MAX_IDS: usize = 10_000;
const MAX_MOVIES: usize = 100;
/// The fields of each movie.
const FIELDS: &str = "id,title,release_date,popularity,poster_url,genres";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SelectRequest {
    ids: Vec<MovieId>,
    limit: usize,
    #[serde(default)]
    filter: FilterParams,
}

#[derive(Debug, Serialize)]
pub(super) struct SelectResponse {
    data: Vec<MovieSummary>,
}

/// Returns the first `limit` movies of `ids`, in their order, that pass the filter.
pub(super) async fn select_movies(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<SelectRequest>,
) -> Result<Json<SelectResponse>, ApiError> {
    let mut errors = Vec::new();
    let filter = Filter::parse(&request.filter, &mut errors);
    if request.ids.len() > MAX_IDS {
        let message = format!("must be at most {MAX_IDS} ids");
        errors.push(FieldError::new("ids", message));
    }
    if !(1..=MAX_MOVIES).contains(&request.limit) {
        let message = format!("must be from 1 to {MAX_MOVIES}");
        errors.push(FieldError::new("limit", message));
    }
    let fields = Fields::parse(Some(FIELDS), None, &mut errors);
    if !errors.is_empty() {
        return Err(ApiError::Invalid(errors));
    }
    check_genres(&state.listing, &filter).await?;
    let movies = state
        .listing
        .select(&request.ids, &filter, request.limit, fields.includes())
        .await?;
    let data = movies
        .into_iter()
        .map(|movie| fields.summarize(movie, None))
        .collect();
    Ok(Json(SelectResponse { data }))
}
