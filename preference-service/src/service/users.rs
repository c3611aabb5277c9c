//! Users and their preferences: sign-up, updates, export and erasure. Called by the handlers of users.
//! Every change is published through the outbox.

use std::net::IpAddr;

use chassis::{feed::outbox::Outbox, shutdown::Shutdown};
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::sync::mpsc;

use super::{
    attempts::{AttemptLimiter, TooManyAttempts, client_subject},
    passwords::{PasswordError, Passwords, Verdict},
};
use crate::{
    models::{NewPreferences, NewUser, Preferences, User, UserId, UserUpdate},
    repository::{
        erasure,
        export::{self, Piece},
        users::{self, StoreError},
    },
};

/// The reason why a user was not created or updated.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// No user has this id.
    #[error("user not found")]
    NotFound,
    /// The present password, which a new one requires, is absent or incorrect.
    #[error("the present password is wrong")]
    WrongPassword,
    /// The limit of sign-ups, or of attempts at the present password, is exceeded.
    #[error(transparent)]
    TooManyAttempts(#[from] TooManyAttempts),
    /// The user was not stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A password could not be hashed or verified.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

impl From<sqlx::Error> for UserError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// The authorization of a new password.
#[derive(Debug)]
pub enum PasswordAuthorization<'a> {
    /// The present password, as the request gives it. Not required if the user has none.
    PresentPassword(Option<&'a SecretString>),
    /// An administrator, for another user.
    Administrator,
}

/// The users of the platform; cheap to clone.
#[derive(Clone)]
pub struct Users {
    pool: PgPool,
    outbox: Outbox,
    passwords: Passwords,
    password_attempts: AttemptLimiter,
    sign_ups: AttemptLimiter,
    shutdown: Shutdown,
}

impl Users {
    /// The users in `pool`. `password_attempts` limits attempts at the present password per user,
    /// `sign_ups` limits sign-ups per client address.
    pub fn new(
        pool: PgPool,
        outbox: Outbox,
        passwords: Passwords,
        password_attempts: AttemptLimiter,
        sign_ups: AttemptLimiter,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            pool,
            outbox,
            passwords,
            password_attempts,
            sign_ups,
            shutdown,
        }
    }

    /// Creates a user; `client` is the address that the sign-up counts for, if it is limited.
    #[tracing::instrument(name = "service.users.create", level = "debug", skip_all)]
    pub async fn create(&self, user: &NewUser, client: Option<IpAddr>) -> Result<User, UserError> {
        if let Some(client) = client {
            self.sign_ups.acquire(&client_subject(client)).await?;
        }
        let password_hash = match &user.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let user = users::create(&self.pool, user, password_hash.as_deref()).await?;
        self.outbox.notify_readers();
        Ok(user)
    }

    /// Updates a user. A new password ends all logins.
    #[tracing::instrument(name = "service.users.update", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn update(
        &self,
        id: UserId,
        update: &UserUpdate,
        authorization: PasswordAuthorization<'_>,
    ) -> Result<User, UserError> {
        if update.is_empty() {
            return self.find(id).await?.ok_or(UserError::NotFound);
        }
        let (new, present) = match &update.password {
            None => (None, None),
            Some(password) => {
                let present = users::find_password_hash(&self.pool, id).await?;
                let present = present.ok_or(UserError::NotFound)?;
                self.authorize(id, authorization, present.as_deref())
                    .await?;
                (Some(self.passwords.hash(password).await?), present)
            }
        };
        let updated =
            users::update(&self.pool, id, update, new.as_deref(), present.as_deref()).await?;
        let Some(user) = updated else {
            // The password changed meanwhile, or the user was erased.
            let exists = users::exists(&self.pool, id).await?;
            return Err(if exists {
                UserError::WrongPassword
            } else {
                UserError::NotFound
            });
        };
        self.outbox.notify_readers();
        Ok(user)
    }

    /// Checks the authorization of a new password; a user without a password needs none.
    async fn authorize(
        &self,
        id: UserId,
        authorization: PasswordAuthorization<'_>,
        present_hash: Option<&str>,
    ) -> Result<(), UserError> {
        let (PasswordAuthorization::PresentPassword(given), Some(present_hash)) =
            (authorization, present_hash)
        else {
            return Ok(());
        };
        let given = given.ok_or(UserError::WrongPassword)?;
        let subject = id.to_string();
        self.password_attempts.acquire(&subject).await?;
        if self.passwords.verify(given, Some(present_hash)).await? == Verdict::Mismatch {
            return Err(UserError::WrongPassword);
        }
        self.password_attempts.reset(&subject).await;
        Ok(())
    }

    /// Finds the user of this id.
    #[tracing::instrument(name = "service.users.find", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn find(&self, id: UserId) -> sqlx::Result<Option<User>> {
        users::find(&self.pool, id).await
    }

    /// Finds the user's preferences, defaults if none were set; `None` if no user has this id.
    #[tracing::instrument(name = "service.users.find_preferences", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn find_preferences(&self, id: UserId) -> sqlx::Result<Option<Preferences>> {
        users::find_preferences(&self.pool, id).await
    }

    /// Replaces the user's preferences; `None` if no user has this id.
    #[tracing::instrument(name = "service.users.replace_preferences", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn replace_preferences(
        &self,
        id: UserId,
        preferences: &NewPreferences,
    ) -> sqlx::Result<Option<Preferences>> {
        let replaced = users::replace_preferences(&self.pool, id, preferences).await?;
        if replaced.is_some() {
            self.outbox.notify_readers();
        }
        Ok(replaced)
    }

    /// Erases the user and all data about them, and makes other services do the same; false if no user
    /// has this id.
    #[tracing::instrument(name = "service.users.erase", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn erase(&self, id: UserId) -> sqlx::Result<bool> {
        let erased = erasure::erase(&self.pool, id).await?;
        if erased {
            self.outbox.notify_readers();
        }
        Ok(erased)
    }

    /// Begins an export of all data about the user; returns its pieces, `None` if no user has this id.
    #[tracing::instrument(name = "service.users.export", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn export(&self, id: UserId) -> sqlx::Result<Option<mpsc::Receiver<Piece>>> {
        let Some(export) = export::begin(&self.pool, id).await? else {
            return Ok(None);
        };
        let (sender, pieces) = mpsc::channel(2);
        self.shutdown.spawn(export.send(sender));
        Ok(Some(pieces))
    }

    /// Finds the user's profile as in the change feed, as JSON.
    #[tracing::instrument(name = "service.users.find_profile_change", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn find_profile_change(&self, id: UserId) -> sqlx::Result<Option<String>> {
        users::find_profile_change(&self.pool, id).await
    }
}
