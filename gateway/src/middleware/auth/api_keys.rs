//! API keys. They are opaque: the owner is looked up by the key's SHA-256 at the service that issued it, and
//! cached for a while, during which a revoked key still works. Invalid keys are cached, too; clients that send
//! many of them are refused without a lookup.

use std::{
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chassis::{Problem, clock::Clock};
use http_body_util::{BodyExt, Limited};
use hyper::{StatusCode, http::uri::PathAndQuery};
use quick_cache::{sync, unsync};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::{
    bearer::invalid_token,
    principal::{Principal, Role, Scopes},
};
use crate::{
    middleware::client_ip::ClientKey,
    proxy::{
        Upstream,
        internal::InternalCall,
        problem::{bad_gateway, unavailable, upstream_failed},
    },
    response::rate_limited,
};

const PREFIX: &[u8] = b"mq_";
const KEY_BYTES: usize = 3 + 43;
/// The most keys that one thread keeps.
const MAX_CACHED_KEYS: usize = 4096;
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);
const MAX_RESPONSE_BYTES: usize = 4096;
/// Lookups of one thread.
const MAX_CONCURRENT_LOOKUPS: usize = 64;
/// Invalid keys of one client in one window.
const MAX_INVALID_KEYS: u32 = 20;
const INVALID_KEY_WINDOW: Duration = Duration::from_secs(60);
/// The most clients that are remembered for invalid keys.
const MAX_CLIENTS: usize = 10_000;

type Hash = [u8; 32];

/// True if `token` is an API key rather than a JWT.
pub(super) fn is_api_key(token: &[u8]) -> bool {
    token.starts_with(PREFIX)
}

/// Counts the invalid API keys of each client in a fixed window; shared by all threads, and used only if a key
/// is not cached. Unlike a rate limiter it counts after the lookup, which alone shows if the key is invalid.
pub(crate) struct InvalidKeyLimiter(Mutex<unsync::Cache<ClientKey, (u32, Instant)>>);

impl Default for InvalidKeyLimiter {
    fn default() -> Self {
        Self(Mutex::new(unsync::Cache::new(MAX_CLIENTS)))
    }
}

impl InvalidKeyLimiter {
    /// The time until another key of `client` may be looked up, if it has to wait.
    fn wait(&self, client: ClientKey, now: Instant) -> Option<Duration> {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, ends) = *clients.get(&client)?;
        (count >= MAX_INVALID_KEYS && ends > now).then(|| ends - now)
    }

    fn count(&self, client: ClientKey, now: Instant) {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, ends) = match clients.get(&client) {
            Some((count, ends)) if *ends > now => (*count, *ends),
            _ => (0, now + INVALID_KEY_WINDOW),
        };
        clients.insert(client, (count + 1, ends));
    }
}

/// The result of a lookup.
#[derive(Clone)]
struct CachedKey {
    /// `None`: the key is invalid.
    owner: Option<Rc<Principal>>,
    fresh_until: Instant,
}

/// The API keys that one thread has looked up.
pub(crate) struct ApiKeys {
    invalid_keys: Arc<InvalidKeyLimiter>,
    clock: Clock,
    ttl: Duration,
    /// Also ensures that a key is looked up once, however many requests wait for it.
    cache: sync::Cache<Hash, CachedKey>,
    lookups: Semaphore,
}

/// The response of the service.
#[derive(Deserialize)]
struct Owner {
    user_id: u64,
    role: Role,
    scopes: Vec<String>,
    expires_at: Option<u64>,
}

impl ApiKeys {
    /// An empty cache, whose entries are valid for `ttl`.
    pub(crate) fn new(invalid_keys: Arc<InvalidKeyLimiter>, clock: Clock, ttl: Duration) -> Self {
        Self {
            invalid_keys,
            clock,
            ttl,
            cache: sync::Cache::new(MAX_CACHED_KEYS),
            lookups: Semaphore::new(MAX_CONCURRENT_LOOKUPS),
        }
    }

    /// Returns the owner of `key`, from the cache or from `service`.
    ///
    /// # Errors
    /// 401 if the key is invalid, 429 if `client` sent too many of those, 502 or 503 if the lookup fails.
    pub(super) async fn resolve(
        &self,
        key: &[u8],
        client: ClientKey,
        service: &Upstream,
        call: &InternalCall<'_>,
    ) -> Result<Rc<Principal>, Problem> {
        let invalid = || invalid_token("the API key does not exist or has expired");
        if key.len() != KEY_BYTES || !key.is_ascii() {
            return Err(invalid());
        }
        let hash: Hash = Sha256::digest(key).into();
        let placeholder = loop {
            match self.cache.get_value_or_guard_async(&hash).await {
                Ok(cached) if cached.fresh_until > Instant::now() => {
                    let owner = cached.owner.filter(|owner| owner.is_valid(&self.clock));
                    return owner.ok_or_else(invalid);
                }
                Ok(_) => {
                    let is_stale = |cached: &CachedKey| cached.fresh_until <= Instant::now();
                    self.cache.remove_if(&hash, is_stale);
                }
                Err(placeholder) => break placeholder,
            }
        };
        if let Some(wait) = self.invalid_keys.wait(client, Instant::now()) {
            return Err(rate_limited(
                "too many unknown API keys",
                wait.as_secs().max(1),
            ));
        }
        let _permit = self.lookups.try_acquire().map_err(|_| {
            unavailable(service.service).error("too many API keys are being checked")
        })?;
        let lookup = tokio::time::timeout(LOOKUP_TIMEOUT, look_up(&hash, service, call));
        let owner = match lookup.await {
            Ok(owner) => owner?.and_then(Owner::into_principal).map(Rc::new),
            Err(_) => return Err(unavailable(service.service)),
        };
        if owner.is_none() {
            self.invalid_keys.count(client, Instant::now());
        }
        // Fails only if the entry was removed meanwhile.
        let _ = placeholder.insert(CachedKey {
            owner: owner.clone(),
            fresh_until: Instant::now() + self.ttl,
        });
        owner.ok_or_else(invalid)
    }
}

impl Owner {
    fn into_principal(self) -> Option<Principal> {
        let scopes = Scopes::parse(&self.scopes);
        // The role of an administrator needs both: an owner who has it now, and a key created for it.
        let role = if scopes.admin { self.role } else { Role::User };
        let valid_until = self.expires_at.unwrap_or(u64::MAX);
        Principal::new(self.user_id.to_string(), role, Some(scopes), valid_until)
    }
}

async fn look_up(
    hash: &Hash,
    upstream: &Upstream,
    call: &InternalCall<'_>,
) -> Result<Option<Owner>, Problem> {
    let service = upstream.service;
    let path = format!("/internal/v1/api-keys/{}", hex::encode(hash));
    let target = PathAndQuery::try_from(path).map_err(|_| bad_gateway(service))?;
    let response = call
        .get(upstream, &target)
        .await
        .map_err(|failure| upstream_failed(service, &failure))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => return Err(unavailable(service)),
    }
    let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES);
    let body = body.collect().await.map_err(|_| bad_gateway(service))?;
    serde_json::from_slice(&body.to_bytes())
        .map(Some)
        .map_err(|_| bad_gateway(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_send_many_invalid_keys_have_to_wait_and_others_do_not() {
        let limiter = InvalidKeyLimiter::default();
        let client = |number: u32| ClientKey::of(std::net::IpAddr::from(number.to_be_bytes()));
        let now = Instant::now();
        for _ in 0..MAX_INVALID_KEYS {
            assert_eq!(limiter.wait(client(1), now), None);
            limiter.count(client(1), now);
        }
        assert_eq!(limiter.wait(client(1), now), Some(INVALID_KEY_WINDOW));
        assert_eq!(limiter.wait(client(2), now), None);
        assert_eq!(limiter.wait(client(1), now + INVALID_KEY_WINDOW), None);
        for number in 0..3 * MAX_CLIENTS {
            limiter.count(client(u32::try_from(number).expect("small")), now);
        }
        assert!(limiter.0.lock().expect("not poisoned").len() <= MAX_CLIENTS);
    }
}
