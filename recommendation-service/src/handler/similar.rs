//! Films like a film.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chassis::{
    extract::{Path, parse_query},
    problem::ProblemDocument,
};
use filter::{Filter, FilterParams};
use serde::{Deserialize, Serialize};
use utoipa::{
    IntoParams, ToSchema,
    openapi::path::{Parameter, ParameterIn},
};

use crate::{
    handler::{
        error::ApiError,
        film::{FilmCard, decimal},
        ranking_request::Reader,
    },
    ranking::recommender::RecommendError,
    state::AppState,
};

const DEFAULT_LIMIT: usize = 10;

#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct PageParams {
    /// How many films at most; 10 where not given.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, example = 10)]
    limit: Option<String>,
}

/// All parameters of a list of similar films.
#[derive(Debug, Default, Deserialize)]
pub(super) struct SimilarQuery {
    #[serde(flatten)]
    page: PageParams,
    #[serde(flatten)]
    filter: FilterParams,
}

impl IntoParams for SimilarQuery {
    fn into_params(location: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let mut all = PageParams::into_params(&location);
        all.extend(FilterParams::into_params(&location));
        all
    }
}

/// A film like another, and why.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SimilarFilmResponse {
    #[serde(flatten)]
    film: FilmCard,
    /// How alike they are, 0 to 1, to four decimals.
    #[schema(example = 0.62)]
    score: f64,
    /// What genres, keywords, people and language add to that.
    #[schema(example = 0.4)]
    content: f64,
    /// What users add who dealt with both.
    #[schema(example = 0.22)]
    learned: f64,
    /// Why, in words.
    #[schema(example = "who likes one likes the other, about the same things")]
    reason: String,
}

/// Films like a film.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SimilarResponse {
    /// Like which.
    id: i64,
    /// The most alike first.
    similar: Vec<SimilarFilmResponse>,
    /// The version of the learned models that was asked; null where they do not know the film.
    model_version: Option<i64>,
}

/// Films like a film
///
/// By what films are about, and by who deals with both; the filter is that of `GET /movies`.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}/similar",
    tag = "recommendations",
    params(("id" = i64, Path, description = "TMDB's id of the film", example = 603), SimilarQuery),
    responses(
        (status = 200, description = "the films", body = SimilarResponse),
        (status = 400, description = "the id or a parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such film", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_similar_movies(
    State(state): State<AppState>,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Json<SimilarResponse>, ApiError> {
    let id = id.parse::<i64>().ok().filter(|id| *id > 0);
    let id = id.ok_or_else(|| {
        RecommendError::field("id", "must be TMDB's id of a film, a whole number above 0")
    })?;
    let query: SimilarQuery = parse_query(&raw.unwrap_or_default())?;
    let mut reader = Reader { errors: Vec::new() };
    let limit = reader.limit(query.page.limit.as_ref());
    let mut errors = reader.errors;
    let filter = Filter::parse(&query.filter, &mut errors);
    if !errors.is_empty() {
        return Err(RecommendError::Invalid(errors).into());
    }
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let found = state.recommender.similar(id, filter, limit).await?;
    let catalogue = state.recommender.catalogue();
    let similar = found.films.into_iter().filter_map(|film| {
        Some(SimilarFilmResponse {
            film: FilmCard::new(&catalogue, catalogue.row(film.id)?),
            score: decimal(film.score),
            content: decimal(film.content.into()),
            learned: decimal(film.learned.into()),
            reason: film.reason,
        })
    });
    Ok(Json(SimilarResponse {
        id,
        similar: similar.collect(),
        model_version: found.model_version,
    }))
}
