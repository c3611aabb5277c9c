//! The other services of the platform, requested for `include=stats` and `include=similar`. A movie is served without
//! them if they are unavailable.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chassis::client::{CallError, Client};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::models::{MovieId, Stats};

/// preference-service and recommendation-service; cheap to clone.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    preference_service: Client,
    recommendation_service: Client,
    timeout: Duration,
}

impl Platform {
    /// Calls these services with the time limit `timeout`.
    pub fn new(
        preference_service: Client,
        recommendation_service: Client,
        timeout: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            preference_service,
            recommendation_service,
            timeout,
        }))
    }

    /// Returns the statistics of each movie in `ids`, zeros by default.
    ///
    /// # Errors
    /// Returns [`CallError`] if preference-service is unreachable, too slow or sends an unexpected response.
    #[tracing::instrument(
        name = "client.platform.stats",
        level = "debug",
        skip_all,
        err(level = "debug")
    )]
    pub async fn stats(
        &self,
        ids: impl IntoIterator<Item = MovieId>,
    ) -> Result<HashMap<MovieId, Stats>, CallError> {
        let ids: Vec<MovieId> = ids.into_iter().collect();
        let list: Vec<String> = ids.iter().map(MovieId::to_string).collect();
        let path = format!("/internal/v1/stats?ids={}", list.join(","));
        let found: StatsResponse = self.get(&self.0.preference_service, &path).await?;
        let mut stats: HashMap<MovieId, Stats> =
            ids.into_iter().map(|id| (id, Stats::default())).collect();
        for entry in found.stats {
            stats.insert(entry.movie_id, entry.stats);
        }
        Ok(stats)
    }

    /// Returns the movies similar to movie `id`, in recommendation-service's JSON.
    ///
    /// # Errors
    /// Returns [`CallError`] if recommendation-service is unreachable, too slow or sends an unexpected response.
    #[tracing::instrument(name = "client.platform.similar", level = "debug", skip_all, fields(%id), err(level = "debug"))]
    pub async fn similar(&self, id: MovieId) -> Result<Box<RawValue>, CallError> {
        let path = format!("/api/v1/movies/{id}/similar");
        let found: SimilarResponse = self.get(&self.0.recommendation_service, &path).await?;
        Ok(found.similar)
    }

    async fn get<T: DeserializeOwned>(&self, client: &Client, path: &str) -> Result<T, CallError> {
        let unreachable = |error| client.unreachable(error);
        let request = client.get(path, self.0.timeout);
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            return Err(CallError::Status {
                service: client.service(),
                status: status.as_u16(),
            });
        }
        let body = response.bytes().await.map_err(unreachable)?;
        serde_json::from_slice(&body).map_err(|error| CallError::Unreadable {
            service: client.service(),
            reason: error.to_string(),
        })
    }
}

#[derive(Deserialize)]
struct StatsResponse {
    stats: Vec<StatsEntry>,
}

#[derive(Deserialize)]
struct StatsEntry {
    movie_id: MovieId,
    #[serde(flatten)]
    stats: Stats,
}

#[derive(Deserialize)]
struct SimilarResponse {
    similar: Box<RawValue>,
}
