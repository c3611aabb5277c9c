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

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use chassis::shutdown::Shutdown;
use http_body_util::{BodyExt, Limited};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use rustls::ClientConfig;
use serde::Deserialize;
use tokio::sync::Notify;
use url::Url;

const MAX_SET_BYTES: usize = 256 * 1024;
const MAX_KEYS: usize = 100;
/// The first pause after a failure; it doubles with each further one.
const MIN_RETRY_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(30);
/// RFC 7518, 3.3.
const MIN_RSA_MODULUS_BYTES: usize = 256;

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

/// Parses the usable keys of a set; others are ignored, as RFC 7517, section 5, requires. A set without any is
/// an error, so that the previous set stays in use.
fn parse(text: &[u8]) -> Result<HashMap<String, Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(text).map_err(|error| format!("not a JWKS: {error}"))?;
    let keys: HashMap<String, Key> = set
        .keys
        .into_iter()
        .take(MAX_KEYS)
        .filter_map(|value| parse_key(&serde_json::from_value(value).ok()?))
        .collect();
    if keys.is_empty() {
        return Err("a JWKS without a usable key".to_owned());
    }
    Ok(keys)
}

/// Returns a key with its id. Its type determines the algorithm. Symmetric keys are rejected: the set is public.
fn parse_key(jwk: &Jwk) -> Option<(String, Key)> {
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key)
            if key.curve == EllipticCurve::Ed25519 && bytes(&key.x) == 32 =>
        {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::EllipticCurve(key)
            if key.curve == EllipticCurve::P256 && bytes(&key.x) == 32 && bytes(&key.y) == 32 =>
        {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::RSA(key) if bytes(&key.n) >= MIN_RSA_MODULUS_BYTES => {
            (Algorithm::RS256, KeyAlgorithm::RS256)
        }
        _ => return None,
    };
    let common = &jwk.common;
    let for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|key_use| *key_use == PublicKeyUse::Signature);
    let for_algorithm = common.key_algorithm.is_none_or(|given| given == name);
    if !for_signatures || !for_algorithm {
        return None;
    }
    let key = DecodingKey::from_jwk(jwk).ok()?;
    Some((common.key_id.clone()?, Key { algorithm, key }))
}

#[cfg(test)]
mod tests {
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
    fn the_type_of_a_key_determines_its_algorithm() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let n = URL_SAFE_NO_PAD.encode([1; 256]);
        let found = algorithms(json!([
            {"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": x},
            {"kid": "b", "kty": "EC", "crv": "P-256", "x": x, "y": x, "use": "sig"},
            {"kid": "c", "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256"},
        ]));
        let expected = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];
        assert!(
            found
                .into_iter()
                .map(|(_, algorithm)| algorithm)
                .eq(expected)
        );
    }

    #[test]
    fn unusable_keys_are_ignored() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let short = URL_SAFE_NO_PAD.encode([1; 31]);
        let n = URL_SAFE_NO_PAD.encode([1; 128]);
        let good = json!({"kid": "good", "kty": "OKP", "crv": "Ed25519", "x": x});
        for bad in [
            json!({"kid": "bad", "kty": "oct", "k": x}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": x}),
            json!({"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": short}),
            json!({"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": "*"}),
            json!({"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": x, "use": "enc"}),
            json!({"kid": "bad", "kty": "EC", "crv": "P-256", "x": x, "y": short}),
            json!({"kid": "bad", "kty": "EC", "crv": "P-384", "x": x, "y": x}),
            json!({"kid": "bad", "kty": "RSA", "n": n, "e": "AQAB"}),
            json!({"kid": "bad", "kty": "RSA", "n": x.repeat(9), "e": "AQAB", "alg": "PS256"}),
            json!({"kid": "bad", "kty": "new"}),
            json!(7),
        ] {
            let found = algorithms(json!([bad, good]));
            assert_eq!(found, [("good".to_owned(), Algorithm::EdDSA)], "{bad}");
            assert!(algorithms(json!([bad])).is_empty());
        }
    }
}
