//! Ratings: how many stars a user gives a film.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::{
    extract::{Json, Path, Query},
    problem::{FieldError, ProblemDocument},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    error::ApiError,
    films::{FilmsQuery, page},
    interactions::RATING_RULE,
    user_film::UserFilm,
};
use crate::{
    models::{Action, MovieId, Rating, UserId, UserMovie},
    repository::user_movies::Listed,
    service::writer::Command,
    state::AppState,
};

/// How many stars a user gives a film.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"rating": 4.5}))]
pub(super) struct SetRatingRequest {
    /// 0.5 to 5 stars, in halves.
    // Optional, so that null is refused by name.
    #[schema(required, value_type = f64, minimum = 0.5, maximum = 5, multiple_of = 0.5)]
    rating: Option<f64>,
}

/// How many stars a user gives a film, and since when.
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
    /// 0.5 to 5 stars.
    rating: f64,
    /// Since when they rate it so.
    rated_at: DateTime<Utc>,
}

impl RatingResponse {
    fn of(user_id: UserId, movie_id: MovieId, state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id,
            movie_id,
            rating: state.rating.value?.stars(),
            rated_at: state.rating.since()?,
        })
    }
}

/// The films that a user rated, newest first.
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
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Rate a film
///
/// Gives it stars, in place of those that the user gave it before. To give the same again changes nothing.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/ratings/{movie_id}",
    tag = "ratings",
    params(UserFilm),
    request_body = SetRatingRequest,
    responses(
        (status = 200, description = "the rating, as it stands", body = RatingResponse),
        (status = 400, description = "an id or the rating is wrong, or a field is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_rating(
    State(state): State<AppState>,
    film: UserFilm,
    Json(request): Json<SetRatingRequest>,
) -> Result<JsonBody<RatingResponse>, ApiError> {
    let rating = request
        .rating
        .and_then(Rating::from_stars)
        .ok_or_else(|| ApiError::Invalid(vec![FieldError::new("rating", RATING_RULE)]))?;
    let command = Command::now(film.id, film.movie_id, Action::Rate(Some(rating)));
    let written = state.interactions.record(command).await?;
    RatingResponse::of(film.id, film.movie_id, &written.state)
        .map(JsonBody)
        .ok_or(ApiError::NothingThere("rating"))
}

/// Take a rating back
///
/// Afterwards the user has not rated the film. To do it again changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/ratings/{movie_id}",
    tag = "ratings",
    params(UserFilm),
    responses(
        (status = 204, description = "there is no rating now"),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove_rating(
    State(state): State<AppState>,
    film: UserFilm,
) -> Result<StatusCode, ApiError> {
    let command = Command::now(film.id, film.movie_id, Action::Rate(None));
    state.interactions.record(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A rating
///
/// How many stars the user gives the film.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/ratings/{movie_id}",
    tag = "ratings",
    params(UserFilm),
    responses(
        (status = 200, description = "the rating", body = RatingResponse),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`), or they did not rate it (`rating not found`)", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_rating(
    State(state): State<AppState>,
    film: UserFilm,
) -> Result<JsonBody<RatingResponse>, ApiError> {
    let found = state.interactions.find(film.id, film.movie_id).await?;
    found
        .and_then(|found| RatingResponse::of(film.id, film.movie_id, &found))
        .map(JsonBody)
        .ok_or(ApiError::NothingThere("rating"))
}

/// A user's ratings
///
/// The films that the user rated, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/ratings",
    tag = "ratings",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), FilmsQuery),
    responses(
        (status = 200, description = "the films", body = RatingsResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; left out on the last")
        )),
        (status = 400, description = "the id or a parameter is wrong, or a parameter is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_ratings(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<FilmsQuery>,
) -> Result<(HeaderMap, JsonBody<RatingsResponse>), ApiError> {
    let list = page(
        &state,
        user_id,
        Listed::Ratings,
        &query,
        |movie, standing| {
            let film = RatingResponse::of(user_id, movie, standing)?;
            let at = film.rated_at;
            Some((film, at))
        },
    )
    .await?;
    let body = RatingsResponse {
        user_id,
        ratings: list.films,
        next_cursor: list.next_cursor,
    };
    Ok((list.headers, JsonBody(body)))
}
