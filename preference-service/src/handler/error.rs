//! The mapping of errors to problems (RFC 9457); the only place where a status code is chosen. A
//! server error reveals nothing about its cause; the cause is logged.

use axum::{
    http::{
        StatusCode,
        header::{HeaderValue, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use chassis::{Problem, problem::FieldError};

use crate::{
    models::{InteractionType, InvalidUser, UnknownInteractionType},
    repository::{
        api_keys::{self, MAX_KEYS},
        users::StoreError,
    },
    service::{
        attempts::TooManyAttempts, auth::AuthError, charts::ChartError, imports::ImportError,
        interactions::RecordError, passwords::PasswordError, signing::SigningError,
        stats::StatsError, taste::TasteError, users::UserError,
    },
};

chassis::problem_responses! {
    /// 404: the user does not exist.
    pub(super) UserNotFound = 404, "no user has this id: `user not found`";
    /// 404: the user has no such import.
    pub(super) ImportNotFound = 404, "the user has no such import: `import not found`";
}

/// Characters of an unknown word that are echoed.
const MAX_ECHO_LENGTH: usize = 50;
const RETRY: &str = "try again after the number of seconds in Retry-After";

/// The reason why a request failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("user not found")]
    UserNotFound,
    #[error("username and email are required")]
    MissingUser(Vec<FieldError>),
    #[error("invalid request")]
    Invalid(Vec<FieldError>),
    #[error("invalid movie ID")]
    InvalidMovieId,
    #[error(transparent)]
    InteractionType(#[from] UnknownInteractionType),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Signing(#[from] SigningError),
    #[error(transparent)]
    ApiKey(#[from] api_keys::CreateError),
    #[error("API key not found")]
    ApiKeyNotFound,
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Stats(#[from] StatsError),
    #[error(transparent)]
    Taste(#[from] TasteError),
    #[error("{0} not found")]
    NothingThere(&'static str),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Chart(#[from] ChartError),
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
            ApiError::UserNotFound => user_not_found(),
            ApiError::MissingUser(errors) => {
                Self::invalid(errors).error("username and email are required")
            }
            ApiError::Invalid(errors) => Self::invalid(errors),
            ApiError::InvalidMovieId => Self::invalid(vec![FieldError::new(
                "movie_id",
                "must be a whole number from 1 to 9223372036854775807",
            )])
            .error("invalid movie ID"),
            ApiError::InteractionType(error) => unknown_interaction_type(&error),
            ApiError::User(error) => user_problem(error),
            ApiError::Auth(error) => auth_problem(error),
            ApiError::Signing(error) => signing_problem(error),
            ApiError::ApiKey(error) => api_key_problem(error),
            ApiError::ApiKeyNotFound => Self::new(
                StatusCode::NOT_FOUND,
                "api-key-not-found",
                "API key not found",
            )
            .detail(
                "the user has no key of this id; GET /api/v1/users/{id}/api-keys lists their keys",
            ),
            ApiError::Record(error) => record_problem(error),
            ApiError::Stats(StatsError::MovieNotFound) => movie_not_found(),
            ApiError::Stats(StatsError::Catalogue(error)) => {
                Self::unavailable("the film catalogue").cause(&error)
            }
            ApiError::Stats(StatsError::Database(error)) => chassis::postgres::problem(&error),
            ApiError::Taste(TasteError::UserNotFound) => user_not_found(),
            ApiError::Taste(TasteError::Invalid(errors)) => Self::invalid(errors),
            ApiError::Taste(TasteError::Database(error)) => chassis::postgres::problem(&error),
            ApiError::NothingThere(what) => Self::new(
                StatusCode::NOT_FOUND,
                "not-found",
                format!("{what} not found"),
            )
            .detail(format!("the user has no {what} of this movie")),
            ApiError::Import(error) => import_problem(error),
            ApiError::Chart(ChartError::Invalid(errors)) => Self::invalid(errors),
            ApiError::Chart(ChartError::Catalogue(error)) => {
                Self::unavailable("the film catalogue").cause(&*error)
            }
            ApiError::Chart(ChartError::Database(error)) => chassis::postgres::problem(&error),
            ApiError::Database(error) => chassis::postgres::problem(&error),
        }
    }
}

fn user_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "user-not-found", "user not found")
        .detail("no user has this id; POST /api/v1/users creates one")
}

fn movie_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "movie-not-found", "movie not found")
        .detail("the catalogue has no movie of this id; GET /api/v1/movies lists its movies")
}

fn overloaded(error: &'static str) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", error)
        .detail(RETRY)
        .retry_after(1)
}

fn unknown_interaction_type(UnknownInteractionType(word): &UnknownInteractionType) -> Problem {
    let known = InteractionType::STATEMENTS
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let word: String = word.chars().take(MAX_ECHO_LENGTH).collect();
    let message = format!("must be one of {known}");
    Problem::invalid(vec![FieldError::new("interaction_type", message)])
        .error(UnknownInteractionType(word).to_string())
}

fn user_problem(error: UserError) -> Problem {
    let taken = |field: &'static str, error: &'static str| {
        Problem::new(StatusCode::CONFLICT, "conflict", error)
            .detail("choose another; case is ignored")
            .errors(vec![FieldError::new(field, "is already taken")])
    };
    match error {
        UserError::NotFound => user_not_found(),
        UserError::WrongPassword => {
            let field = FieldError::new("current_password", "must be the present password");
            Problem::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "the present password is wrong",
            )
            .detail("a new password requires the present one in current_password")
            .errors(vec![field])
        }
        UserError::TooManyAttempts(error) => too_many_attempts(error),
        UserError::Store(StoreError::UsernameTaken) => {
            taken("username", "username is already taken")
        }
        UserError::Store(StoreError::EmailTaken) => taken("email", "email is already taken"),
        UserError::Store(StoreError::Database(error)) => chassis::postgres::problem(&error),
        UserError::Password(error) => password_problem(&error),
    }
}

fn password_problem(error: &PasswordError) -> Problem {
    match error {
        PasswordError::Busy => overloaded("too many passwords are being checked"),
        PasswordError::Failed(_) => Problem::internal(error),
    }
}

fn too_many_attempts(error: TooManyAttempts) -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate-limited",
        "too many attempts",
    )
    .detail(RETRY)
    .retry_after(error.retry_after)
    .member("retry_after", error.retry_after)
}

fn auth_problem(error: AuthError) -> Problem {
    match error {
        AuthError::InvalidCredentials => Problem::new(
            StatusCode::UNAUTHORIZED,
            "wrong-credentials",
            "wrong username or password",
        )
        .detail("invalid username or password"),
        AuthError::InvalidRefreshToken => Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid-refresh-token",
            "invalid refresh token",
        )
        .detail("the refresh token is invalid, expired or already used; log in again"),
        AuthError::TooManyAttempts(error) => too_many_attempts(error),
        AuthError::Password(error) => password_problem(&error),
        AuthError::Signing(error) => signing_problem(error),
        AuthError::Database(error) => chassis::postgres::problem(&error),
    }
}

fn signing_problem(error: SigningError) -> Problem {
    match error {
        SigningError::Database(error) => chassis::postgres::problem(&error),
        error => Problem::internal(&error),
    }
}

fn api_key_problem(error: api_keys::CreateError) -> Problem {
    match error {
        api_keys::CreateError::UserNotFound => user_not_found(),
        api_keys::CreateError::NotAdmin => {
            let field = FieldError::new("scopes", "`admin` requires an administrator");
            Problem::new(StatusCode::FORBIDDEN, "forbidden", "forbidden")
                .detail("the scope admin requires an administrator")
                .errors(vec![field])
        }
        api_keys::CreateError::TooMany => Problem::new(
            StatusCode::CONFLICT,
            "too-many-api-keys",
            format!("there are {MAX_KEYS} API keys"),
        )
        .detail("delete a key before you create another"),
        api_keys::CreateError::Database(error) => chassis::postgres::problem(&error),
    }
}

fn record_problem(error: RecordError) -> Problem {
    match error {
        RecordError::UserNotFound => user_not_found(),
        RecordError::MovieNotFound => movie_not_found(),
        RecordError::Catalogue(error) => Problem::unavailable("the film catalogue").cause(&error),
        RecordError::Undecided => Problem::unavailable("the film catalogue"),
        RecordError::Busy => overloaded("too many writes are waiting"),
        RecordError::Database(error) => chassis::postgres::problem(&error),
    }
}

fn import_problem(error: ImportError) -> Problem {
    let job = |job| serde_json::to_value(job).unwrap_or_default();
    match error {
        ImportError::Invalid(errors) => Problem::invalid(errors),
        ImportError::UserNotFound => user_not_found(),
        ImportError::NotFound => {
            Problem::new(StatusCode::NOT_FOUND, "job-not-found", "import not found").detail(
                "the user has no import of this id, or it ended long ago; GET /api/v1/users/{id}/imports lists them",
            )
        }
        ImportError::Running(running) => Problem::new(
            StatusCode::CONFLICT,
            "import-running",
            "an import is already running",
        )
        .detail("wait until the import under `job` has ended, or cancel it")
        .member("job", job(running)),
        ImportError::Ended(ended) => Problem::new(
            StatusCode::CONFLICT,
            "job-status",
            format!("the import is {}", ended.status.name()),
        )
        .detail("only an import that has not ended can be cancelled")
        .member("job", job(ended)),
        ImportError::Database(error) => chassis::postgres::problem(&error),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem::from(self);
        let is_unauthorized = problem.status() == StatusCode::UNAUTHORIZED;
        let mut response = problem.into_response();
        if is_unauthorized {
            // Required with 401 (RFC 9110, 15.5.2).
            let headers = response.headers_mut();
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
