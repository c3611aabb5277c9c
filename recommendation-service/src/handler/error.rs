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
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
