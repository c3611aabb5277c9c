//! Public keys by URL (RFC 7517): fetched by a thread of their own, again every few minutes and when a
//! token names a key that is not known, but never more often than the settings allow. While their
//! source is away the last good set stays.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chassis::shutdown::Shutdown;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use tokio::sync::Notify;
use url::Url;

/// The largest set that is read, in bytes, and the most keys of it.
const SET_BYTES: usize = 256 * 1024;
const KEYS: usize = 100;
/// After a failure, at first and at most.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The shortest RSA modulus, in bytes (RFC 7518, 3.3).
const MODULUS_BYTES: usize = 256;

/// A key, and the one algorithm that it is for.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// What is known of the keys; shared by all threads.
#[derive(Default)]
pub(super) struct Jwks {
    /// None: nothing was ever fetched.
    keys: RwLock<Option<Arc<HashMap<String, Key>>>>,
    /// Rises when the keys become others.
    generation: AtomicU64,
    wanted: Notify,
}

impl Jwks {
    /// The keys by their ids; none where nothing was ever fetched.
    pub(super) fn keys(&self) -> Option<Arc<HashMap<String, Key>>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.clone()
    }

    /// Which set it is: what was verified with another may not be valid any more.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Asks for the keys to be fetched as soon as may be.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    fn replace(&self, keys: HashMap<String, Key>) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(keys));
        self.generation.fetch_add(1, Ordering::Release);
    }
}

/// Where keys come from, and how often.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) url: Url,
    pub(super) timeout: Duration,
    /// Without any reason.
    pub(super) refresh: Duration,
    /// At least, between two fetches.
    pub(super) pause: Duration,
}

/// Keeps `jwks` up to date until the shutdown.
pub(super) async fn keep(jwks: Arc<Jwks>, source: Source, shutdown: Shutdown) {
    tokio::select! {
        () = shutdown.started() => {}
        () = fetch_again_and_again(&jwks, &source) => {}
    }
}

async fn fetch_again_and_again(jwks: &Jwks, source: &Source) {
    let http = chassis::client::http().timeout(source.timeout).build();
    let http = match http {
        Ok(http) => http,
        Err(error) => {
            tracing::error!(%error, "keys cannot be fetched");
            return;
        }
    };
    let mut known = Vec::new();
    let mut retry = RETRY;
    loop {
        let fetched = async {
            let text = fetch(&http, &source.url).await?;
            let keys = parse(&text)?;
            Ok::<_, String>((text, keys))
        };
        match fetched.await {
            Ok((text, keys)) => {
                if text != known {
                    tracing::info!(
                        keys = keys.len(),
                        "fetched the keys that tokens are verified with"
                    );
                    jwks.replace(keys);
                    known = text;
                }
                retry = RETRY;
                tokio::time::sleep(source.pause).await;
                let rest = source.refresh.saturating_sub(source.pause);
                // A flood of unknown keys is one wish.
                let _ = tokio::time::timeout(rest, jwks.wanted.notified()).await;
            }
            Err(cause) => {
                tracing::warn!(
                    cause,
                    "the keys that tokens are verified with cannot be fetched"
                );
                tokio::time::sleep(retry).await;
                retry = (retry * 2).min(LONGEST_RETRY);
            }
        }
    }
}

async fn fetch(http: &reqwest::Client, url: &Url) -> Result<Vec<u8>, String> {
    let fail = |error: reqwest::Error| error.without_url().to_string();
    let mut response = http.get(url.clone()).send().await.map_err(fail)?;
    if response.status().as_u16() != 200 {
        return Err(format!("answered {}", response.status().as_u16()));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(fail)? {
        if text.len() + chunk.len() > SET_BYTES {
            return Err("too large".to_owned());
        }
        text.extend_from_slice(&chunk);
    }
    Ok(text)
}

/// The keys of a set that can be used: those we do not know the like of are passed over, as the RFC
/// asks. None at all is an error, since the set before it was better.
fn parse(text: &[u8]) -> Result<HashMap<String, Key>, String> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_slice(text).map_err(|error| format!("no JWK set: {error}"))?;
    let keys: HashMap<String, Key> = set
        .keys
        .into_iter()
        .take(KEYS)
        .filter_map(|value| usable(&serde_json::from_value(value).ok()?))
        .collect();
    if keys.is_empty() {
        return Err("a JWK set without a key that can be used".to_owned());
    }
    Ok(keys)
}

/// What kind of key it is decides the algorithm, never the token. Symmetric keys are none of ours: a
/// set is public.
fn usable(jwk: &Jwk) -> Option<(String, Key)> {
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
        AlgorithmParameters::RSA(key) if bytes(&key.n) >= MODULUS_BYTES => {
            (Algorithm::RS256, KeyAlgorithm::RS256)
        }
        _ => return None,
    };
    let common = &jwk.common;
    let for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|use_| *use_ == PublicKeyUse::Signature);
    let for_algorithm = common.key_algorithm.is_none_or(|own| own == name);
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
    fn the_kind_of_a_key_is_its_algorithm() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let n = URL_SAFE_NO_PAD.encode([1; 256]);
        let found = algorithms(json!([
            {"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": x},
            {"kid": "b", "kty": "EC", "crv": "P-256", "x": x, "y": x, "use": "sig"},
            {"kid": "c", "kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256"},
        ]));
        let expected = [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256];
        assert_eq!(
            found
                .iter()
                .map(|(_, algorithm)| *algorithm)
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn keys_that_cannot_be_used_are_passed_over() {
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
