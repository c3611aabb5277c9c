//! Which error becomes which status; the only place where one is chosen.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{Problem, problem::FieldError};

use crate::{
    models::{InteractionType, InvalidUser, UnknownInteractionType},
    repository::users::CreateError,
    service::{interactions::RecordError, users::SignUpError},
};

/// How much of a word that we do not know is said back.
const LONGEST_ECHO: usize = 50;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// There is no such user.
    #[error("user not found")]
    UserNotFound,
    /// Somebody signs up with less than they must.
    #[error("username and email are required")]
    MissingUser(Vec<FieldError>),
    /// Fields of the request are wrong.
    #[error("invalid request")]
    Invalid(Vec<FieldError>),
    /// The film's id cannot be one.
    #[error("invalid movie ID")]
    InvalidMovieId,
    /// The interaction is none that we know.
    #[error(transparent)]
    InteractionType(#[from] UnknownInteractionType),
    /// A user was not stored.
    #[error(transparent)]
    SignUp(#[from] SignUpError),
    /// An interaction was not stored.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<InvalidUser> for ApiError {
    fn from(error: InvalidUser) -> Self {
        match error {
            InvalidUser::Missing(errors) => Self::MissingUser(errors),
            InvalidUser::Invalid(errors) => Self::Invalid(errors),
        }
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::UserNotFound | ApiError::Record(RecordError::UserNotFound) => {
                Self::new(StatusCode::NOT_FOUND, "user-not-found", "user not found")
                    .detail("no user has this id; POST /api/v1/users makes one")
            }
            ApiError::Record(RecordError::MovieNotFound) => Self::new(
                StatusCode::NOT_FOUND,
                "movie-not-found",
                "movie not found",
            )
            .detail(
                "no film of the catalogue has this id; GET /api/v1/movies lists those there are",
            ),
            ApiError::MissingUser(errors) => {
                Self::invalid(errors).error("username and email are required")
            }
            ApiError::Invalid(errors) => Self::invalid(errors),
            ApiError::InvalidMovieId => Self::invalid(vec![FieldError::new(
                "movie_id",
                "must be a whole number from 1 to 9223372036854775807",
            )])
            .error("invalid movie ID"),
            ApiError::InteractionType(UnknownInteractionType(word)) => {
                let known = InteractionType::ALL.map(InteractionType::as_str).join(", ");
                let word: String = word.chars().take(LONGEST_ECHO).collect();
                Self::invalid(vec![FieldError::new(
                    "interaction_type",
                    format!("must be one of {known}"),
                )])
                .error(UnknownInteractionType(word).to_string())
            }
            ApiError::SignUp(SignUpError::Create(CreateError::UsernameTaken)) => {
                taken("username", "username is already taken")
            }
            ApiError::SignUp(SignUpError::Create(CreateError::EmailTaken)) => {
                taken("email", "email is already taken")
            }
            ApiError::SignUp(SignUpError::Password(error)) => Self::internal(&error),
            ApiError::Record(RecordError::Catalogue(error)) => {
                Self::unavailable("the film catalogue").cause(&error)
            }
            ApiError::SignUp(SignUpError::Create(CreateError::Database(error)))
            | ApiError::Record(RecordError::Database(error))
            | ApiError::Database(error) => chassis::postgres::problem(&error),
        }
    }
}

fn taken(field: &'static str, error: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", error)
        .detail("choose another; upper and lower case do not make a difference")
        .errors(vec![FieldError::new(field, "is already taken")])
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
