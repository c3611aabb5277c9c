//! Users and their preferences: stored, told to other services, found again.

use chassis::feed::outbox::Outbox;
use sqlx::PgPool;

use super::passwords::{HashError, Passwords};
use crate::{
    models::{NewPreferences, NewUser, Preferences, User, UserId},
    repository::users::{self, CreateError},
};

/// Why somebody could not sign up.
#[derive(Debug, thiserror::Error)]
pub enum SignUpError {
    /// The user was not stored.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// The password could not be hashed.
    #[error(transparent)]
    Password(#[from] HashError),
}

/// The users of the platform; cheap to clone.
#[derive(Clone)]
pub struct Users {
    pool: PgPool,
    outbox: Outbox,
    passwords: Passwords,
}

impl Users {
    /// Those in `pool`, whose changes go out through `outbox`.
    #[must_use]
    pub fn new(pool: PgPool, outbox: Outbox) -> Self {
        Self {
            pool,
            outbox,
            passwords: Passwords::default(),
        }
    }

    /// Stores a user.
    ///
    /// # Errors
    /// Name or address are taken, the password cannot be hashed; or Postgres's.
    pub async fn create(&self, user: &NewUser) -> Result<User, SignUpError> {
        let password_hash = match user.password() {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let user = users::create(&self.pool, user, password_hash.as_deref()).await?;
        self.outbox.wake();
        Ok(user)
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
            self.outbox.wake();
        }
        Ok(preferences)
    }

    /// The user's profile as the feed tells it, as JSON; none: there is no such user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn find_profile_change(&self, id: UserId) -> sqlx::Result<Option<String>> {
        users::find_profile_change(&self.pool, id).await
    }
}
