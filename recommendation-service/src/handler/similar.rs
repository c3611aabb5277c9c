//! Movies that are similar to a movie.

use axum::{
    Json,
    extract::{RawQuery, State},
};
use chassis::{
    extract::{Path, parse_query},
    language::{AcceptLanguage, ContentLanguage},
    openapi::InvalidRequest,
    validate::Validator,
};
use filter::Filter;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    handler::{
        error::ApiError,
        movie_card::{MovieCard, decimal},
        ranking_request::{DEFAULT_LIMIT, Filtered, LIMITS},
        responses::MovieNotFound,
    },
    ranking::RecommendError,
    reason::Reason,
    state::AppState,
};

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParams {
    /// The number of movies.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 10, example = 5)]
    limit: Option<String>,
}

/// All parameters of a list of similar movies.
type SimilarQuery = Filtered<PageParams>;

/// A similar movie.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SimilarFilmResponse {
    #[serde(flatten)]
    film: MovieCard,
    /// The similarity, 0 to 1, to four decimals.
    #[schema(example = 0.62)]
    score: f64,
    /// The part of genres, keywords, people and language.
    #[schema(example = 0.4)]
    content: f64,
    /// The contribution of the learned models: similarity by common users.
    #[schema(example = 0.22)]
    learned: f64,
    /// The reason, in words: Korean if that is the display language, else English.
    #[schema(example = "who likes one likes the other, about the same things")]
    reason: String,
}

/// Movies that are similar to a movie.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SimilarMoviesResponse {
    /// TMDB's id of the movie that they are similar to.
    id: i64,
    /// The movies, most similar first.
    similar: Vec<SimilarFilmResponse>,
    /// The version of the learned models; null if they do not know the movie.
    model_version: Option<i64>,
}

/// List similar movies
///
/// Ranks movies by content and by their audiences; the filter is that of `GET /movies`.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}/similar",
    tag = "recommendations",
    params(("id" = i64, Path, description = "TMDB's id of the movie", example = 603, minimum = 1), SimilarQuery),
    responses(
        (status = 200, description = "the movies", body = SimilarMoviesResponse, headers(("ETag" = String, description = "the entity tag"), ("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        (status = 304, description = "unchanged since `If-None-Match`"),
        InvalidRequest, MovieNotFound,
    )
)]
pub(super) async fn list_similar_movies(
    State(state): State<AppState>,
    Path(id): Path<String>,
    AcceptLanguage(accepted): AcceptLanguage,
    RawQuery(raw): RawQuery,
) -> Result<(ContentLanguage, Json<SimilarMoviesResponse>), ApiError> {
    let id = id.parse::<i64>().ok().filter(|id| *id > 0);
    let id = id.ok_or_else(|| {
        RecommendError::field("id", "must be TMDB's id of a film, a whole number above 0")
    })?;
    let query: SimilarQuery = parse_query(&raw.unwrap_or_default())?;
    let mut check = Validator::default();
    let limit = check.integer("limit", query.params.limit.as_deref(), LIMITS);
    let filter = Filter::parse(&query.filter, &mut check);
    check.finish(()).map_err(RecommendError::Invalid)?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let found = state.recommender.similar(id, filter, limit).await?;
    let requested = query.filter.display_language();
    let language = state.languages.choose([requested, accepted, None]);
    let catalogue = state.recommender.catalogue();
    let localized = catalogue.localized(language.primary());
    let similar = found.films.into_iter().filter_map(|film| {
        Some(SimilarFilmResponse {
            film: MovieCard::new(&localized, catalogue.row(film.id)?),
            score: decimal(film.score),
            content: decimal(film.content.into()),
            learned: decimal(film.learned.into()),
            reason: Reason::text(&film.reasons, language.primary(), &localized),
        })
    });
    let body = SimilarMoviesResponse {
        id,
        similar: similar.collect(),
        model_version: found.model_version,
    };
    Ok((ContentLanguage(language), Json(body)))
}
