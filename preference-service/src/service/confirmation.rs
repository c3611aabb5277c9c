//! Proof that a request comes from the owner of its access token, not from somebody who stole it: the password, or a login of
//! the last five minutes. Called by the services of users and API keys before everything that would outlast the token.

use chassis::{caller::Caller, clock::Clock};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use sqlx::PgPool;

use super::{
    attempts::AttemptLimiter,
    passwords::{Passwords, Verdict},
};
use crate::{error::Error, models::UserId, repository::users};

/// The age up to which a login is proof.
const MAX_LOGIN_AGE: TimeDelta = TimeDelta::minutes(5);

/// The sender of a request, and their proof.
#[derive(Debug)]
pub struct Requester<'a> {
    /// The user of the token; `None` if its subject is no user.
    user: Option<UserId>,
    /// True for other services, which are trusted.
    is_internal: bool,
    is_admin: bool,
    /// The time of the login that the token comes from; `None` for a token of an issuer that does not state it.
    logged_in_at: Option<DateTime<Utc>>,
    /// The password that the request has.
    password: Option<&'a SecretString>,
}

impl<'a> Requester<'a> {
    /// The sender of a request with `password`.
    pub fn new(caller: &Caller, password: Option<&'a SecretString>) -> Self {
        Self {
            user: UserId::of(caller),
            is_internal: caller.is_internal,
            is_admin: caller.is_admin,
            logged_in_at: caller
                .auth_time
                .and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
            password,
        }
    }

    /// True if the sender is the user `id`.
    pub fn is_user(&self, id: UserId) -> bool {
        self.user == Some(id)
    }

    /// True if the sender is an administrator or another service.
    pub fn is_admin(&self) -> bool {
        self.is_admin || self.is_internal
    }

    /// True if the sender is another administrator than the user `id`.
    pub fn is_admin_of(&self, id: UserId) -> bool {
        self.is_admin && self.user != Some(id)
    }
}

/// Checks proofs; cheap to clone.
#[derive(Clone)]
pub struct Confirmation {
    pool: PgPool,
    passwords: Passwords,
    attempts: AttemptLimiter,
    clock: Clock,
}

impl Confirmation {
    /// Checks passwords of the users in `pool`; `attempts` limits wrong ones per user.
    pub fn new(pool: PgPool, passwords: Passwords, attempts: AttemptLimiter, clock: Clock) -> Self {
        Self {
            pool,
            passwords,
            attempts,
            clock,
        }
    }

    /// Accepts a recent login, or the requester's password. A requester without a password cannot give one: the token of an
    /// issuer that does not state the time of the login is accepted, an old login is not.
    ///
    /// # Errors
    /// `WrongPassword` if neither is given, `TooManyAttempts` at the password, which a new login makes unnecessary;
    /// `PasswordsBusy`.
    #[tracing::instrument(name = "service.confirmation.confirm", level = "debug", skip_all)]
    pub async fn confirm(&self, requester: &Requester<'_>) -> Result<(), Error> {
        if requester.is_internal {
            return Ok(());
        }
        let latest = self.clock.now() - MAX_LOGIN_AGE;
        if requester.logged_in_at.is_some_and(|at| at >= latest) {
            return Ok(());
        }
        let stored_hash = match requester.user {
            Some(id) => users::find_password_hash(&self.pool, id).await?.flatten(),
            None => None,
        };
        let (Some(id), Some(stored_hash)) = (requester.user, stored_hash) else {
            let is_undated = requester.logged_in_at.is_none();
            return is_undated.then_some(()).ok_or(Error::WrongPassword);
        };
        let given = requester.password.ok_or(Error::WrongPassword)?;
        let subject = id.to_string();
        self.attempts.acquire(&subject).await?;
        let verdict = self.passwords.verify(given, Some(&stored_hash)).await?;
        if verdict == Verdict::Mismatch {
            return Err(Error::WrongPassword);
        }
        self.attempts.reset(&subject).await;
        Ok(())
    }
}
