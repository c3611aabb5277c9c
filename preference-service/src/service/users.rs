//! Users and their preferences: sign-up, updates, export and erasure. Called by the handlers of users.
//! Every change is published through the outbox.

use std::{net::IpAddr, time::Duration};

use chassis::{feed::outbox::Outbox, shutdown::Shutdown};
use filter::GenreNames;
use histories::export::Layout;
use sqlx::PgPool;
use tokio::sync::mpsc;

use super::{
    attempts::{AttemptLimiter, client_subject},
    confirmation::{Confirmation, Requester},
    email_verification::EmailVerification,
    passwords::Passwords,
};
use crate::{
    error::Error,
    models::{NewPreferences, NewUser, Preferences, User, UserId, UserUpdate, skeleton_of},
    repository::{
        erasure,
        export::{self, Piece},
        movies, name_skeleton,
        users::{self, EmailState},
    },
};

/// The pause after a failure to fill in skeletons.
const SKELETON_RETRY_INTERVAL: Duration = Duration::from_secs(10);
/// Users whose skeletons are filled in at once.
const SKELETON_BATCH: i64 = 1000;

/// Fills in the confusable skeletons of names that were stored without them, once. A name whose skeleton another has keeps
/// none.
pub async fn fill_in_skeletons(pool: PgPool, shutdown: Shutdown) {
    let mut after = 0;
    loop {
        match fill_in_batch(&pool, after).await {
            Ok(Some(last)) => after = last,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%error, "cannot fill in the skeletons of names");
                if shutdown.sleep(SKELETON_RETRY_INTERVAL).await {
                    return;
                }
            }
        }
    }
}

/// Fills in the skeletons of the next users after `after`; returns the last one's id.
async fn fill_in_batch(pool: &PgPool, after: i64) -> sqlx::Result<Option<i64>> {
    let users = name_skeleton::list_missing(pool, after, SKELETON_BATCH).await?;
    let Some((last, _)) = users.last() else {
        return Ok(None);
    };
    let last = last.get();
    let (ids, skeletons): (Vec<i64>, Vec<String>) = users
        .iter()
        .map(|(id, name)| (id.get(), skeleton_of(name)))
        .unzip();
    name_skeleton::store(pool, &ids, &skeletons).await?;
    Ok(Some(last))
}

/// A user after an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdatedUser {
    /// The user.
    pub user: User,
    /// The new address, if it waits for its verification.
    pub pending_email: Option<String>,
}

impl From<User> for UpdatedUser {
    fn from(user: User) -> Self {
        Self {
            user,
            pending_email: None,
        }
    }
}

/// The users of the platform; cheap to clone.
#[derive(Clone)]
pub struct Users {
    pool: PgPool,
    /// For exports and erasure, which take long.
    bulk: PgPool,
    outbox: Outbox,
    passwords: Passwords,
    confirmation: Confirmation,
    email_verification: EmailVerification,
    sign_ups: AttemptLimiter,
    shutdown: Shutdown,
}

impl Users {
    /// The users in `pool`. `confirmation` checks the proof of important changes, `sign_ups` limits sign-ups per client address.
    pub fn new(
        pool: PgPool,
        outbox: Outbox,
        passwords: Passwords,
        confirmation: Confirmation,
        email_verification: EmailVerification,
        sign_ups: AttemptLimiter,
        shutdown: Shutdown,
    ) -> Self {
        Self {
            bulk: pool.clone(),
            pool,
            outbox,
            passwords,
            confirmation,
            email_verification,
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

    /// Creates a user; `client` is the address that the sign-up counts for, if it is limited. The
    /// address of a user whom an administrator vouches for needs no verification.
    ///
    /// # Errors
    /// `TooManyAttempts` of the address; `UsernameTaken` or `EmailTaken`; `PasswordsBusy`.
    #[tracing::instrument(name = "service.users.create", level = "debug", skip_all)]
    pub async fn create(
        &self,
        user: &NewUser,
        client: Option<IpAddr>,
        is_vouched_for: bool,
    ) -> Result<User, Error> {
        if let Some(client) = client {
            self.sign_ups.acquire(&client_subject(client)).await?;
        }
        let password_hash = match &user.password {
            Some(password) => Some(self.passwords.hash(password).await?),
            None => None,
        };
        let is_required = self.email_verification.is_required && !is_vouched_for;
        let email = user.email.clone();
        let state = match is_required {
            true => EmailState::Unverified,
            false => EmailState::Trusted,
        };
        let hash = password_hash.as_deref();
        let user = users::create(&self.pool, user, hash, state).await?;
        self.outbox.notify_readers();
        if is_required {
            self.email_verification.request(user.id, &email).await?;
        }
        Ok(user)
    }

    /// Updates a user. A new password ends all logins, and the API keys if `update` demands it. A new password and a new
    /// address require proof.
    ///
    /// # Errors
    /// `UserNotFound`; `UsernameTaken` or `EmailTaken`; `WrongPassword`, and `TooManyAttempts` at it; `PasswordsBusy`.
    #[tracing::instrument(name = "service.users.update", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn update(
        &self,
        id: UserId,
        update: &UserUpdate,
        requester: &Requester<'_>,
    ) -> Result<UpdatedUser, Error> {
        if update.is_empty() {
            return Ok(self.get(id).await?.into());
        }
        if update.password.is_some() || update.email.is_some() {
            self.confirmation.confirm(requester).await?;
        }
        if update.password.is_some() {
            let user = self.get(id).await?;
            update.check_password(&user.username, &user.email)?;
        }
        // The address of another waits for its owner; what an administrator sets for another is trusted.
        let is_verified = !self.email_verification.is_required || requester.is_admin_of(id);
        let mut update = update.clone();
        let pending = update.email.take_if(|_| !is_verified);
        let (new, present) = match &update.password {
            None => (None, None),
            Some(password) => {
                let present = users::find_password_hash(&self.pool, id).await?;
                let present = present.ok_or(Error::UserNotFound)?;
                (Some(self.passwords.hash(password).await?), present)
            }
        };
        let updated =
            users::update(&self.pool, id, &update, new.as_deref(), present.as_deref()).await?;
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
        if let Some(email) = &pending {
            self.email_verification.request(id, email).await?;
        }
        Ok(UpdatedUser {
            user,
            pending_email: pending.map(|email| email.text),
        })
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

    /// Erases the user and all data about them, and makes other services do the same. Requires proof.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id; as [`Confirmation::confirm`].
    #[tracing::instrument(name = "service.users.erase", level = "debug", skip_all, fields(user_id = %id))]
    pub async fn erase(&self, id: UserId, requester: &Requester<'_>) -> Result<(), Error> {
        self.confirmation.confirm(requester).await?;
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
