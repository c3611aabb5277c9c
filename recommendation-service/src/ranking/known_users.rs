//! The users that lists are made for: those of the read model, and those that preference-service has created a moment
//! ago, whose change has not arrived yet.

use std::{sync::Arc, time::Duration};

use chassis::client::Client;

use crate::{
    ranking::RecommendError,
    read_model::{Preferences, Profile, Shared, UserId, Users},
};

/// The time limit of a request to preference-service.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The users; cheap to clone.
#[derive(Clone)]
pub struct KnownUsers {
    users: Shared<Users>,
    preference_service: Client,
}

impl KnownUsers {
    /// The users of the read model, with `preference_service` for those who are missing.
    pub fn new(users: Shared<Users>, preference_service: Client) -> Self {
        Self {
            users,
            preference_service,
        }
    }

    /// The profile of user `id` as it is now, if they are in the read model.
    pub fn find(&self, id: UserId) -> Option<Arc<Profile>> {
        self.users.read().find(id).cloned()
    }

    /// The profile of user `id`, requested from preference-service if it is not in the read model.
    ///
    /// # Errors
    /// [`RecommendError::UserNotFound`] if there is no such user, [`RecommendError::Upstream`] if preference-service
    /// cannot be reached.
    pub async fn get(&self, id: UserId) -> Result<Arc<Profile>, RecommendError> {
        if let Some(profile) = self.find(id) {
            return Ok(profile);
        }
        let preferences = self.request(id).await?;
        self.users.write().prefer(preferences);
        self.find(id).ok_or(RecommendError::UserNotFound)
    }

    async fn request(&self, id: UserId) -> Result<Preferences, RecommendError> {
        let client = &self.preference_service;
        let response = client
            .get(&format!("/internal/v1/users/{}", id.get()), REQUEST_TIMEOUT)
            .send()
            .await
            .map_err(|error| client.unreachable(error))?;
        if response.status().as_u16() == 404 {
            return Err(RecommendError::UserNotFound);
        }
        Ok(client.read(response).await?)
    }
}
