//! The mapping of errors to problems (RFC 9457); the only place where a status code is chosen. A
//! server error reveals nothing about its cause; the cause is logged.

use axum::http::StatusCode;
use chassis::{Problem, problem::FieldError};

use crate::{
    error::Error,
    models::{InteractionType, LoginRefusal},
};

chassis::problem_responses! {
    /// 404: the user does not exist.
    pub(super) UserNotFound = 404, "no user has this id: `user not found`";
    /// 404: the user has no such import.
    pub(super) ImportNotFound = 404, "the user has no such import: `import not found`";
}

/// The slug of a client error and the correction of the request, by status.
fn client_error(error: &Error) -> Option<(StatusCode, &'static str, &'static str)> {
    use Error as E;
    const RETRY: &str = "try again after the number of seconds in Retry-After";
    const CHOOSE_ANOTHER: &str =
        "choose another; case is ignored, and names that look alike are the same";
    let (status, slug, detail) = match error {
        E::UserNotFound => (
            StatusCode::NOT_FOUND,
            "user-not-found",
            "no user has this id; POST /api/v1/users creates one",
        ),
        E::MovieNotFound => (
            StatusCode::NOT_FOUND,
            "movie-not-found",
            "the catalogue has no movie of this id; GET /api/v1/movies lists its movies",
        ),
        E::ImportNotFound => (
            StatusCode::NOT_FOUND,
            "job-not-found",
            "it does not exist, or ended long ago; GET /api/v1/users/{id}/imports lists all",
        ),
        E::ViewingNotFound => (
            StatusCode::NOT_FOUND,
            "viewing-not-found",
            "GET /api/v1/users/{id}/viewings lists the user's viewings",
        ),
        E::GroupNotFound => (
            StatusCode::NOT_FOUND,
            "group-not-found",
            "GET /api/v1/groups lists the caller's groups",
        ),
        E::MemberNotFound => (
            StatusCode::NOT_FOUND,
            "member-not-found",
            "GET /api/v1/groups/{id} lists the members; leave by DELETE /api/v1/groups/{id}/members/me",
        ),
        E::InvitationNotFound => (
            StatusCode::NOT_FOUND,
            "invitation-not-found",
            "the code does not exist, has expired or is used up; request another from the owner of the group",
        ),
        E::NotGroupOwner => (
            StatusCode::FORBIDDEN,
            "forbidden",
            "only the owner of the group may do this",
        ),
        E::TooManyGroups => (
            StatusCode::CONFLICT,
            "too-many-groups",
            "leave a group before you create or join another",
        ),
        E::GroupFull => (
            StatusCode::CONFLICT,
            "group-full",
            "a member has to leave before another can join",
        ),
        E::TooManyInvitations => (
            StatusCode::CONFLICT,
            "too-many-invitations",
            "withdraw the invitations, or wait until one expires",
        ),
        E::WebhookNotFound => (
            StatusCode::NOT_FOUND,
            "webhook-not-found",
            "GET /api/v1/users/{id}/webhooks lists the user's webhooks; a rotated secret is invalid",
        ),
        E::TooManyWebhooks => (
            StatusCode::CONFLICT,
            "too-many-webhooks",
            "delete a webhook before you create another",
        ),
        E::NotHouseholdAdmin => (
            StatusCode::FORBIDDEN,
            "forbidden",
            "a webhook for several users requires an administrator",
        ),
        E::UnmatchedNotFound => (
            StatusCode::NOT_FOUND,
            "not-found",
            "GET /api/v1/users/{id}/imports/{job_id}/unmatched lists the movies that were not found",
        ),
        E::CannotResolve(_) => (
            StatusCode::CONFLICT,
            "conflict",
            "import the file again, not as a dry run; correct single movies by their own endpoints",
        ),
        E::ApiKeyNotFound => (
            StatusCode::NOT_FOUND,
            "api-key-not-found",
            "GET /api/v1/users/{id}/api-keys lists the user's keys",
        ),
        E::ProviderNotFound => (
            StatusCode::NOT_FOUND,
            "not-found",
            "GET /api/v1/auth/oidc lists the login providers",
        ),
        E::LoginRefused(refusal) => {
            let status = login_status(*refusal);
            (status, "login-refused", refusal.detail())
        }
        E::UserCodeNotFound => (
            StatusCode::NOT_FOUND,
            "not-found",
            "the code is unknown, decided or has expired; let the device show another",
        ),
        E::IdentityNotFound => (
            StatusCode::NOT_FOUND,
            "not-found",
            "GET /api/v1/users/{id}/identities lists the user's identities",
        ),
        E::TooManyIdentities => (
            StatusCode::CONFLICT,
            "conflict",
            "unlink an identity before you link another",
        ),
        E::LastLogin => (
            StatusCode::CONFLICT,
            "conflict",
            "set a password by PATCH /api/v1/users/{id}, or link another identity first",
        ),
        E::NotSet(_) => (
            StatusCode::NOT_FOUND,
            "not-found",
            "the user has not set it for this movie",
        ),
        E::UsernameTaken | E::EmailTaken => (StatusCode::CONFLICT, "conflict", CHOOSE_ANOTHER),
        E::TooManyApiKeys => (
            StatusCode::CONFLICT,
            "too-many-api-keys",
            "delete a key before you create another",
        ),
        E::ImportRunning(_) => (
            StatusCode::CONFLICT,
            "import-running",
            "wait until the import under `job` has ended, or cancel it",
        ),
        E::ImportEnded(_) => (
            StatusCode::CONFLICT,
            "job-status",
            "only an import that has not ended can be cancelled",
        ),
        E::WrongPassword => (
            StatusCode::FORBIDDEN,
            "forbidden",
            "give the present password in current_password, or log in again: a login of the last five minutes suffices",
        ),
        E::AlreadyVerified => (
            StatusCode::CONFLICT,
            "conflict",
            "change the address by PATCH /api/v1/users/{id} first",
        ),
        E::VerificationNotFound => (
            StatusCode::NOT_FOUND,
            "verification-not-found",
            "the link is unknown, used or has expired; POST /api/v1/users/{id}/email-verification sends another",
        ),
        E::NotPermitted(detail) => (StatusCode::FORBIDDEN, "forbidden", *detail),
        E::Suspended(_) => (
            StatusCode::FORBIDDEN,
            "account-suspended",
            "an administrator or moderator has suspended the account until the time in suspended_until",
        ),
        E::NotAdmin => (
            StatusCode::FORBIDDEN,
            "forbidden",
            "the scope admin requires an administrator",
        ),
        E::InvalidCredentials => (
            StatusCode::UNAUTHORIZED,
            "wrong-credentials",
            "invalid username or password",
        ),
        E::InvalidRefreshToken => (
            StatusCode::UNAUTHORIZED,
            "invalid-refresh-token",
            "the refresh token is invalid, expired or already used; log in again",
        ),
        E::TooManyAttempts(_) => (StatusCode::TOO_MANY_REQUESTS, "rate-limited", RETRY),
        E::WriterBusy | E::PasswordsBusy => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", RETRY),
        _ => return None,
    };
    Some((status, slug, detail))
}

fn login_status(refusal: LoginRefusal) -> StatusCode {
    use LoginRefusal as R;
    match refusal {
        R::State | R::Issuer | R::Code | R::Token => StatusCode::BAD_REQUEST,
        R::Denied | R::Administrator => StatusCode::FORBIDDEN,
        R::NoEmail | R::AccountExists | R::Linked => StatusCode::CONFLICT,
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        let invalid = |field, message: String| {
            Self::invalid(vec![FieldError::new(field, message)]).error(text.clone())
        };
        if let Some((status, slug, detail)) = client_error(&error) {
            let problem = Self::new(status, slug, text).detail(detail);
            let field = |field, message| {
                problem
                    .clone()
                    .errors(vec![FieldError::new(field, message)])
            };
            return match &error {
                Error::UsernameTaken => field("username", "is already taken"),
                Error::EmailTaken => field("email", "is already taken"),
                Error::WrongPassword => field("current_password", "must be the present password"),
                Error::NotHouseholdAdmin => field("users", "requires an administrator"),
                Error::NotAdmin => field("scopes", "`admin` requires an administrator"),
                Error::ImportRunning(import) | Error::ImportEnded(import) => {
                    problem.member("job", serde_json::to_value(import).unwrap_or_default())
                }
                Error::Suspended(suspension) => problem
                    .member(
                        "suspended_until",
                        serde_json::to_value(suspension.until).unwrap_or_default(),
                    )
                    .member("reason", suspension.reason.clone()),
                Error::TooManyAttempts(seconds) => problem
                    .retry_after(*seconds)
                    .member("retry_after", *seconds),
                Error::LoginRefused(refusal) => problem.member("code", refusal.code()),
                Error::WriterBusy | Error::PasswordsBusy => problem.retry_after(1),
                _ => problem,
            };
        }
        match &error {
            Error::Invalid(errors) => Self::invalid(errors.clone()),
            Error::InvalidPayload(cause) => invalid("payload", cause.to_string()),
            Error::MissingUser(errors) => Self::invalid(errors.clone()).error(text),
            Error::InvalidMovieId => {
                let message = "must be a whole number from 1 to 9223372036854775807";
                invalid("movie_id", message.to_owned())
            }
            Error::UnknownInteractionType(_) => {
                let known = InteractionType::STATEMENTS.map(|known| known.to_string());
                let message = format!("must be one of {}", known.join(", "));
                invalid("interaction_type", message)
            }
            Error::Catalogue(cause) => Self::unavailable("the film catalogue").cause(cause),
            Error::ProviderUnavailable(_) => Self::unavailable("the login provider").cause(&error),
            Error::Unconfirmed => Self::unavailable("the film catalogue"),
            Error::Database(cause) => chassis::postgres::problem(cause),
            _ => Self::internal(&error),
        }
    }
}
