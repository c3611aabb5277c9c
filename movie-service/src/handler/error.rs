//! The mapping from errors to problem details and statuses, the only place where a status is chosen.

use std::sync::Arc;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{Problem, problem::FieldError};

use crate::service::{
    hydration::HydrationError, images::ImageError, jobs::JobError, listing::ListError,
    search::SearchError,
};

chassis::problem_responses! {
    /// 404: the movie does not exist.
    pub(super) MovieNotFound = 404, "neither the catalogue nor TMDB has the movie";
    /// 404: the catalogue has no movie of the person.
    pub(super) PersonNotFound = 404, "the catalogue has no movie of the person";
    /// 404: there is no such image.
    pub(super) ImageNotFound = 404, "no movie of the catalogue has such an image, TMDB does not have it, or this server serves none";
    /// 502: what TMDB sent is no image.
    pub(super) ImageInvalid = 502, "what TMDB sent is not an image of the requested format, or too large";
    /// 503: the image is not stored and TMDB fails.
    pub(super) ImagesUnavailable = 503, "the image is not stored, and TMDB's image host is unavailable";
    /// 503: the search index is being built.
    pub(super) SearchUnavailable = 503, "the search index is being built, or too many searches run";
    /// 404: the job does not exist.
    pub(super) JobNotFound = 404, "there is no such job";
    /// 409: an equal job is active.
    pub(super) JobRunning = 409, "a job of this kind, or of this idempotency key, has not ended; the member `job` contains it";
    /// 409: the job cannot be cancelled or retried.
    pub(super) OtherStatus = 409, "the status of the job, or another active one of its kind, does not allow this; the member `job` contains it";
    /// 502: TMDB failed.
    pub(super) TmdbFailed = 502, "no page could be fetched from TMDB";
}

/// A failed request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// A movie could not be read; concurrent reads share the error.
    #[error(transparent)]
    Hydration(#[from] Arc<HydrationError>),
    /// An image could not be read; concurrent reads share the error.
    #[error(transparent)]
    Image(#[from] Arc<ImageError>),
    /// Fields of the request are invalid.
    #[error("invalid request")]
    Invalid(Vec<FieldError>),
    /// An import or sync failed, or a job does not exist.
    #[error(transparent)]
    Job(#[from] JobError),
    /// A list could not be read.
    #[error(transparent)]
    List(#[from] ListError),
    /// The catalogue has no movie of the person.
    #[error("person not found")]
    PersonNotFound,
    /// A search failed.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A response could not be serialized.
    #[error("cannot serialize a response")]
    Serialization(#[source] serde_json::Error),
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Hydration(error) => hydration_problem(&error),
            ApiError::Image(error) => image_problem(&error),
            ApiError::Invalid(errors)
            | ApiError::List(ListError::Invalid(errors))
            | ApiError::Search(SearchError::List(ListError::Invalid(errors))) => {
                Self::invalid(errors)
            }
            ApiError::Job(error) => job_problem(error),
            ApiError::PersonNotFound => {
                Self::new(StatusCode::NOT_FOUND, "person-not-found", "person not found")
                    .detail("no movie of the catalogue credits this person; GET /api/v1/people?q= finds people by name")
            }
            ApiError::List(ListError::Loading)
            | ApiError::Search(SearchError::List(ListError::Loading)) => {
                Self::unavailable("the list index")
            }
            ApiError::Search(SearchError::Loading | SearchError::Busy) => {
                Self::unavailable("the search")
            }
            ApiError::Search(SearchError::Index(_)) => Self::internal(&error),
            ApiError::List(ListError::Database(error))
            | ApiError::Search(SearchError::List(ListError::Database(error)))
            | ApiError::Database(error) => {
                chassis::postgres::problem(&error)
            }
            ApiError::Serialization(_) => Self::internal(&error),
        }
    }
}

fn job_problem(error: JobError) -> Problem {
    let job = |job| serde_json::to_value(job).unwrap_or_default();
    match error {
        JobError::Running(running) => Problem::new(
            StatusCode::CONFLICT,
            "sync-running",
            format!("a {} is already running", running.kind.name()),
        )
        .detail("wait until the job in `job` has ended, then retry")
        .member("job", job(running)),
        JobError::OtherStatus(other) => Problem::new(
            StatusCode::CONFLICT,
            "job-status",
            format!("the job is {}", other.status.name()),
        )
        .detail(
            "only an active job can be cancelled, and only an ended one retried",
        )
        .member("job", job(other)),
        JobError::NotFound => {
            Problem::new(StatusCode::NOT_FOUND, "job-not-found", "job not found")
                .detail("no job has this id, or it has expired; GET /api/v1/jobs lists all")
        }
        JobError::KeyTaken => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "this Idempotency-Key was used for another request",
        )
        .detail("use a new key for a new request"),
        JobError::Tmdb(_) => Problem::new(
            StatusCode::BAD_GATEWAY,
            "tmdb-failed",
            "sync failed: TMDB gave nothing",
        )
        .detail("the TMDB request failed and the catalogue is unchanged; retry later, or see the service's log")
        .cause(&error),
        JobError::Stopping => Problem::unavailable("the service"),
        JobError::Database(error) => chassis::postgres::problem(&error),
    }
}

fn hydration_problem(error: &HydrationError) -> Problem {
    match error {
        HydrationError::NotFound => {
            Problem::new(StatusCode::NOT_FOUND, "movie-not-found", "movie not found")
                .detail("no movie has this id; GET /api/v1/movies lists the catalogue")
        }
        HydrationError::TmdbUnavailable { retry_after, .. } => Problem::unavailable("TMDB")
            .detail("the movie is not in the catalogue yet and cannot be fetched now; retry after the time in Retry-After")
            .retry_after(retry_after.as_secs().max(1))
            .cause(error),
        HydrationError::Database(error) => chassis::postgres::problem(error),
    }
}

fn image_problem(error: &ImageError) -> Problem {
    match error {
        ImageError::NotFound => {
            Problem::new(StatusCode::NOT_FOUND, "image-not-found", "image not found")
                .detail("no image has this size and name; poster_url of a movie ends with the name of one")
        }
        ImageError::Invalid(_) => {
            Problem::new(StatusCode::BAD_GATEWAY, "tmdb-failed", "TMDB sent no image")
                .detail("the response of TMDB's image host is not an image of this format, or too large")
                .cause(error)
        }
        ImageError::Unavailable(_) => Problem::unavailable("TMDB")
            .detail("the image is not stored yet and cannot be fetched now; retry after the time in Retry-After")
            .cause(error),
        ImageError::Database(error) => chassis::postgres::problem(error),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
