//! Questions to other services. Following their feeds is `chassis`'s; what an answer means for a
//! request is decided in [`crate::service`].

use std::time::Duration;

use axum::http::StatusCode;
use chassis::client::{CallError, Client};

use crate::models::MovieId;

/// movie-service, asked about a film at a time.
#[derive(Clone)]
pub struct MovieService {
    client: Client,
    limit: Duration,
}

impl MovieService {
    /// The service behind `client`, which must answer within `limit`.
    #[must_use]
    pub fn new(client: Client, limit: Duration) -> Self {
        Self { client, limit }
    }

    /// Whether it knows the film.
    ///
    /// # Errors
    /// It cannot be reached in time, or answers neither yes nor no.
    pub async fn has_movie(&self, id: MovieId) -> Result<bool, CallError> {
        let response = self
            .client
            .get(&format!("/api/v1/movies/{id}"), self.limit)
            .send()
            .await
            .map_err(|error| self.client.unreachable(error))?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            status => Err(CallError::Status {
                service: self.client.service(),
                status: status.as_u16(),
            }),
        }
    }
}
