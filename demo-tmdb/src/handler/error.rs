//! TMDB's errors: its own codes, HTTP statuses and sentences, as its documentation lists them.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::catalogue::ParameterError;

/// An error response of TMDB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TmdbError {
    InvalidParameters,
    InvalidId,
    InvalidKey,
    InvalidDateRange,
    InvalidPage,
    TooManyRequests {
        retry_after: Option<u64>,
    },
    TooManyAppends,
    NotFound,
    MethodNotAllowed,
    /// A failure of TMDB's own; always a 5xx.
    Failure(StatusCode),
}

impl TmdbError {
    fn parts(self) -> (StatusCode, u32, &'static str) {
        match self {
            Self::InvalidParameters => (
                StatusCode::UNPROCESSABLE_ENTITY,
                5,
                "Invalid parameters: Your request parameters are incorrect.",
            ),
            Self::InvalidId => (
                StatusCode::NOT_FOUND,
                6,
                "Invalid id: The pre-requisite id is invalid or not found.",
            ),
            Self::InvalidKey => (
                StatusCode::UNAUTHORIZED,
                7,
                "Invalid API key: You must be granted a valid key.",
            ),
            Self::InvalidDateRange => (
                StatusCode::UNPROCESSABLE_ENTITY,
                20,
                "Invalid date range: Should be a range no longer than 14 days.",
            ),
            Self::InvalidPage => (
                StatusCode::BAD_REQUEST,
                22,
                "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer.",
            ),
            Self::TooManyRequests { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                25,
                "Your request count (41) is over the allowed limit of (40).",
            ),
            Self::TooManyAppends => (
                StatusCode::BAD_REQUEST,
                27,
                "Too many append to response objects: The maximum number of remote calls is 20.",
            ),
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                34,
                "The resource you requested could not be found.",
            ),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                42,
                "This method is not supported for this resource.",
            ),
            Self::Failure(status) => match status.as_u16() {
                502 => (status, 43, "Couldn't connect to the backend server."),
                503 => (
                    status,
                    9,
                    "Service offline: This service is temporarily offline, try again later.",
                ),
                504 => (
                    status,
                    24,
                    "Your request to the backend server timed out. Try again.",
                ),
                _ => (
                    status,
                    11,
                    "Internal error: Something went wrong, contact TMDb.",
                ),
            },
        }
    }
}

impl IntoResponse for TmdbError {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        let body =
            Json(json!({ "success": false, "status_code": code, "status_message": message }));
        let mut response = (status, body).into_response();
        if let Self::TooManyRequests {
            retry_after: Some(seconds),
        } = self
        {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<ParameterError> for TmdbError {
    fn from(error: ParameterError) -> Self {
        // TMDB does not name the parameter; our log does.
        tracing::info!(%error, "refused a parameter");
        Self::InvalidParameters
    }
}
