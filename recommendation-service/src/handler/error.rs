//! Which error becomes which status; the only place where one is chosen.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::Problem;

use crate::service::{
    experiments::ExperimentError, recommender::RecommendError, rule_sets::RuleSetError,
};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// There is no list.
    #[error(transparent)]
    Recommend(#[from] RecommendError),
    /// Rules were not put.
    #[error(transparent)]
    RuleSet(#[from] RuleSetError),
    /// The rules in force are not those that `If-Match` names, but of this version.
    #[error("version {0} is in force")]
    NotMatched(i64),
    /// An experiment is not as somebody wants it.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
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
            ApiError::Recommend(RecommendError::Database(error))
            | ApiError::RuleSet(RuleSetError::Database(error))
            | ApiError::Experiment(ExperimentError::Database(error))
            | ApiError::Database(error) => chassis::postgres::problem(&error),
            ApiError::RuleSet(RuleSetError::Invalid(errors))
            | ApiError::Experiment(ExperimentError::Invalid(errors)) => Self::invalid(errors),
            ApiError::RuleSet(RuleSetError::Outdated { known, .. }) => {
                outdated(StatusCode::CONFLICT, known)
            }
            ApiError::NotMatched(known) => outdated(StatusCode::PRECONDITION_FAILED, known),
            ApiError::Experiment(ExperimentError::NotFound) => Self::new(
                StatusCode::NOT_FOUND,
                "experiment-not-found",
                "experiment not found",
            )
            .detail("GET /api/v1/admin/experiments lists those that there are"),
            ApiError::Experiment(ExperimentError::Fixed(field)) => Self::new(
                StatusCode::CONFLICT,
                "experiment-running",
                format!("{field} cannot change while the experiment runs"),
            )
            .detail("stop it with \"status\": \"stopped\" and put it again, as another experiment"),
            ApiError::Experiment(ExperimentError::LayerTaken(layer)) => Self::new(
                StatusCode::CONFLICT,
                "layer-taken",
                format!("another experiment runs in the layer {layer}"),
            )
            .detail("stop that one first; one experiment runs in a layer at a time"),
        }
    }
}

fn outdated(status: StatusCode, known: i64) -> Problem {
    Problem::new(
        status,
        "rules-outdated",
        format!("version {known} of the rules is in force"),
    )
    .detail("look at what was changed with GET /api/v1/admin/rules, then send the version in force")
    .member("version", known)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
