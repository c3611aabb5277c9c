//! Which error becomes which status; the only place where one is chosen.

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
        api_keys::{self, MOST_KEYS},
        users::CreateError,
    },
    service::{
        api_keys::ApiKeyError,
        attempts::TooMany,
        auth::AuthError,
        charts::ChartError,
        imports::ImportError,
        interactions::RecordError,
        passwords::HashError,
        signing::SigningError,
        stats::StatsError,
        taste::TasteError,
        users::{ChangeError, SignUpError},
    },
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
    /// A user was not changed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Nobody logged in.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// There are no keys to sign or verify with.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// An API key was not made.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// There is no such API key.
    #[error("API key not found")]
    ApiKeyNotFound,
    /// An interaction was not stored.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The counters of a film are not told.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// Taste is not told, or not changed.
    #[error(transparent)]
    Taste(#[from] TasteError),
    /// The user has nothing of this kind with the film.
    #[error("{0} not found")]
    NothingThere(&'static str),
    /// A history was not taken in, or not called off.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// There is no chart.
    #[error(transparent)]
    Chart(#[from] ChartError),
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
            ApiError::Import(error) => not_imported(error),
            ApiError::UserNotFound
            | ApiError::Record(RecordError::UserNotFound)
            | ApiError::Taste(TasteError::UserNotFound) => {
                Self::new(StatusCode::NOT_FOUND, "user-not-found", "user not found")
                    .detail("no user has this id; POST /api/v1/users makes one")
            }
            ApiError::Record(RecordError::MovieNotFound)
            | ApiError::Stats(StatsError::MovieNotFound) => Self::new(
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
            ApiError::Invalid(errors) | ApiError::Taste(TasteError::Invalid(errors)) => {
                Self::invalid(errors)
            }
            ApiError::InvalidMovieId => Self::invalid(vec![FieldError::new(
                "movie_id",
                "must be a whole number from 1 to 9223372036854775807",
            )])
            .error("invalid movie ID"),
            ApiError::InteractionType(UnknownInteractionType(word)) => {
                let known = InteractionType::statements()
                    .iter()
                    .map(|known| known.as_str())
                    .collect::<Vec<_>>()
                    .join(", ");
                let word: String = word.chars().take(LONGEST_ECHO).collect();
                Self::invalid(vec![FieldError::new(
                    "interaction_type",
                    format!("must be one of {known}"),
                )])
                .error(UnknownInteractionType(word).to_string())
            }
            ApiError::SignUp(SignUpError::Create(error))
            | ApiError::Change(ChangeError::Store(error)) => not_stored(error),
            ApiError::SignUp(SignUpError::Password(error))
            | ApiError::Change(ChangeError::Password(error)) => not_hashed(&error),
            ApiError::SignUp(SignUpError::TooMany(error))
            | ApiError::Change(ChangeError::TooMany(error)) => too_many(error),
            ApiError::Change(ChangeError::NotFound) => ApiError::UserNotFound.into(),
            ApiError::Change(ChangeError::WrongPassword) => {
                let field = FieldError::new("current_password", "must be the present password");
                Self::new(
                    StatusCode::FORBIDDEN,
                    "forbidden",
                    "the present password is wrong",
                )
                .detail("a new password takes the present one, as current_password")
                .errors(vec![field])
            }
            ApiError::Auth(error) => not_logged_in(error),
            ApiError::Signing(error) => not_signed(error),
            ApiError::ApiKey(error) => no_api_key(error),
            ApiError::ApiKeyNotFound => Self::new(
                StatusCode::NOT_FOUND,
                "api-key-not-found",
                "API key not found",
            )
            .detail(
                "the user has no such key; GET /api/v1/users/{id}/api-keys lists those they have",
            ),
            ApiError::Record(RecordError::Catalogue(error))
            | ApiError::Stats(StatsError::Catalogue(error)) => {
                Self::unavailable("the film catalogue").cause(&error)
            }
            ApiError::Chart(ChartError::Invalid(errors)) => Self::invalid(errors),
            ApiError::Chart(ChartError::Catalogue(error)) => {
                Self::unavailable("the film catalogue").cause(&*error)
            }
            ApiError::Chart(ChartError::Database(error)) => chassis::postgres::problem(&error),
            ApiError::Database(error)
            | ApiError::Stats(StatsError::Database(error))
            | ApiError::Taste(TasteError::Database(error)) => chassis::postgres::problem(&error),
            ApiError::Record(RecordError::Undecided) => Self::unavailable("the film catalogue"),
            ApiError::Record(RecordError::Database(error)) => chassis::postgres::problem(&error),
            ApiError::Record(RecordError::Busy) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many writes are waiting",
            )
            .detail("try again after the seconds that Retry-After gives")
            .retry_after(1),
            ApiError::NothingThere(what) => Self::new(
                StatusCode::NOT_FOUND,
                "not-found",
                format!("{what} not found"),
            )
            .detail(format!("the user has no {what} of this film")),
        }
    }
}

fn not_stored(error: CreateError) -> Problem {
    match error {
        CreateError::UsernameTaken => taken("username", "username is already taken"),
        CreateError::EmailTaken => taken("email", "email is already taken"),
        CreateError::Database(error) => chassis::postgres::problem(&error),
    }
}

fn not_hashed(error: &HashError) -> Problem {
    match error {
        HashError::Busy => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "overloaded",
            "too many passwords are being checked",
        )
        .detail("try again after the seconds that Retry-After gives")
        .retry_after(1),
        HashError::Failed(_) => Problem::internal(error),
    }
}

fn too_many(error: TooMany) -> Problem {
    let seconds = error.retry_after;
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate-limited",
        "too many attempts",
    )
    .detail("try again after the seconds that Retry-After gives")
    .retry_after(seconds)
    .member("retry_after", seconds)
}

fn not_logged_in(error: AuthError) -> Problem {
    match error {
        AuthError::WrongCredentials => Problem::new(
            StatusCode::UNAUTHORIZED,
            "wrong-credentials",
            "wrong username or password",
        )
        .detail("show a name, or an e-mail address, and its password; which of them is wrong is not told"),
        AuthError::InvalidRefreshToken => Problem::new(
            StatusCode::UNAUTHORIZED,
            "invalid-refresh-token",
            "invalid refresh token",
        )
        .detail("it is none, has expired, or was used before; log in again"),
        AuthError::TooMany(error) => too_many(error),
        AuthError::Password(error) => not_hashed(&error),
        AuthError::Signing(error) => not_signed(error),
        AuthError::NoRandomness(error) => Problem::internal(&error),
        AuthError::Database(error) => chassis::postgres::problem(&error),
    }
}

fn not_signed(error: SigningError) -> Problem {
    match error {
        SigningError::Database(error) => chassis::postgres::problem(&error),
        error => Problem::internal(&error),
    }
}

fn no_api_key(error: ApiKeyError) -> Problem {
    match error {
        ApiKeyError::Create(api_keys::CreateError::UserNotFound) => ApiError::UserNotFound.into(),
        ApiKeyError::Create(api_keys::CreateError::NotAdmin) => {
            let field = FieldError::new("scopes", "`admin` is for administrators");
            Problem::new(StatusCode::FORBIDDEN, "forbidden", "forbidden")
                .detail("only administrators can have a key with the scope admin")
                .errors(vec![field])
        }
        ApiKeyError::Create(api_keys::CreateError::TooMany) => Problem::new(
            StatusCode::CONFLICT,
            "too-many-api-keys",
            format!("there are {MOST_KEYS} API keys"),
        )
        .detail("take one away before you make another"),
        ApiKeyError::Create(api_keys::CreateError::Database(error)) => {
            chassis::postgres::problem(&error)
        }
        ApiKeyError::NoRandomness(error) => Problem::internal(&error),
    }
}

fn not_imported(error: ImportError) -> Problem {
    let job = |job| serde_json::to_value(job).unwrap_or_default();
    match error {
        ImportError::Invalid(errors) => Problem::invalid(errors),
        ImportError::UserNotFound => ApiError::UserNotFound.into(),
        ImportError::NotFound => {
            Problem::new(StatusCode::NOT_FOUND, "job-not-found", "import not found").detail(
                "the user has no such import, or it ended long ago; GET /api/v1/users/{id}/imports lists them",
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

fn taken(field: &'static str, error: &'static str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", error)
        .detail("choose another; upper and lower case do not make a difference")
        .errors(vec![FieldError::new(field, "is already taken")])
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem::from(self);
        let unauthorized = problem.status() == StatusCode::UNAUTHORIZED;
        let mut response = problem.into_response();
        if unauthorized {
            // RFC 9110, 15.5.2: it must say what would do.
            let headers = response.headers_mut();
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
