//! A login provider with its metadata and public keys, which are fetched when they are needed and kept. Called by
//! [`super`]. A provider that fails is left alone for a while, so that logins do not wait for it one after the other.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::id_token::KeySet;
use crate::{
    client::oidc::{Metadata, ProviderClient, ProviderError},
    models::LoginProvider,
};

/// The age at which metadata and keys are fetched again.
const REFRESH_INTERVAL: Duration = Duration::from_secs(3600);
/// The pause after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The least time between two fetches because of an unknown key.
const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(30);

/// A value that was fetched, or the last failure to fetch it.
struct Fetched<T> {
    value: Option<(T, Instant)>,
    failure: Option<(String, Instant)>,
}

impl<T: Clone> Fetched<T> {
    const fn empty() -> Self {
        Self {
            value: None,
            failure: None,
        }
    }

    /// The value if it is fresh.
    fn fresh(&self) -> Option<T> {
        let (value, at) = self.value.as_ref()?;
        (at.elapsed() < REFRESH_INTERVAL).then(|| value.clone())
    }

    /// Keeps the result of a fetch; an old value outlasts a failure.
    fn keep(&mut self, fetched: Result<T, ProviderError>) -> Result<T, ProviderError> {
        let error = match fetched {
            Ok(value) => {
                self.value = Some((value.clone(), Instant::now()));
                self.failure = None;
                return Ok(value);
            }
            Err(error) => error,
        };
        tracing::warn!(%error, "a login provider cannot be read");
        self.failure = Some((error.to_string(), Instant::now()));
        match &self.value {
            Some((value, _)) => Ok(value.clone()),
            None => Err(error),
        }
    }

    /// The result without another fetch, shortly after a failure.
    fn during_pause(&self) -> Option<Result<T, ProviderError>> {
        let (reason, at) = self.failure.as_ref()?;
        if at.elapsed() >= RETRY_INTERVAL {
            return None;
        }
        Some(match &self.value {
            Some((value, _)) => Ok(value.clone()),
            None => Err(ProviderError::Unavailable(reason.clone())),
        })
    }
}

/// The keys, and the last fetch that an unknown key caused.
struct Keys {
    fetched: Fetched<KeySet>,
    unknown_at: Option<Instant>,
}

/// A provider.
pub(super) struct Provider {
    pub(super) client: ProviderClient,
    metadata: Mutex<Fetched<Metadata>>,
    keys: Mutex<Keys>,
}

impl Provider {
    /// The provider behind `client`.
    pub(super) fn new(client: ProviderClient) -> Self {
        Self {
            client,
            metadata: Mutex::new(Fetched::empty()),
            keys: Mutex::new(Keys {
                fetched: Fetched::empty(),
                unknown_at: None,
            }),
        }
    }

    pub(super) fn settings(&self) -> &LoginProvider {
        self.client.provider()
    }

    /// The metadata of the issuer; concurrent callers share one fetch.
    pub(super) async fn metadata(&self) -> Result<Metadata, ProviderError> {
        let mut metadata = self.metadata.lock().await;
        if let Some(fresh) = metadata.fresh() {
            return Ok(fresh);
        }
        if let Some(result) = metadata.during_pause() {
            return result;
        }
        let fetched = self.client.discover().await;
        metadata.keep(fetched)
    }

    /// The keys, with the key `kid` if the issuer has it: an unknown one causes one fetch, seldom enough that made-up ones do
    /// no harm.
    pub(super) async fn keys(
        &self,
        metadata: &Metadata,
        kid: Option<&str>,
    ) -> Result<KeySet, ProviderError> {
        let mut keys = self.keys.lock().await;
        if let Some(fresh) = keys.fetched.fresh() {
            let may_fetch = keys
                .unknown_at
                .is_none_or(|at| at.elapsed() >= UNKNOWN_KEY_INTERVAL);
            if fresh.has(kid) || !may_fetch {
                return Ok(fresh);
            }
            keys.unknown_at = Some(Instant::now());
        }
        if let Some(result) = keys.fetched.during_pause() {
            return result;
        }
        let text = self.client.fetch_keys(&metadata.jwks_uri).await;
        let fetched = text.and_then(|text| {
            KeySet::parse(&text).map_err(|reason| ProviderError::Unavailable(reason.to_owned()))
        });
        keys.fetched.keep(fetched)
    }
}
