//! The mapping from errors to problems: the only place where a status is chosen.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{Problem, problem::FieldError};

use crate::{
    experiments::ExperimentError, ranking::RecommendError, registry::ModelError,
    rules::store::RuleSetError,
};

/// The errors of requests, which become problems here and nowhere else.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// There is no list.
    #[error(transparent)]
    Recommend(#[from] RecommendError),
    /// Rules are not stored.
    #[error(transparent)]
    RuleSet(#[from] RuleSetError),
    /// Another version of the rules is in force than `If-Match` names: this one.
    #[error("version {0} is in force")]
    NotMatched(i64),
    /// An experiment cannot be changed or found.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// Postgres is unreachable or a statement failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The caller may not do this.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The request cannot be read.
    #[error("invalid request")]
    Unreadable(Box<Problem>),
    /// A version of the models cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
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
                    .detail("no user has this id; POST /api/v1/users creates one")
            }
            ApiError::Recommend(RecommendError::MemberNotFound { place, id }) => {
                let message = format!("no user has the id {}", id.get());
                Self::new(StatusCode::NOT_FOUND, "user-not-found", "user not found")
                    .detail("name users that exist; POST /api/v1/users creates one")
                    .errors(vec![FieldError::new(format!("user_ids[{place}]"), message)])
            }
            ApiError::Recommend(RecommendError::GroupNotFound) => {
                Self::new(StatusCode::NOT_FOUND, "group-not-found", "group not found")
                    .detail("GET /api/v1/groups lists the caller's groups")
            }
            ApiError::Recommend(RecommendError::Upstream(error)) => {
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
            .detail("GET /api/v1/admin/experiments lists those that exist"),
            ApiError::Experiment(ExperimentError::Fixed(field)) => Self::new(
                StatusCode::CONFLICT,
                "experiment-running",
                format!("{field} cannot change while the experiment runs"),
            )
            .detail(
                "stop it with \"status\": \"stopped\", then create it again as another experiment",
            ),
            ApiError::Experiment(ExperimentError::LayerTaken(layer)) => Self::new(
                StatusCode::CONFLICT,
                "layer-taken",
                format!("another experiment runs in the layer {layer}"),
            )
            .detail("stop that one first; one experiment runs in a layer at a time"),
            ApiError::Recommend(RecommendError::NotTrained(error)) => {
                Self::new(StatusCode::CONFLICT, "not-trained", error.to_string())
                    .detail("this strategy needs a model that is not live here; use blend")
            }
            ApiError::Recommend(RecommendError::Invalid(errors)) => Self::invalid(errors),
            ApiError::Recommend(RecommendError::MovieNotFound) => {
                Self::new(StatusCode::NOT_FOUND, "movie-not-found", "movie not found")
                    .detail("no movie has this id; GET /api/v1/movies lists those that exist")
            }
            ApiError::Recommend(RecommendError::ListNotFound) => {
                Self::new(StatusCode::NOT_FOUND, "list-not-found", "list not found")
                    .detail("no list of yours has this id, or it has expired; request a new one")
            }
            ApiError::Recommend(RecommendError::Stopping) => {
                Self::unavailable("the recommender").error("the process is stopping")
            }
            ApiError::Forbidden(why) => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "forbidden").detail(why)
            }
            ApiError::Unreadable(problem) => *problem,
            ApiError::Model(ModelError::Database(error)) => chassis::postgres::problem(&error),
            ApiError::Model(ModelError::Stopping) => Self::unavailable("this service"),
            ApiError::Model(error @ ModelError::NotFound(_)) => {
                Self::new(StatusCode::NOT_FOUND, "model-not-found", "model not found").detail(
                    format!("{error}; GET /api/v1/admin/models lists those that exist"),
                )
            }
            ApiError::Model(error @ (ModelError::Damaged(_) | ModelError::Unusable { .. })) => {
                Self::new(
                    StatusCode::CONFLICT,
                    "model-unusable",
                    "model cannot be used",
                )
                .detail(format!("{error}; activate another version, or train again"))
            }
        }
    }
}

fn outdated(status: StatusCode, known: i64) -> Problem {
    Problem::new(
        status,
        "rules-outdated",
        format!("version {known} of the rules is in force"),
    )
    .detail("see the changes with GET /api/v1/admin/rules, then send the version in force")
    .member("version", known)
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
