//! TMDB's image host, which needs no key. [`crate::service::images`] calls it. Every fetch is bounded by size, concurrency and
//! time, and refused while the circuit breaker is open; none is repeated, since the client of an image asks again.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chassis::{
    breaker::{Breaker, Outcome},
    client::read_at_most,
};
use reqwest::{StatusCode, header};
use tokio::sync::Semaphore;
use url::Url;

use super::counts::RequestCounts;
use crate::{
    config::TmdbConfig,
    models::{HostState, ImageKey},
};

/// Fetches of images by outcome (counter).
pub const IMAGE_FETCHES_TOTAL: &str = "image_fetches_total";

/// Larger images are refused; TMDB's largest originals have less.
const MAX_IMAGE_BYTES: usize = 12 * 1024 * 1024;
/// Concurrent fetches; further ones wait.
const MAX_FETCHES: usize = 16;
/// The time limit of a fetch, and of the wait for one.
const FETCH_TIMEOUT: Duration = Duration::from_secs(8);

/// A failed fetch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ImageFetchError {
    /// TMDB has no such image.
    #[error("not found at TMDB")]
    NotFound,
    /// TMDB responded with another status.
    #[error("TMDB's image host responded with {0}")]
    Status(u16),
    /// The connection or the time limit failed.
    #[error("TMDB's image host cannot be reached: {0}")]
    Unreachable(String),
    /// The body is not an image of the requested format, or too large.
    #[error("TMDB's image is {0}")]
    Invalid(&'static str),
    /// Too many fetches are waiting.
    #[error("too many images are being fetched")]
    Busy,
    /// The circuit breaker is open for this long.
    #[error("TMDB's image host failed repeatedly; no requests for {} s", .0.as_secs())]
    BreakerOpen(Duration),
}

impl ImageFetchError {
    fn label(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Status(_) => "failed",
            Self::Unreachable(_) => "unreachable",
            Self::Invalid(_) => "invalid",
            Self::Busy => "busy",
            Self::BreakerOpen(_) => "left_alone",
        }
    }

    fn outcome(&self, key: &ImageKey) -> Outcome {
        match self {
            Self::NotFound => Outcome::Success,
            Self::Unreachable(_) => Outcome::Failure,
            Self::Busy | Self::BreakerOpen(_) => Outcome::Neutral,
            Self::Status(_) | Self::Invalid(_) => {
                let mut hasher = DefaultHasher::new();
                key.hash(&mut hasher);
                Outcome::FailureOf(hasher.finish())
            }
        }
    }
}

/// The client of the image host; cheap to clone.
#[derive(Clone)]
pub struct ImageHost(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    base: String,
    slots: Semaphore,
    breaker: Breaker,
    counts: RequestCounts,
}

impl ImageHost {
    /// Builds the client of `base`; nothing is sent yet.
    ///
    /// # Errors
    /// Fails if the TLS backend cannot be initialized.
    pub fn new(base: &Url, config: &TmdbConfig) -> anyhow::Result<Self> {
        let http = chassis::client::http()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self(Arc::new(Inner {
            http,
            base: base.as_str().trim_end_matches('/').to_owned(),
            slots: Semaphore::new(MAX_FETCHES),
            breaker: Breaker::new(
                config.tmdb_breaker_failures,
                Duration::from_secs(config.tmdb_breaker_open_seconds),
            ),
            counts: RequestCounts::default(),
        })))
    }

    /// Fetches an image; its body has the format of its name.
    pub async fn fetch(&self, key: &ImageKey) -> Result<Bytes, ImageFetchError> {
        let host = &self.0;
        if let Some(left) = host.breaker.refuses_for() {
            return Err(ImageFetchError::BreakerOpen(left));
        }
        let result = self.attempt(key).await;
        let label = result
            .as_ref()
            .map_or_else(ImageFetchError::label, |_| "ok");
        metrics::counter!(IMAGE_FETCHES_TOTAL, "outcome" => label).increment(1);
        result
    }

    async fn attempt(&self, key: &ImageKey) -> Result<Bytes, ImageFetchError> {
        let host = &self.0;
        let slot = tokio::time::timeout(FETCH_TIMEOUT, host.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else {
            return Err(ImageFetchError::Busy);
        };
        host.breaker.enter().map_err(ImageFetchError::BreakerOpen)?;
        let mut report = host.breaker.report_later();
        let result = self.call(key).await;
        let is_valid = matches!(result, Ok(_) | Err(ImageFetchError::NotFound));
        host.counts.add(is_valid);
        report.outcome = match &result {
            Ok(_) => Outcome::Success,
            Err(error) => error.outcome(key),
        };
        result
    }

    async fn call(&self, key: &ImageKey) -> Result<Bytes, ImageFetchError> {
        let unreachable = |error: reqwest::Error| {
            ImageFetchError::Unreachable(format!("{:#}", anyhow::Error::new(error.without_url())))
        };
        let url = format!("{}/{}/{}", self.0.base, key.size(), key.name());
        let response = self.0.http.get(url).send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Err(ImageFetchError::NotFound),
            other => return Err(ImageFetchError::Status(other.as_u16())),
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
        if kind.map(str::trim) != Some(key.format().media_type()) {
            return Err(ImageFetchError::Invalid("of another media type"));
        }
        let body = read_at_most(response, MAX_IMAGE_BYTES).await;
        let body = body.map_err(unreachable)?;
        let body = body.ok_or(ImageFetchError::Invalid("too large"))?;
        if !key.format().matches(&body) {
            return Err(ImageFetchError::Invalid("of another format"));
        }
        Ok(body.into())
    }

    /// The circuit breaker and the fetches since the start.
    #[must_use]
    pub fn state(&self) -> HostState {
        self.0.counts.state(&self.0.breaker)
    }
}
