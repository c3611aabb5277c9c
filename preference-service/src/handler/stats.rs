//! Movie statistics: counters of users' reactions, bookmarks, views and ratings.

use axum::{Json as JsonBody, extract::State};
use chassis::{
    Problem,
    extract::{Path, Query},
    problem::{FieldError, ProblemDocument},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    models::{Counts, MovieId},
    state::AppState,
};

/// The maximum number of movies in one request.
const MAX_MOVIES: usize = 1000;

/// The counters of a movie.
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
    /// Users who like the movie.
    like_count: i64,
    /// Users who dislike it.
    dislike_count: i64,
    /// Users who superlike it.
    superlike_count: i64,
    /// Users who have it on their watchlist.
    bookmark_count: i64,
    /// Users who watched it to its end.
    view_count: i64,
    /// Users who rated it.
    rating_count: i64,
    /// The mean rating in stars, 0.5 to 5; null without ratings.
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

/// Movie statistics
///
/// Returns the number of users who like, dislike, bookmarked, watched or rated the movie.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}/stats",
    tag = "stats",
    params(("id" = MovieId, Path, description = "The movie's TMDB id.", example = 603)),
    responses(
        (status = 200, description = "the counters", body = StatsResponse),
        (status = 304, description = "the counters match `If-None-Match`"),
        (status = 400, description = "the id is invalid: `invalid movie ID`", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "no such movie: `movie not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_stats(
    State(state): State<AppState>,
    Path(movie_id): Path<MovieId>,
) -> Result<JsonBody<StatsResponse>, Problem> {
    let counts = state.stats.get(movie_id).await?;
    Ok(JsonBody(StatsResponse::new(movie_id, counts)))
}

/// The movies of a request by another service.
#[derive(Deserialize, IntoParams)]
pub(super) struct IdsQuery {
    /// The ids, separated by commas.
    ids: String,
}

/// The counters of many movies.
#[derive(Serialize)]
pub(super) struct ManyStatsResponse {
    stats: Vec<StatsResponse>,
}

/// Returns the counters of many movies, for movie-service; movies on which no user has acted are left out.
pub(super) async fn get_many_stats(
    State(state): State<AppState>,
    Query(query): Query<IdsQuery>,
) -> Result<JsonBody<ManyStatsResponse>, Problem> {
    let ids: Option<Vec<MovieId>> = query
        .ids
        .split(',')
        .map(|id| id.parse().ok().and_then(MovieId::new))
        .collect();
    let Some(ids) = ids.filter(|ids| ids.len() <= MAX_MOVIES) else {
        let message = format!("must be 1 to {MAX_MOVIES} ids with commas between them");
        return Err(FieldError::new("ids", message).into());
    };
    let stats = state.stats.find_many(&ids).await?;
    Ok(JsonBody(ManyStatsResponse {
        stats: stats
            .into_iter()
            .map(|(movie, counts)| StatsResponse::new(movie, counts))
            .collect(),
    }))
}
