//! The errors of the domain, returned by repositories and services; [`crate::handler`] alone maps them to statuses. The
//! text of an error is the one line that clients read.

use std::sync::Arc;

use chassis::{client::CallError, postgres::violated_constraint, problem::FieldError};

use crate::models::{
    Import, LoginRefusal, MAX_GROUPS, MAX_INVITATIONS, MAX_MEMBERS, MAX_WEBHOOKS, PayloadError,
    Suspension,
};

/// API keys per user.
pub const MAX_API_KEYS: i64 = 50;

/// The reason why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No user has this id.
    #[error("user not found")]
    UserNotFound,
    /// The movie is not in the catalogue.
    #[error("movie not found")]
    MovieNotFound,
    /// The user has no such import.
    #[error("import not found")]
    ImportNotFound,
    /// The user has no such viewing.
    #[error("viewing not found")]
    ViewingNotFound,
    /// The user is not a member of the group, or it does not exist.
    #[error("group not found")]
    GroupNotFound,
    /// The group has no other member of this id.
    #[error("member not found")]
    MemberNotFound,
    /// No valid invitation has this code.
    #[error("invitation not found")]
    InvitationNotFound,
    /// The user is a member of the group, but does not own it.
    #[error("forbidden")]
    NotGroupOwner,
    /// The user is a member of [`MAX_GROUPS`] groups.
    #[error("there are {MAX_GROUPS} groups")]
    TooManyGroups,
    /// The group has [`MAX_MEMBERS`] members.
    #[error("the group has {MAX_MEMBERS} members")]
    GroupFull,
    /// The group has [`MAX_INVITATIONS`] invitations.
    #[error("there are {MAX_INVITATIONS} invitations")]
    TooManyInvitations,
    /// The user has no such webhook, or no webhook has this secret.
    #[error("webhook not found")]
    WebhookNotFound,
    /// The user has [`MAX_WEBHOOKS`] webhooks.
    #[error("there are {MAX_WEBHOOKS} webhooks")]
    TooManyWebhooks,
    /// A household webhook was requested for a user who is no administrator.
    #[error("forbidden")]
    NotHouseholdAdmin,
    /// The payload of a delivery cannot be read.
    #[error("{0}")]
    InvalidPayload(PayloadError),
    /// The import has no such movie that was not found.
    #[error("unmatched title not found")]
    UnmatchedNotFound,
    /// The import is a dry run, or another movie was named for the title.
    #[error("{0}")]
    CannotResolve(&'static str),
    /// The user has no such API key.
    #[error("API key not found")]
    ApiKeyNotFound,
    /// The user's state for the movie has no value of this name.
    #[error("{0} not found")]
    NotSet(&'static str),
    /// Fields of the request are invalid.
    #[error("invalid request")]
    Invalid(Vec<FieldError>),
    /// The username or the e-mail address of a sign-up is absent or blank.
    #[error("username and email are required")]
    MissingUser(Vec<FieldError>),
    /// The movie of an interaction is not a positive integer.
    #[error("invalid movie ID")]
    InvalidMovieId,
    /// The type of an interaction is not one that sets a value.
    #[error("invalid interaction type: {0:.50}")]
    UnknownInteractionType(String),
    /// Another user has the username.
    #[error("username is already taken")]
    UsernameTaken,
    /// Another user has the e-mail address.
    #[error("email is already taken")]
    EmailTaken,
    /// The present password, which a new one requires, is absent or incorrect.
    #[error("the present password is wrong")]
    WrongPassword,
    /// The user does not exist, has no password, or has another.
    #[error("wrong username or password")]
    InvalidCredentials,
    /// The refresh token is invalid, expired or already used.
    #[error("invalid refresh token")]
    InvalidRefreshToken,
    /// The limit of attempts is exceeded for so many seconds, at least 1.
    #[error("too many attempts")]
    TooManyAttempts(u64),
    /// No address of the user waits for its verification.
    #[error("the e-mail address is verified")]
    AlreadyVerified,
    /// The link of a verification is unknown, used or has expired.
    #[error("verification link not found")]
    VerificationNotFound,
    /// The caller may not do this.
    #[error("forbidden")]
    NotPermitted(&'static str),
    /// The account is suspended; only who has given the password is told.
    #[error("the account is suspended")]
    Suspended(Suspension),
    /// The scope `admin` was requested for a user who is no administrator.
    #[error("forbidden")]
    NotAdmin,
    /// The user has [`MAX_API_KEYS`] keys.
    #[error("there are {MAX_API_KEYS} API keys")]
    TooManyApiKeys,
    /// No login provider has this name.
    #[error("login provider not found")]
    ProviderNotFound,
    /// A login by a provider is refused.
    #[error("the login was refused")]
    LoginRefused(LoginRefusal),
    /// The provider cannot be reached or does not work; the cause.
    #[error("{0}")]
    ProviderUnavailable(String),
    /// The user code of a device is unknown, decided or has expired.
    #[error("user code not found")]
    UserCodeNotFound,
    /// The user has no such external identity.
    #[error("identity not found")]
    IdentityNotFound,
    /// The user has as many identities as are allowed.
    #[error("too many identities are linked")]
    TooManyIdentities,
    /// The user could not log in without it.
    #[error("it is the only way to log in")]
    LastLogin,
    /// Another import of the user has not ended.
    #[error("an import is already running")]
    ImportRunning(Box<Import>),
    /// The import has already ended.
    #[error("the import is {}", .0.status.name())]
    ImportEnded(Box<Import>),
    /// Too many writes are pending, or the process is stopping.
    #[error("too many writes are waiting")]
    WriterBusy,
    /// No permit to hash a password became free in time.
    #[error("too many passwords are being checked")]
    PasswordsBusy,
    /// movie-service is unavailable.
    #[error(transparent)]
    Catalogue(#[from] CallError),
    /// movie-service cannot confirm this movie of a batch at present.
    #[error("the movie cannot be confirmed at present")]
    Unconfirmed,
    /// A password cannot be hashed, or a signing key cannot be used.
    #[error("{0}")]
    Internal(String),
    /// Postgres is unreachable or a statement failed.
    #[error(transparent)]
    Database(Arc<sqlx::Error>),
}

impl From<Vec<FieldError>> for Error {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match violated_constraint(&error) {
            Some("username_taken" | "username_look_alike") => Self::UsernameTaken,
            Some("email_taken") => Self::EmailTaken,
            _ => Self::Database(Arc::new(error)),
        }
    }
}
