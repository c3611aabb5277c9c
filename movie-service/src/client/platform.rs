//! What the other services of the platform say of films. They are asked for what a client wants to come
//! with a film, and never needed for the film itself.

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
    limit: Duration,
}

impl Platform {
    /// The services behind these clients, each of which must answer within `limit`.
    #[must_use]
    pub fn new(
        preference_service: Client,
        recommendation_service: Client,
        limit: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            preference_service,
            recommendation_service,
            limit,
        }))
    }

    /// How users stand with each of `ids`; none is left out.
    ///
    /// # Errors
    /// preference-service cannot be reached in time, or answers something else.
    pub async fn stats(
        &self,
        ids: impl IntoIterator<Item = MovieId>,
    ) -> Result<HashMap<MovieId, Stats>, CallError> {
        let ids: Vec<MovieId> = ids.into_iter().collect();
        let list: Vec<String> = ids.iter().map(MovieId::to_string).collect();
        let path = format!("/internal/v1/stats?ids={}", list.join(","));
        let found: ManyStats = self.ask(&self.0.preference_service, &path).await?;
        let mut stats: HashMap<MovieId, Stats> =
            ids.into_iter().map(|id| (id, Stats::default())).collect();
        for of_film in found.stats {
            stats.insert(of_film.movie_id, of_film.stats);
        }
        Ok(stats)
    }

    /// The films like film `id`, as recommendation-service describes them.
    ///
    /// # Errors
    /// recommendation-service cannot be reached in time, or answers something else.
    pub async fn similar(&self, id: MovieId) -> Result<Box<RawValue>, CallError> {
        let path = format!("/api/v1/movies/{id}/similar");
        let found: Similar = self.ask(&self.0.recommendation_service, &path).await?;
        Ok(found.similar)
    }

    async fn ask<T: DeserializeOwned>(&self, client: &Client, path: &str) -> Result<T, CallError> {
        let unreachable = |error| client.unreachable(error);
        let request = client.get(path, self.0.limit);
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
struct ManyStats {
    stats: Vec<StatsOfFilm>,
}

#[derive(Deserialize)]
struct StatsOfFilm {
    movie_id: MovieId,
    #[serde(flatten)]
    stats: Stats,
}

#[derive(Deserialize)]
struct Similar {
    similar: Box<RawValue>,
}
