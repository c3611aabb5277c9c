//! Which error becomes which status; the only place where one is chosen.

use std::sync::Arc;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{Problem, problem::FieldError};

use crate::service::{hydration::HydrationError, intake::IntakeError, listing::ListError};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// There is no film, shared by all who asked at once.
    #[error(transparent)]
    Hydration(#[from] Arc<HydrationError>),
    /// Fields of the request contradict each other or say nothing.
    #[error("invalid request")]
    Invalid(Vec<FieldError>),
    /// Films were not taken in, or there is no such job.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// There is no list.
    #[error(transparent)]
    List(#[from] ListError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// An answer cannot be put into JSON.
    #[error("an answer cannot be written")]
    Unwritable(#[source] serde_json::Error),
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Hydration(error) => hydration_problem(&error),
            ApiError::Invalid(errors) => Self::invalid(errors),
            ApiError::Intake(error) => intake_problem(error),
            ApiError::List(ListError::Loading) => Self::unavailable("the list index"),
            ApiError::List(ListError::Database(error)) | ApiError::Database(error) => {
                chassis::postgres::problem(&error)
            }
            ApiError::Unwritable(_) => Self::internal(&error),
        }
    }
}

fn intake_problem(error: IntakeError) -> Problem {
    let job = |job| serde_json::to_value(job).unwrap_or_default();
    match error {
        IntakeError::Running(running) => Problem::new(
            StatusCode::CONFLICT,
            "sync-running",
            format!("a {} is already running", running.kind.name()),
        )
        .detail("wait until the job under `job` has ended, then ask again")
        .member("job", job(running)),
        IntakeError::OtherStatus(other) => Problem::new(
            StatusCode::CONFLICT,
            "job-status",
            format!("the job is {}", other.status.name()),
        )
        .detail(
            "only a job that has not ended can be cancelled, only one that has ended tried again",
        )
        .member("job", job(other)),
        IntakeError::NotFound => {
            Problem::new(StatusCode::NOT_FOUND, "job-not-found", "job not found")
                .detail("no job has this id, or it ended long ago; GET /api/v1/jobs lists them")
        }
        IntakeError::KeyTaken => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "this Idempotency-Key was used for another request",
        )
        .detail("use a new key for a new request"),
        IntakeError::Tmdb(_) => Problem::new(
            StatusCode::BAD_GATEWAY,
            "tmdb-failed",
            "sync failed: TMDB gave nothing",
        )
        .detail("the catalogue is unchanged; try again later, or look into the service's log")
        .cause(&error),
        IntakeError::Stopping => Problem::unavailable("the service"),
        IntakeError::Database(error) => chassis::postgres::problem(&error),
    }
}

fn hydration_problem(error: &HydrationError) -> Problem {
    match error {
        HydrationError::NotFound => {
            Problem::new(StatusCode::NOT_FOUND, "movie-not-found", "movie not found")
                .detail("no film has this id; GET /api/v1/movies lists those of the catalogue")
        }
        HydrationError::TmdbAway { retry_after, .. } => Problem::unavailable("TMDB")
            .detail("we do not have this film yet and cannot ask for it now; try again after the seconds that Retry-After gives")
            .retry_after(retry_after.as_secs().max(1))
            .cause(error),
        HydrationError::Database(error) => chassis::postgres::problem(error),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
