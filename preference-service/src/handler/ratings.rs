//! Ratings: 0.5 to 5 stars, at most one per user and movie.

use axum::{Json as JsonBody, extract::State};
use chassis::{Problem, extract::Json, problem::FieldError};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    interactions::RATING_RULE,
    user_movie::{self, PartResponse, SetProblems, UserMoviePath, part_operations},
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

    fn new(state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id: state.user_id,
            movie_id: state.movie_id,
            rating: state.rating?,
            rated_at: state.since(Self::PART)?,
        })
    }
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
) -> Result<JsonBody<RatingResponse>, Problem> {
    let rating = request.rating.and_then(Rating::from_stars);
    let rating = rating.ok_or_else(|| FieldError::new("rating", RATING_RULE))?;
    user_movie::set(&state, path, Action::Rate(Some(rating))).await
}

part_operations! {
    RatingResponse, "ratings",
    get:
    /// Get a rating
    ///
    /// Returns the user's rating of the movie.
    get_rating "/api/v1/users/{id}/ratings/{movie_id}" => "the rating";
    remove:
    /// Remove a rating
    ///
    /// Clears the user's rating of the movie. Idempotent.
    remove_rating "/api/v1/users/{id}/ratings/{movie_id}", Action::Rate(None) => "no rating is set";
    list:
    /// List ratings
    ///
    /// Lists the user's ratings, newest first.
    list_ratings "/api/v1/users/{id}/ratings" => "the ratings",
    /// A page of a user's ratings, newest first.
    RatingsResponse {
        /// The ratings.
        ratings: RatingEntry {
            "user_id": 1,
            "movie_id": 603,
            "rating": 4.5,
            "rated_at": "2026-02-13T08:15:42.123456Z",
            "title": "The Matrix",
            "poster_url": "https://image.tmdb.org/t/p/w500/f89U3ADr1oiB1s9GkdPOEpXUk5H.jpg",
            "progress": null
        }
    }
}
