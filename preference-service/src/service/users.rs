//! Users and their preferences: sign-up, updates, export and erasure. Called by the handlers of users.
//! Every change is published through the outbox.

use std::net::IpAddr;

use chassis::{feed::outbox::Outbox, shutdown::Shutdown};
use filter::GenreNames;
use histories::export::Layout;
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::sync::mpsc;

use super::{
    attempts::{AttemptLimiter, client_subject},
    passwords::{Passwords, Verdict},
};
use crate::{
    error::Error,
    models::{NewPreferences, NewUser, Preferences, User, UserId, UserUpdate},
    repository::{
        erasure,
        export::{self, Piece},
        movies, users,
    },
};

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
    /// For exports and erasure, which take long.
    bulk: PgPool,
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
            bulk: pool.clone(),
            pool,
            outbox,
            passwords,
            password_attempts,
            sign_ups,
            shutdown,
        }
    }

    /// The same with connections of its own for exports and erasure.
    #[must_use]
    pub fn with_bulk_pool(mut self, bulk: PgPool) -> Self {
        self.bulk = bulk;
        self
    }

    /// Creates a user; `client` is the address that the sign-up counts for, if it is limited.
    ///
    /// # Errors
    /// `TooManyAttempts` of the address; `UsernameTaken` or `EmailTaken`; `PasswordsBusy`.
    #[tracing::instrument(name = "service.users.create", level = "debug", skip_all)]
    pub async fn create(&self, user: &NewUser, client: Option<IpAddr>) -> Result<User, Error> {
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
    ///
    /// # Errors
    /// `UserNotFound`; `UsernameTaken` or `EmailTaken`; `WrongPassword`, and `TooManyAttempts` at it; `PasswordsBusy`.
    #[tracing::instrument(name = "service.users.update", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn update(
        &self,
        id: UserId,
        update: &UserUpdate,
        authorization: PasswordAuthorization<'_>,
    ) -> Result<User, Error> {
        if update.is_empty() {
            return self.get(id).await;
        }
        let (new, present) = match &update.password {
            None => (None, None),
            Some(password) => {
                let present = users::find_password_hash(&self.pool, id).await?;
                let present = present.ok_or(Error::UserNotFound)?;
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
                Error::WrongPassword
            } else {
                Error::UserNotFound
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
    ) -> Result<(), Error> {
        let (PasswordAuthorization::PresentPassword(given), Some(present_hash)) =
            (authorization, present_hash)
        else {
            return Ok(());
        };
        let given = given.ok_or(Error::WrongPassword)?;
        let subject = id.to_string();
        self.password_attempts.acquire(&subject).await?;
        if self.passwords.verify(given, Some(present_hash)).await? == Verdict::Mismatch {
            return Err(Error::WrongPassword);
        }
        self.password_attempts.reset(&subject).await;
        Ok(())
    }

    /// Gets the user of this id.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.users.get", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn get(&self, id: UserId) -> Result<User, Error> {
        users::find(&self.pool, id)
            .await?
            .ok_or(Error::UserNotFound)
    }

    /// Gets the user's preferences, defaults if none were set.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.users.get_preferences", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn get_preferences(&self, id: UserId) -> Result<Preferences, Error> {
        let found = users::find_preferences(&self.pool, id).await?;
        found.ok_or(Error::UserNotFound)
    }

    /// Replaces the user's preferences. Genres are stored by their names in the catalogue.
    ///
    /// # Errors
    /// `Invalid` if a genre is unknown; `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.users.replace_preferences", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn replace_preferences(
        &self,
        id: UserId,
        preferences: NewPreferences,
    ) -> Result<Preferences, Error> {
        let genres = match preferences.genres.is_empty() {
            true => GenreNames::default(),
            false => movies::genres(&self.pool).await?,
        };
        let preferences = preferences.resolve(&genres).map_err(Error::Invalid)?;
        let replaced = users::replace_preferences(&self.pool, id, &preferences).await?;
        self.outbox.notify_readers();
        replaced.ok_or(Error::UserNotFound)
    }

    /// Erases the user and all data about them, and makes other services do the same.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.users.erase", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn erase(&self, id: UserId) -> Result<(), Error> {
        if !erasure::erase(&self.bulk, id).await? {
            return Err(Error::UserNotFound);
        }
        self.outbox.notify_readers();
        Ok(())
    }

    /// Begins an export of all data about the user, or of the history in the layout of another site; returns its pieces.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.users.export", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn export(
        &self,
        id: UserId,
        layout: Option<Layout>,
    ) -> Result<mpsc::Receiver<Piece>, Error> {
        let export = export::begin(&self.bulk, id).await?;
        let export = export.ok_or(Error::UserNotFound)?;
        let (sender, pieces) = mpsc::channel(2);
        match layout {
            Some(layout) => self.shutdown.spawn(export.send_archive(layout, sender)),
            None => self.shutdown.spawn(export.send(sender)),
        };
        Ok(pieces)
    }

    /// Gets the user's profile as in the change feed, as JSON.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.users.get_profile_change", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn get_profile_change(&self, id: UserId) -> Result<String, Error> {
        let found = users::find_profile_change(&self.pool, id).await?;
        found.ok_or(Error::UserNotFound)
    }
}
