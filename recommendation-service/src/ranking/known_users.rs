//! The users that lists are made for: those of the read model, and those that preference-service has created a moment
//! ago, whose change has not arrived yet.

use std::{sync::Arc, time::Duration};

use chassis::client::Client;
use serde::{Deserialize, de::DeserializeOwned};

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

    /// The members of the group `id` in the order of joining, if `member` is one of them. Requested from
    /// preference-service each time, so that leaving takes effect at once.
    ///
    /// # Errors
    /// [`RecommendError::GroupNotFound`] if they are not or there is no such group, [`RecommendError::Upstream`] if
    /// preference-service cannot be reached.
    pub async fn group_members(
        &self,
        member: UserId,
        id: i64,
    ) -> Result<Vec<UserId>, RecommendError> {
        #[derive(Deserialize)]
        struct Members {
            user_ids: Vec<i64>,
        }
        let path = format!("/internal/v1/users/{}/groups/{id}/members", member.get());
        let found: Option<Members> = self.find_at(&path).await?;
        let found = found.ok_or(RecommendError::GroupNotFound)?;
        Ok(found.user_ids.into_iter().filter_map(UserId::new).collect())
    }

    /// True if one group has `member` and all of `users`. Users who do not exist share none.
    ///
    /// # Errors
    /// [`RecommendError::Upstream`] if preference-service cannot be reached.
    pub async fn share_group(
        &self,
        member: UserId,
        users: &[UserId],
    ) -> Result<bool, RecommendError> {
        #[derive(Deserialize)]
        struct Shared {
            shared: bool,
        }
        let ids: Vec<String> = users.iter().map(|id| id.get().to_string()).collect();
        let ids = ids.join(",");
        let member = member.get();
        let path = format!("/internal/v1/users/{member}/shared-group?user_ids={ids}");
        let found: Option<Shared> = self.find_at(&path).await?;
        Ok(found.is_some_and(|found| found.shared))
    }

    async fn request(&self, id: UserId) -> Result<Preferences, RecommendError> {
        let path = format!("/internal/v1/users/{}", id.get());
        self.find_at(&path)
            .await?
            .ok_or(RecommendError::UserNotFound)
    }

    /// The body of preference-service's response at `path`; `None` if that is 404.
    async fn find_at<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, RecommendError> {
        let client = &self.preference_service;
        let response = client.get(path, REQUEST_TIMEOUT).send().await;
        let response = response.map_err(|error| client.unreachable(error))?;
        if response.status().as_u16() == 404 {
            return Ok(None);
        }
        Ok(Some(client.read(response).await?))
    }
}
