//! Response bodies of lists by user, query and accepted language, for as long as the same list would be made.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use chassis::language::Language;
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
    pub(super) models: [Option<i64>; 2],
    pub(super) treatments: u64,
}

struct CachedResponse {
    query: String,
    stamp: Stamp,
    body: Bytes,
    /// The language of the body.
    language: Language,
}

/// The user, the query, and the language that the client accepts.
pub(super) type Key<'a> = (UserId, &'a str, Option<Language>);

/// The cache; cheap to clone.
#[derive(Clone)]
pub(super) struct ResponseCache {
    /// By user, accepted language, and the hash of the query, which is faster to look up than a text.
    responses: Cache<(UserId, Option<Language>, u64), Arc<CachedResponse>>,
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

    /// The body of `key` and its language, if `stamp` returns that of the cached one.
    pub(super) fn get(
        &self,
        (id, query, accepted): Key<'_>,
        stamp: impl FnOnce() -> Option<Stamp>,
    ) -> Option<(Bytes, Language)> {
        let key = (id, accepted, self.hasher.hash_one(query));
        let response = self.responses.get(&key)?;
        let is_current = response.query == query && stamp()? == response.stamp;
        is_current.then(|| (response.body.clone(), response.language))
    }

    pub(super) fn insert(
        &self,
        (id, query, accepted): Key<'_>,
        stamp: Stamp,
        (body, language): (&Bytes, Language),
    ) {
        let response = CachedResponse {
            query: query.to_owned(),
            stamp,
            body: body.clone(),
            language,
        };
        let key = (id, accepted, self.hasher.hash_one(query));
        self.responses.insert(key, Arc::new(response));
    }
}
