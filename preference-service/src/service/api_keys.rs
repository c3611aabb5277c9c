//! API keys: for programs that act for a user. Shown once, kept as hashes.

use sqlx::PgPool;

use crate::{
    models::{ApiKey, ApiKeyOwner, ApiKeySecret, NewApiKey, NoRandomness, SecretHash, UserId},
    repository::{
        api_keys::{self, CreateError},
        users,
    },
};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum ApiKeyError {
    /// It was not stored.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// There is nothing to make a key of.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// The API keys of all users; cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    pool: PgPool,
}

impl ApiKeys {
    /// Those in `pool`.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    /// Makes a key of `user_id`; the secret is not to be had again.
    ///
    /// # Errors
    /// The user may not have it; or what is needed for it is not there.
    pub async fn create(
        &self,
        user_id: UserId,
        key: &NewApiKey,
    ) -> Result<(ApiKey, String), ApiKeyError> {
        let secret = ApiKeySecret::new()?;
        let key = api_keys::create(&self.pool, user_id, key, &secret).await?;
        Ok((key, secret.reveal()))
    }

    /// The user's keys, the newest first; none: there is no such user.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn list(&self, user_id: UserId) -> sqlx::Result<Option<Vec<ApiKey>>> {
        let keys = api_keys::list(&self.pool, user_id).await?;
        if keys.is_empty() && !users::exists(&self.pool, user_id).await? {
            return Ok(None);
        }
        Ok(Some(keys))
    }

    /// Takes a key of the user's away; false where they have none of this id.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn revoke(&self, user_id: UserId, id: i64) -> sqlx::Result<bool> {
        api_keys::delete(&self.pool, user_id, id).await
    }

    /// Whom the key with this hash stands for, if it is valid now.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn resolve(&self, hash: &SecretHash) -> sqlx::Result<Option<ApiKeyOwner>> {
        api_keys::resolve(&self.pool, hash).await
    }
}
