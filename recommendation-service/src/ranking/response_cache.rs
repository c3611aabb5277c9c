//! Response bodies of lists by user and query, for as long as the same list would be made.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use moka::sync::Cache;

use crate::{read_model::UserId, rules::Weights};

/// The memory of all bodies in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Movies age, so a list changes slowly even if nothing else does.
const BODY_TTL: Duration = Duration::from_secs(60);

/// The revisions of everything that a list depends on beside its parameters: while they stay, so does the list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stamp {
    pub(super) profile: u64,
    pub(super) catalogue: u64,
    pub(super) rules: Weights,
    pub(super) model: Option<i64>,
    pub(super) treatments: u64,
}

struct CachedResponse {
    query: String,
    stamp: Stamp,
    body: Bytes,
}

/// The cache; cheap to clone.
#[derive(Clone)]
pub(super) struct ResponseCache {
    /// By user and by the hash of the query, which is faster to look up than a text.
    responses: Cache<(UserId, u64), Arc<CachedResponse>>,
    hasher: RandomState,
}

impl ResponseCache {
    pub(super) fn new() -> Self {
        let responses = Cache::builder()
            .weigher(|_, response: &Arc<CachedResponse>| {
                let bytes = response.body.len() + response.query.len() + 128;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .max_capacity(MAX_BYTES)
            .time_to_live(BODY_TTL)
            .build();
        Self {
            responses,
            hasher: RandomState::new(),
        }
    }

    /// The body for this query of user `id`, if `stamp` returns that of the cached one.
    pub(super) fn get(
        &self,
        id: UserId,
        query: &str,
        stamp: impl FnOnce() -> Option<Stamp>,
    ) -> Option<Bytes> {
        let response = self.responses.get(&(id, self.hasher.hash_one(query)))?;
        let is_current = response.query == query && stamp()? == response.stamp;
        is_current.then(|| response.body.clone())
    }

    pub(super) fn insert(&self, id: UserId, query: &str, stamp: Stamp, body: &Bytes) {
        let response = CachedResponse {
            query: query.to_owned(),
            stamp,
            body: body.clone(),
        };
        let key = (id, self.hasher.hash_one(query));
        self.responses.insert(key, Arc::new(response));
    }
}
