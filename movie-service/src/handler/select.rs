//! For the other services, which know films by their ids and have them in an order of their own: those
//! of them that pass a filter. The gateway never routes here.

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

/// How many ids may be asked about at once.
const MOST_IDS: usize = 10_000;
/// How many films are told of at once.
const MOST_FILMS: usize = 100;
/// The fields of a film.
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

/// The first `limit` films of `ids`, in their order, that are in the catalogue and pass the filter.
pub(super) async fn select_movies(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<SelectRequest>,
) -> Result<Json<SelectResponse>, ApiError> {
    let mut errors = Vec::new();
    let filter = Filter::parse(&request.filter, &mut errors);
    if request.ids.len() > MOST_IDS {
        let message = format!("must be at most {MOST_IDS} ids");
        errors.push(FieldError::new("ids", message));
    }
    if !(1..=MOST_FILMS).contains(&request.limit) {
        let message = format!("must be from 1 to {MOST_FILMS}");
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
        .map(|movie| fields.show(movie, None))
        .collect();
    Ok(Json(SelectResponse { data }))
}
