//! Ratings: 0.5 to 5 stars, at most one per user and movie.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::{
    extract::{Json, Path, Query},
    problem::FieldError,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::ApiError,
    interactions::RATING_RULE,
    user_movie::{
        self, ClearProblems, GetProblems, ListProblems, MoviesQuery, PartResponse, SetProblems,
        UserMoviePath,
    },
};
use crate::{
    models::{Action, MovieId, Rating, StatePart, UserId, UserMovie},
    state::AppState,
};

/// A rating of a movie.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rating": 4.5}))]
pub(super) struct SetRatingRequest {
    /// Stars, 0.5 to 5 in steps of 0.5.
    // Optional, so that null is reported with the field's name.
    #[schema(required, value_type = f64, minimum = 0.5, maximum = 5, multiple_of = 0.5)]
    rating: Option<f64>,
}

/// A user's rating of a movie.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "movie_id": 603,
    "rating": 4.5,
    "rated_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct RatingResponse {
    user_id: UserId,
    movie_id: MovieId,
    /// Stars, 0.5 to 5.
    #[schema(value_type = f64)]
    rating: Rating,
    /// The time of the rating.
    rated_at: DateTime<Utc>,
}

impl PartResponse for RatingResponse {
    const PART: StatePart = StatePart::Rating;
    const NAME: &'static str = "rating";

    fn new(user_id: UserId, movie_id: MovieId, state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id,
            movie_id,
            rating: state.rating.value?,
            rated_at: state.rating.since()?,
        })
    }
}

/// A page of a user's ratings, newest first.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "ratings": [{
        "user_id": 1,
        "movie_id": 603,
        "rating": 4.5,
        "rated_at": "2026-02-13T08:15:42.123456Z"
    }],
    "next_cursor": null
}))]
pub(super) struct RatingsResponse {
    user_id: UserId,
    /// The ratings.
    ratings: Vec<RatingResponse>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// Set a rating
///
/// Rates the movie and replaces the previous rating. Idempotent.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/ratings/{movie_id}",
    tag = "ratings",
    params(UserMoviePath),
    request_body = SetRatingRequest,
    responses((status = 200, description = "the rating", body = RatingResponse), SetProblems)
)]
pub(super) async fn set_rating(
    State(state): State<AppState>,
    path: UserMoviePath,
    Json(request): Json<SetRatingRequest>,
) -> Result<JsonBody<RatingResponse>, ApiError> {
    let rating = request
        .rating
        .and_then(Rating::from_stars)
        .ok_or_else(|| ApiError::Invalid(vec![FieldError::new("rating", RATING_RULE)]))?;
    user_movie::set(&state, path, Action::Rate(Some(rating))).await
}

/// Remove a rating
///
/// Clears the user's rating of the movie. Idempotent.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/ratings/{movie_id}",
    tag = "ratings",
    params(UserMoviePath),
    responses((status = 204, description = "no rating is set"), ClearProblems)
)]
pub(super) async fn remove_rating(
    State(state): State<AppState>,
    path: UserMoviePath,
) -> Result<StatusCode, ApiError> {
    user_movie::clear(&state, path, Action::Rate(None)).await
}

/// Get a rating
///
/// Returns the user's rating of the movie.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/ratings/{movie_id}",
    tag = "ratings",
    params(UserMoviePath),
    responses((status = 200, description = "the rating", body = RatingResponse), GetProblems)
)]
pub(super) async fn get_rating(
    State(state): State<AppState>,
    path: UserMoviePath,
) -> Result<JsonBody<RatingResponse>, ApiError> {
    user_movie::get(&state, path).await
}

/// List ratings
///
/// Lists the user's ratings, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/ratings",
    tag = "ratings",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), MoviesQuery),
    responses(
        (status = 200, description = "the ratings", body = RatingsResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; absent on the last")
        )),
        ListProblems
    )
)]
pub(super) async fn list_ratings(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<MoviesQuery>,
) -> Result<(HeaderMap, JsonBody<RatingsResponse>), ApiError> {
    user_movie::list(&state, user_id, &query, |ratings, next_cursor| {
        RatingsResponse {
            user_id,
            ratings,
            next_cursor,
        }
    })
    .await
}
