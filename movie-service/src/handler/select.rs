//! Internal endpoint: filters a ranked list of movie ids for other services. The gateway does not route here.

use axum::{Json, extract::State};
use chassis::{extract, language::Language, validate::Validator};
use serde::{Deserialize, Serialize};

use super::{
    error::ApiError,
    language,
    movies::entry::{Fields, MovieSummary},
};
use crate::{
    models::{Filter, FilterParams, MovieId},
    state::AppState,
};

const MAX_IDS: usize = 10_000;
/// A page of a user's movies has as many.
const MAX_MOVIES: usize = 1000;
/// The fields of each movie.
const FIELDS: &str = "id,title,release_date,popularity,poster_url,genres";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SelectRequest {
    ids: Vec<MovieId>,
    limit: usize,
    #[serde(default)]
    filter: FilterParams,
    /// The display language; by default that of the filter's parameter `language`, else the catalogue's own.
    language: Option<Language>,
}

#[derive(Debug, Serialize)]
pub(super) struct SelectResponse {
    data: Vec<MovieSummary>,
    /// The display language if texts are in it, else the catalogue's own.
    language: Language,
}

/// Returns the first `limit` movies of `ids`, in their order, that pass the filter.
pub(super) async fn select_movies(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<SelectRequest>,
) -> Result<Json<SelectResponse>, ApiError> {
    let mut check = Validator::default();
    let filter = Filter::parse(&request.filter, &mut check);
    let (ids, limit) = (request.ids.len(), request.limit);
    check.require(
        ids <= MAX_IDS,
        "ids",
        format!("must be at most {MAX_IDS} ids"),
    );
    let message = format!("must be from 1 to {MAX_MOVIES}");
    check.require((1..=MAX_MOVIES).contains(&limit), "limit", message);
    let fields = Fields::parse(Some(FIELDS), None, &mut check);
    let fields = check.finish(fields).map_err(ApiError::Invalid)?;
    state.listing.check_filter(&filter).await?;
    let requested = request.language.or(request.filter.display_language());
    let includes = fields.includes(language::display(&state, requested));
    let selected = state
        .listing
        .select(&request.ids, &filter, request.limit, includes)
        .await?;
    let data = selected
        .movies
        .into_iter()
        .map(|movie| fields.summarize(movie, None))
        .collect();
    let language = language::content(&state, selected.language);
    Ok(Json(SelectResponse { data, language }))
}
