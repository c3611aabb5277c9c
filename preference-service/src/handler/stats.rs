//! How many users stand so with films.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    extract::{Path, Query},
    problem::{FieldError, ProblemDocument},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::{
    models::{Counts, MovieId},
    state::AppState,
};

/// Films that one question may be about.
const MOST_FILMS: usize = 1000;

/// How many users stand so with a film.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "movie_id": 603,
    "like_count": 120,
    "dislike_count": 7,
    "superlike_count": 31,
    "bookmark_count": 64,
    "view_count": 240,
    "rating_count": 90,
    "rating_average": 4.2
}))]
pub(super) struct StatsResponse {
    movie_id: MovieId,
    /// Who like it.
    like_count: i64,
    /// Who dislike it.
    dislike_count: i64,
    /// Who like it above others.
    superlike_count: i64,
    /// Who want to watch it.
    bookmark_count: i64,
    /// Who watched it to its end.
    view_count: i64,
    /// Who rated it.
    rating_count: i64,
    /// How many stars they gave it on average, 0.5 to 5; null where nobody did.
    rating_average: Option<f64>,
}

impl StatsResponse {
    fn new(movie_id: MovieId, counts: Counts) -> Self {
        Self {
            movie_id,
            like_count: counts.likes,
            dislike_count: counts.dislikes,
            superlike_count: counts.superlikes,
            bookmark_count: counts.bookmarks,
            view_count: counts.views,
            rating_count: counts.ratings,
            rating_average: counts.rating_average(),
        }
    }
}

/// How users stand with a film
///
/// How many like it, dislike it, want to watch it, watched it and rated it.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}/stats",
    tag = "stats",
    params(("id" = MovieId, Path, description = "The film's id, TMDB's.", example = 603)),
    responses(
        (status = 200, description = "the counters", body = StatsResponse),
        (status = 304, description = "they are what `If-None-Match` names"),
        (status = 400, description = "the id cannot be one: `invalid movie ID`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such film: `movie not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_stats(
    State(state): State<AppState>,
    Path(movie_id): Path<MovieId>,
) -> Result<JsonBody<StatsResponse>, ApiError> {
    let counts = state.stats.get(movie_id).await?;
    Ok(JsonBody(StatsResponse::new(movie_id, counts)))
}

/// Which films another service asks about.
#[derive(Deserialize, IntoParams)]
pub(super) struct IdsQuery {
    /// Their ids, with commas between them.
    ids: String,
}

/// The counters of many films.
#[derive(Serialize)]
pub(super) struct ManyStatsResponse {
    stats: Vec<StatsResponse>,
}

/// The counters of many films, for movie-service; a film that nobody did anything with is left out.
pub(super) async fn get_many_stats(
    State(state): State<AppState>,
    Query(query): Query<IdsQuery>,
) -> Result<JsonBody<ManyStatsResponse>, ApiError> {
    let ids: Option<Vec<MovieId>> = query
        .ids
        .split(',')
        .map(|id| id.parse().ok().and_then(MovieId::new))
        .collect();
    let Some(ids) = ids.filter(|ids| ids.len() <= MOST_FILMS) else {
        let message = format!("must be 1 to {MOST_FILMS} ids with commas between them");
        return Err(ApiError::Invalid(vec![FieldError::new("ids", message)]));
    };
    let stats = state.stats.find_many(&ids).await?;
    Ok(JsonBody(ManyStatsResponse {
        stats: stats
            .into_iter()
            .map(|(movie, counts)| StatsResponse::new(movie, counts))
            .collect(),
    }))
}
