//! TMDB's errors: its own codes, HTTP statuses and sentences, as its documentation lists them.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use thiserror::Error;

use crate::catalogue::ParameterError;

/// An error response of TMDB.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum TmdbError {
    #[error("Invalid parameters: Your request parameters are incorrect.")]
    InvalidParameters,
    #[error("Invalid id: The pre-requisite id is invalid or not found.")]
    InvalidId,
    #[error("Invalid API key: You must be granted a valid key.")]
    InvalidKey,
    #[error("Invalid date range: Should be a range no longer than 14 days.")]
    InvalidDateRange,
    #[error("Invalid page: Pages start at 1 and max at 500. They are expected to be an integer.")]
    InvalidPage,
    #[error("Your request count (41) is over the allowed limit of (40).")]
    TooManyRequests { retry_after: Option<u64> },
    #[error("Too many append to response objects: The maximum number of remote calls is 20.")]
    TooManyAppends,
    #[error("The resource you requested could not be found.")]
    NotFound,
    #[error("This method is not supported for this resource.")]
    MethodNotAllowed,
    /// A failure of TMDB's own; always a 5xx.
    #[error("{}", failure(.0).1)]
    Failure(u16),
}

impl TmdbError {
    /// The HTTP status and TMDB's code.
    fn codes(self) -> (u16, u32) {
        match self {
            Self::InvalidParameters => (422, 5),
            Self::InvalidId => (404, 6),
            Self::InvalidKey => (401, 7),
            Self::InvalidDateRange => (422, 20),
            Self::InvalidPage => (400, 22),
            Self::TooManyRequests { .. } => (429, 25),
            Self::TooManyAppends => (400, 27),
            Self::NotFound => (404, 34),
            Self::MethodNotAllowed => (405, 42),
            Self::Failure(status) => (status, failure(&status).0),
        }
    }
}

/// TMDB's code and sentence for a status of 5xx.
fn failure(status: &u16) -> (u32, &'static str) {
    match status {
        502 => (43, "Couldn't connect to the backend server."),
        503 => (
            9,
            "Service offline: This service is temporarily offline, try again later.",
        ),
        504 => (
            24,
            "Your request to the backend server timed out. Try again.",
        ),
        _ => (11, "Internal error: Something went wrong, contact TMDb."),
    }
}

impl IntoResponse for TmdbError {
    fn into_response(self) -> Response {
        let (status, code) = self.codes();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = match self {
            Self::TooManyRequests { retry_after } => retry_after,
            _ => None,
        };
        let retry_after = retry_after.map(|seconds| [(RETRY_AFTER, seconds.to_string())]);
        let body =
            json!({ "success": false, "status_code": code, "status_message": self.to_string() });
        (status, retry_after, Json(body)).into_response()
    }
}

impl From<ParameterError> for TmdbError {
    fn from(error: ParameterError) -> Self {
        // TMDB does not name the parameter; our log does.
        tracing::info!(%error, "refused a parameter");
        Self::InvalidParameters
    }
}
