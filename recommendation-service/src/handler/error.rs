//! Which error becomes which status; the only place where one is chosen.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::Problem;

use crate::service::recommender::RecommendError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// There is no list.
    #[error(transparent)]
    Recommend(#[from] RecommendError),
    /// Whoever asks may not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The request cannot be read.
    #[error("invalid request")]
    Unreadable(Box<Problem>),
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::Unreadable(Box::new(problem))
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Recommend(RecommendError::UserNotFound) => {
                Self::new(StatusCode::NOT_FOUND, "user-not-found", "user not found")
                    .detail("no user has this id; POST /api/v1/users makes one")
            }
            ApiError::Recommend(RecommendError::Asking(error)) => {
                Self::unavailable("the service that knows the users").cause(&error)
            }
            ApiError::Recommend(RecommendError::Loading) => {
                Self::unavailable("the catalogue").error("the catalogue is still loading")
            }
            ApiError::Recommend(RecommendError::Database(error)) => {
                chassis::postgres::problem(&error)
            }
            ApiError::Recommend(RecommendError::NotTrained(error)) => {
                Self::new(StatusCode::CONFLICT, "not-trained", error.to_string())
                    .detail("this strategy needs a learned model, and none is live; use blend")
            }
            ApiError::Recommend(RecommendError::Invalid(errors)) => Self::invalid(errors),
            ApiError::Recommend(RecommendError::MovieNotFound) => {
                Self::new(StatusCode::NOT_FOUND, "movie-not-found", "movie not found")
                    .detail("no film has this id; GET /api/v1/movies lists those that exist")
            }
            ApiError::Recommend(RecommendError::ListNotFound) => {
                Self::new(StatusCode::NOT_FOUND, "list-not-found", "list not found").detail(
                    "no list of yours has this id, or it is not kept any more; ask for a new one",
                )
            }
            ApiError::Recommend(RecommendError::Stopping) => {
                Self::unavailable("the recommender").error("the process is stopping")
            }
            ApiError::Forbidden(why) => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "forbidden").detail(why)
            }
            ApiError::Unreadable(problem) => *problem,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
