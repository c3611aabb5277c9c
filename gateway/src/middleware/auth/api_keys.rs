//! API keys. They are opaque: the owner is looked up by the key's SHA-256 at the service that issued it, and
//! cached for a while, during which a revoked key still works. Invalid keys are cached, too; the lookups of clients that send
//! many of them are delayed, but not those of keys that were valid before: made-up keys must not lock out the owner of another.

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
    principal::{Principal, Role, Scopes, limit_id},
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
/// Invalid keys of one client in one window; further lookups are delayed.
const MAX_INVALID_KEYS: u32 = 20;
/// The delay of a lookup for a client that has sent so many.
const SUSPECT_DELAY: Duration = Duration::from_secs(1);
/// Delayed lookups of one client; one more is refused.
const MAX_DELAYED_LOOKUPS: u32 = 16;
/// The most valid keys that the process remembers beyond their time in the cache.
const MAX_PROVEN_KEYS: usize = 100_000;
const INVALID_KEY_WINDOW: Duration = Duration::from_secs(60);
/// The most clients that are remembered for invalid keys.
const MAX_CLIENTS: usize = 10_000;

type Hash = [u8; 32];

/// True if `token` is an API key rather than a JWT.
pub(super) fn is_api_key(token: &[u8]) -> bool {
    token.starts_with(PREFIX)
}

/// The invalid keys of a client in its window.
#[derive(Clone, Copy)]
struct Suspect {
    invalid: u32,
    delayed: u32,
    ends: Instant,
}

/// Counts the invalid API keys of each client in a fixed window; shared by all threads, and used only if a key
/// is not cached. Unlike a rate limiter it counts after the lookup, which alone shows if the key is invalid.
pub(crate) struct InvalidKeyLimiter {
    clients: Mutex<unsync::Cache<ClientKey, Suspect>>,
    /// The hashes of keys that were valid at their last lookup.
    proven: sync::Cache<Hash, ()>,
}

impl Default for InvalidKeyLimiter {
    fn default() -> Self {
        Self {
            clients: Mutex::new(unsync::Cache::new(MAX_CLIENTS)),
            proven: sync::Cache::new(MAX_PROVEN_KEYS),
        }
    }
}

/// A delayed lookup, which ends when it is dropped.
struct DelayedLookup<'a>(&'a InvalidKeyLimiter, ClientKey);

impl Drop for DelayedLookup<'_> {
    fn drop(&mut self) {
        self.0.update(self.1, Instant::now(), |suspect| {
            suspect.delayed = suspect.delayed.saturating_sub(1);
        });
    }
}

impl InvalidKeyLimiter {
    /// Registers a lookup of a key that was not valid before, if it has to be delayed.
    ///
    /// # Errors
    /// The time until the window ends, if too many lookups of `client` are delayed already.
    fn delay(
        &self,
        client: ClientKey,
        now: Instant,
    ) -> Result<Option<DelayedLookup<'_>>, Duration> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(suspect) = clients.get(&client).copied() else {
            return Ok(None);
        };
        if suspect.invalid < MAX_INVALID_KEYS || suspect.ends <= now {
            return Ok(None);
        }
        if suspect.delayed >= MAX_DELAYED_LOOKUPS {
            return Err(suspect.ends - now);
        }
        let delayed = suspect.delayed + 1;
        clients.insert(client, Suspect { delayed, ..suspect });
        Ok(Some(DelayedLookup(self, client)))
    }

    fn count(&self, client: ClientKey, now: Instant) {
        self.update(client, now, |suspect| suspect.invalid += 1);
    }

    fn update(&self, client: ClientKey, now: Instant, change: impl FnOnce(&mut Suspect)) {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let known = clients.get(&client).copied();
        let mut suspect = match known {
            Some(suspect) if suspect.ends > now => suspect,
            known => Suspect {
                invalid: 0,
                delayed: known.map_or(0, |suspect| suspect.delayed),
                ends: now + INVALID_KEY_WINDOW,
            },
        };
        change(&mut suspect);
        clients.insert(client, suspect);
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
    /// 401 if the key is invalid, 429 if too many lookups of `client` are delayed, 502 or 503 if the lookup fails.
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
                    let now = self.clock.now();
                    let owner = cached.owner.filter(|owner| owner.is_valid(now));
                    return owner.ok_or_else(invalid);
                }
                Ok(_) => {
                    let is_stale = |cached: &CachedKey| cached.fresh_until <= Instant::now();
                    self.cache.remove_if(&hash, is_stale);
                }
                Err(placeholder) => break placeholder,
            }
        };
        if self.invalid_keys.proven.get(&hash).is_none() {
            let delayed = self.invalid_keys.delay(client, Instant::now());
            let delayed = delayed
                .map_err(|wait| rate_limited("too many unknown API keys", wait.as_secs().max(1)))?;
            if delayed.is_some() {
                tokio::time::sleep(SUSPECT_DELAY).await;
            }
        }
        let _permit = self.lookups.try_acquire().map_err(|_| {
            unavailable(service.service).error("too many API keys are being checked")
        })?;
        let lookup = tokio::time::timeout(LOOKUP_TIMEOUT, look_up(&hash, service, call));
        let owner = match lookup.await {
            Ok(owner) => {
                let owner = owner?.and_then(Owner::into_principal);
                owner.map(|owner| Rc::new(owner.with_api_key(limit_id(&hash))))
            }
            Err(_) => return Err(unavailable(service.service)),
        };
        match owner {
            Some(_) => self.invalid_keys.proven.insert(hash, ()),
            None => {
                self.invalid_keys.proven.remove(&hash);
                self.invalid_keys.count(client, Instant::now());
            }
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
    match response.status {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Ok(None),
        _ => return Err(unavailable(service)),
    }
    let body = Limited::new(response.body, MAX_RESPONSE_BYTES);
    let body = body.collect().await.map_err(|_| bad_gateway(service))?;
    serde_json::from_slice(&body.to_bytes())
        .map(Some)
        .map_err(|_| bad_gateway(service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_of_clients_that_send_many_invalid_keys_are_delayed_and_bounded() {
        let limiter = InvalidKeyLimiter::default();
        let client = |number: u32| ClientKey::of(std::net::IpAddr::from(number.to_be_bytes()));
        let now = Instant::now();
        for _ in 0..MAX_INVALID_KEYS {
            assert!(
                limiter
                    .delay(client(1), now)
                    .is_ok_and(|delayed| delayed.is_none())
            );
            limiter.count(client(1), now);
        }
        let delayed: Vec<_> = (0..MAX_DELAYED_LOOKUPS)
            .map(|_| {
                limiter
                    .delay(client(1), now)
                    .ok()
                    .flatten()
                    .expect("a delay")
            })
            .collect();
        assert_eq!(
            limiter.delay(client(1), now).err(),
            Some(INVALID_KEY_WINDOW)
        );
        assert!(
            limiter
                .delay(client(2), now)
                .is_ok_and(|delayed| delayed.is_none())
        );
        drop(delayed);
        assert!(
            limiter
                .delay(client(1), now)
                .is_ok_and(|delayed| delayed.is_some())
        );
        let later = now + INVALID_KEY_WINDOW;
        assert!(
            limiter
                .delay(client(1), later)
                .is_ok_and(|delayed| delayed.is_none())
        );
        for number in 0..3 * MAX_CLIENTS {
            limiter.count(client(u32::try_from(number).expect("small")), now);
        }
        let clients = limiter.clients.lock().expect("not poisoned");
        assert!(clients.len() <= MAX_CLIENTS);
    }
}
