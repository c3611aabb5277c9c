//! The other services of the platform, requested for `include=stats` and `include=similar`. A movie is served without
//! them if they are unavailable.

use std::{collections::HashMap, time::Duration};

use chassis::{
    client::{CallError, Client},
    language::Language,
};
use reqwest::{RequestBuilder, header::ACCEPT_LANGUAGE};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::models::{MovieId, Stats};

/// The called services.
pub struct Platform {
    /// preference-service.
    pub preference_service: Client,
    /// recommendation-service.
    pub recommendation_service: Client,
    /// The time limit of a call.
    pub timeout: Duration,
}

impl Platform {
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
        let client = &self.preference_service;
        let request = client.get(&path, self.timeout);
        let found: StatsResponse = Self::send(client, request).await?;
        let mut stats: HashMap<MovieId, Stats> =
            ids.into_iter().map(|id| (id, Stats::default())).collect();
        for entry in found.stats {
            stats.insert(entry.movie_id, entry.stats);
        }
        Ok(stats)
    }

    /// Returns the movies similar to movie `id`, in recommendation-service's JSON, with texts in `language`, `None` for
    /// the catalogue's own.
    ///
    /// # Errors
    /// Returns [`CallError`] if recommendation-service is unreachable, too slow or sends an unexpected response.
    #[tracing::instrument(name = "client.platform.similar", level = "debug", skip_all, fields(%id), err(level = "debug"))]
    pub async fn similar(
        &self,
        id: MovieId,
        language: Option<Language>,
    ) -> Result<Box<RawValue>, CallError> {
        let client = &self.recommendation_service;
        let mut request = client.get(&format!("/api/v1/movies/{id}/similar"), self.timeout);
        if let Some(language) = language {
            request = request.header(ACCEPT_LANGUAGE, language.to_string());
        }
        let found: SimilarResponse = Self::send(client, request).await?;
        Ok(found.similar)
    }

    async fn send<T: DeserializeOwned>(
        client: &Client,
        request: RequestBuilder,
    ) -> Result<T, CallError> {
        let response = request.send().await;
        let response = response.map_err(|error| client.unreachable(error))?;
        client.read(response).await
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
