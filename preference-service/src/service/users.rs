//! Users and their preferences: stored, told to other services, found again.

use std::net::IpAddr;

use chassis::feed::outbox::Outbox;
use secrecy::SecretString;
use sqlx::PgPool;

use super::{
    attempts::{Attempts, TooMany, client_subject},
    passwords::{HashError, Passwords, Verdict},
};
use crate::{
    models::{NewPreferences, NewUser, Preferences, User, UserChange, UserId},
    repository::{
        erasure,
        export::{self, Export},
        users::{self, CreateError},
    },
};

/// Why a user was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such user.
    #[error("there is no such user")]
    NotFound,
    /// A new password takes the present one, which was not given or is another.
    #[error("the present password is wrong")]
    WrongPassword,
    /// There were too many attempts at the present password.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The user was not stored.
    #[error(transparent)]
    Store(#[from] CreateError),
    /// A password could not be hashed or checked.
    #[error(transparent)]
    Password(#[from] HashError),
}

impl From<sqlx::Error> for ChangeError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// By what right a password is changed.
#[derive(Debug)]
pub enum PasswordRight<'a> {
    /// Whoever changes it knows the present one, or says so.
    Present(Option<&'a SecretString>),
    /// They are an administrator, and it is not their own.
    Administrator,
}

/// Why somebody could not sign up.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// The user was not stored.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] HashError),
    /// Too many signed up from one address.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

/// The users of the platform; cheap to clone.
#[derive(Clone)]
pub struct Users {
    pool: PgPool,
    outbox: Outbox,
    passwords: Passwords,
    password_attempts: Attempts,
    sign_ups: Attempts,
}

impl Users {
    /// Those in `pool`, whose changes go out through `outbox`.
    #[must_use]
    pub fn new(
        pool: PgPool,
        outbox: Outbox,
        passwords: Passwords,
        password_attempts: Attempts,
        sign_ups: Attempts,
    ) -> Self {
        Self {
            pool,
            outbox,
            passwords,
            password_attempts,
            sign_ups,
        }
    }

    /// Stores a user, who signs up from `client` where sign-ups are to be counted.
    ///
    /// # Errors
    /// Name or address are taken, too many signed up, the password cannot be hashed; or Postgres's.
    pub async fn create(
        &self,
        user: &NewUser,
        client: Option<IpAddr>,
    ) -> Result<User, SignUpError> {
        if let Some(client) = client {
            self.sign_ups.take(&client_subject(client)).await?;
        }
        let password_hash = match user.password() {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let user = users::create(&self.pool, user, password_hash.as_deref()).await?;
        self.outbox.notify_readers();
        Ok(user)
    }

    /// Changes what `change` says. A new password ends all logins.
    ///
    /// # Errors
    /// There is no such user, the right to change the password is not there, or name or address are
    /// taken; or what is needed for it is not there.
    pub async fn change(
        &self,
        id: UserId,
        change: &UserChange,
        right: PasswordRight<'_>,
    ) -> Result<User, ChangeError> {
        if change.is_empty() {
            return self.find(id).await?.ok_or(ChangeError::NotFound);
        }
        let (new, present) = match change.password() {
            None => (None, None),
            Some(password) => {
                let present = users::find_password(&self.pool, id).await?;
                let present = present.ok_or(ChangeError::NotFound)?;
                self.check_right(id, right, present.as_deref()).await?;
                (Some(self.passwords.hash(password).await?), present)
            }
        };
        let changed =
            users::change(&self.pool, id, change, new.as_deref(), present.as_deref()).await?;
        let Some(user) = changed else {
            let known = users::exists(&self.pool, id).await?;
            return Err(match known {
                true => ChangeError::WrongPassword,
                false => ChangeError::NotFound,
            });
        };
        self.outbox.notify_readers();
        Ok(user)
    }

    /// Whoever has no password yet needs none to set one.
    async fn check_right(
        &self,
        id: UserId,
        right: PasswordRight<'_>,
        present: Option<&str>,
    ) -> Result<(), ChangeError> {
        let (PasswordRight::Present(shown), Some(present)) = (right, present) else {
            return Ok(());
        };
        let shown = shown.ok_or(ChangeError::WrongPassword)?;
        let subject = id.to_string();
        self.password_attempts.take(&subject).await?;
        match self.passwords.check(shown, Some(present)).await? {
            Verdict::Right { .. } => {
                self.password_attempts.forgive(&subject).await;
                Ok(())
            }
            Verdict::Wrong => Err(ChangeError::WrongPassword),
        }
    }

    /// The user, if there is one of this id.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn find(&self, id: UserId) -> sqlx::Result<Option<User>> {
        users::find(&self.pool, id).await
    }

    /// The user's preferences, or what stands for them where none were set; none: there is no such
    /// user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn find_preferences(&self, id: UserId) -> sqlx::Result<Option<Preferences>> {
        users::find_preferences(&self.pool, id).await
    }

    /// Replaces the user's preferences; none: there is no such user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn replace_preferences(
        &self,
        id: UserId,
        preferences: &NewPreferences,
    ) -> sqlx::Result<Option<Preferences>> {
        let preferences = users::replace_preferences(&self.pool, id, preferences).await?;
        if preferences.is_some() {
            self.outbox.notify_readers();
        }
        Ok(preferences)
    }

    /// Erases the user with all that is known of them, and tells other services to do the same; false:
    /// there is no such user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn erase(&self, id: UserId) -> sqlx::Result<bool> {
        let erased = erasure::erase(&self.pool, id).await?;
        if erased {
            self.outbox.notify_readers();
        }
        Ok(erased)
    }

    /// Begins to write out all that is known of the user; none: there is no such user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn export(&self, id: UserId) -> sqlx::Result<Option<Export>> {
        export::begin(&self.pool, id).await
    }

    /// The user's profile as the feed tells it, as JSON; none: there is no such user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn find_profile_change(&self, id: UserId) -> sqlx::Result<Option<String>> {
        users::find_profile_change(&self.pool, id).await
    }
}
