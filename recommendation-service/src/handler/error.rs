//! Which error becomes which status; the only place where one is chosen.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::Problem;

use crate::service::{models::ModelError, recommender::RecommendError};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// There is no list.
    #[error(transparent)]
    Recommend(#[from] RecommendError),
    /// A version of the models is not as it should be.
    #[error(transparent)]
    Model(#[from] ModelError),
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
            ApiError::Model(ModelError::Database(error)) => chassis::postgres::problem(&error),
            ApiError::Model(ModelError::Stopping) => Self::unavailable("this service"),
            ApiError::Model(error @ ModelError::NotFound(_)) => {
                Self::new(StatusCode::NOT_FOUND, "model-not-found", "model not found").detail(
                    format!("{error}; GET /api/v1/admin/models tells which there are"),
                )
            }
            ApiError::Model(error @ (ModelError::Damaged(_) | ModelError::Unusable { .. })) => {
                Self::new(
                    StatusCode::CONFLICT,
                    "model-unusable",
                    "model cannot be used",
                )
                .detail(format!(
                    "{error}; make another version live, or train again"
                ))
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
