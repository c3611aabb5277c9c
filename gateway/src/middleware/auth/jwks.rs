//! The set of public keys (JWKS, RFC 7517), fetched by a task beside the threads that serve requests: at an interval, and when a token
//! is signed with an unknown key, but never more often than the settings allow. If the source is unavailable,
//! the last valid set stays in use.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chassis::shutdown::Shutdown;
use http_body_util::{BodyExt, Limited};
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::ClientConfig;
use tokio::sync::Notify;
use url::Url;

const MAX_SET_BYTES: usize = 256 * 1024;
/// The first pause after a failure; it doubles with each further one.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// The algorithms of access tokens.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];

/// A key and its only algorithm.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The current keys; shared by all threads.
#[derive(Default)]
pub(super) struct Jwks {
    /// By key id; `None` before the first fetch.
    keys: RwLock<Option<Arc<HashMap<String, Key>>>>,
    /// Increases when the keys change.
    generation: AtomicU64,
    refresh_requested: Notify,
}

impl Jwks {
    /// The keys by their ids; `None` before the first fetch.
    pub(super) fn keys(&self) -> Option<Arc<HashMap<String, Key>>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    /// The version of the keys: tokens that were verified with another may have become invalid.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Requests a fetch as soon as the minimum interval allows.
    pub(super) fn request_refresh(&self) {
        self.refresh_requested.notify_one();
    }

    fn replace(&self, keys: HashMap<String, Key>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// The source of the keys.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) url: Url,
    /// For an https URL.
    pub(super) tls: Option<ClientConfig>,
    pub(super) timeout: Duration,
    /// The time between two fetches.
    pub(super) refresh_interval: Duration,
    /// The same, if a fetch is requested.
    pub(super) min_interval: Duration,
}

/// Keeps `jwks` up to date until `shutdown`.
pub(super) async fn refresh(jwks: Arc<Jwks>, source: Source, shutdown: Shutdown) {
    tokio::select! {
        () = shutdown.started() => {}
        () = fetch_forever(&jwks, &source) => {}
    }
}

async fn fetch_forever(jwks: &Jwks, source: &Source) {
    let mut http = chassis::client::http().timeout(source.timeout);
    if let Some(tls) = &source.tls {
        http = http.tls_backend_preconfigured(tls.clone());
    }
    let http = match http.build() {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "cannot create the HTTP client for the JWKS");
            return;
        }
    };
    let mut current = Bytes::new();
    let mut retry = MIN_RETRY_INTERVAL;
    loop {
        let text = fetch(&http, &source.url).await;
        match text.and_then(|text| Ok((parse(&text)?, text))) {
            Ok((keys, text)) => {
                if text != current {
                    tracing::info!(keys = keys.len(), "fetched the JWKS");
                    jwks.replace(keys);
                    current = text;
                }
                retry = MIN_RETRY_INTERVAL;
                tokio::time::sleep(source.min_interval).await;
                let rest = source.refresh_interval.saturating_sub(source.min_interval);
                // Any number of requests lead to one fetch.
                let _ = tokio::time::timeout(rest, jwks.refresh_requested.notified()).await;
            }
            Err(cause) => {
                tracing::warn!(cause, "cannot fetch the JWKS");
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(MAX_RETRY_INTERVAL);
            }
        }
    }
}

async fn fetch(http: &reqwest::Client, url: &Url) -> Result<Bytes, String> {
    let fail = |error: reqwest::Error| error.without_url().to_string();
    let response = http.get(url.clone()).send().await.map_err(fail)?;
    if response.status().as_u16() != 200 {
        return Err(format!("status {}", response.status().as_u16()));
    }
    let body = Limited::new(reqwest::Body::from(response), MAX_SET_BYTES).collect();
    Ok(body.await.map_err(|error| error.to_string())?.to_bytes())
}

/// Parses the keys of a set that have an id and one of [`ALGORITHMS`]. A set without any is an error, so that the previous
/// set stays in use.
fn parse(text: &[u8]) -> Result<HashMap<String, Key>, String> {
    let keys: HashMap<String, Key> = chassis::jwks::parse(text)?
        .into_iter()
        .filter_map(|key| {
            let id = key.id?;
            let mut algorithms = key.algorithms.into_iter();
            let algorithm = algorithms.find(|algorithm| ALGORITHMS.contains(algorithm))?;
            let key = Key {
                algorithm,
                key: key.key,
            };
            Some((id, key))
        })
        .collect();
    if keys.is_empty() {
        return Err("the JWK set has no usable key".to_owned());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    fn algorithms(keys: Value) -> Vec<(String, Algorithm)> {
        let text = json!({ "keys": keys }).to_string();
        let mut found: Vec<_> = parse(text.as_bytes())
            .unwrap_or_default()
            .into_iter()
            .map(|(kid, key)| (kid, key.algorithm))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    #[test]
    fn keys_without_an_id_or_of_other_algorithms_are_ignored() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let long = URL_SAFE_NO_PAD.encode([1; 48]);
        let n = URL_SAFE_NO_PAD.encode([1; 256]);
        let found = algorithms(json!([
            {"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": x},
            {"kid": "b", "kty": "EC", "crv": "P-256", "x": x, "y": x},
            {"kid": "c", "kty": "RSA", "n": n, "e": "AQAB"},
            {"kid": "d", "kty": "RSA", "n": n, "e": "AQAB", "alg": "PS256"},
            {"kid": "e", "kty": "EC", "crv": "P-384", "x": long, "y": long},
            {"kty": "OKP", "crv": "Ed25519", "x": x},
        ]));
        let expected = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];
        assert!(
            found
                .into_iter()
                .map(|(_, algorithm)| algorithm)
                .eq(expected)
        );
        assert!(algorithms(json!([{"kty": "OKP", "crv": "Ed25519", "x": x}])).is_empty());
    }
}
