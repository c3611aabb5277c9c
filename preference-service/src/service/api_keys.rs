//! API keys, for programs that act for a user. Called by the handlers of API keys; a key is returned
//! once, at its creation, and never again.

use sqlx::PgPool;

use super::confirmation::{Confirmation, Requester};
use crate::{
    error::Error,
    models::{ApiKey, ApiKeyOwner, ApiKeySecret, NewApiKey, SecretHash, UserId},
    repository::{api_keys, users},
};

/// The API keys of all users; cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    pool: PgPool,
    confirmation: Confirmation,
}

impl ApiKeys {
    /// The keys in `pool`; `confirmation` checks the proof of whoever creates one.
    pub fn new(pool: PgPool, confirmation: Confirmation) -> Self {
        Self { pool, confirmation }
    }

    /// Creates a key of `user_id`; returns it with its clear text.
    ///
    /// # Errors
    /// As [`Confirmation::confirm`] and [`api_keys::create`].
    #[tracing::instrument(name = "service.api_keys.create", level = "debug", skip_all, fields(%user_id))]
    pub async fn create(
        &self,
        user_id: UserId,
        key: &NewApiKey,
        requester: &Requester<'_>,
    ) -> Result<(ApiKey, String), Error> {
        self.confirmation.confirm(requester).await?;
        let secret = ApiKeySecret::generate();
        let key = api_keys::create(&self.pool, user_id, key, &secret).await?;
        Ok((key, secret.reveal()))
    }

    /// Lists the user's keys, newest first.
    ///
    /// # Errors
    /// `UserNotFound` if no user has this id.
    #[tracing::instrument(name = "service.api_keys.list", level = "debug", skip_all, fields(%user_id))]
    pub async fn list(&self, user_id: UserId) -> Result<Vec<ApiKey>, Error> {
        let keys = api_keys::list(&self.pool, user_id).await?;
        if keys.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Err(Error::UserNotFound);
        }
        Ok(keys)
    }

    /// Deletes a key of the user.
    ///
    /// # Errors
    /// `ApiKeyNotFound` if they have no key of this id.
    #[tracing::instrument(name = "service.api_keys.delete", level = "debug", skip_all, fields(%user_id, id))]
    pub async fn delete(&self, user_id: UserId, id: i64) -> Result<(), Error> {
        let is_deleted = api_keys::delete(&self.pool, user_id, id).await?;
        is_deleted.then_some(()).ok_or(Error::ApiKeyNotFound)
    }

    /// Gets the owner of the unexpired key with this hash.
    ///
    /// # Errors
    /// `ApiKeyNotFound` if there is none.
    #[tracing::instrument(name = "service.api_keys.get_owner", level = "debug", skip_all)]
    pub async fn get_owner(&self, hash: &SecretHash) -> Result<ApiKeyOwner, Error> {
        let owner = api_keys::find_owner(&self.pool, hash).await?;
        owner.ok_or(Error::ApiKeyNotFound)
    }
}
