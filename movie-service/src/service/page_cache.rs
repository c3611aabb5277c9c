//! Cache of serialized list pages in the process's memory, bounded in bytes and keyed by query and language. An entry is
//! valid for one generation of the list index; [`super::listing`] makes the pages.

use std::sync::Arc;

use bytes::Bytes;
use moka::future::Cache;

/// Requests for list pages by source: memory or index (counter).
pub const MOVIE_LIST_READS_TOTAL: &str = "movie_list_reads_total";
/// Memory that cached pages take (gauge, bytes).
pub const MOVIE_LIST_CACHE_BYTES: &str = "movie_list_cache_bytes";

/// Longer keys are not cached.
const MAX_KEY_BYTES: usize = 512;
/// Bytes of an entry beside its key and response.
const ENTRY_OVERHEAD: usize = 256;

/// A serialized JSON response with the values of its header fields.
#[derive(Debug, Clone)]
pub struct CachedResponse {
    /// The value of `ETag`.
    pub etag: Bytes,
    /// The value of `Content-Language`.
    pub language: Bytes,
    /// The value of `Link`.
    pub link: Option<Bytes>,
    /// The body.
    pub body: Bytes,
}

/// The pages by query and accepted language; cheap to clone.
#[derive(Clone)]
pub struct PageCache(Cache<String, Arc<Entry>>);

struct Entry {
    generation: u64,
    response: CachedResponse,
}

impl PageCache {
    /// A cache of at most `bytes`.
    pub fn new(bytes: u64) -> Self {
        let weigh = |key: &String, entry: &Arc<Entry>| {
            let CachedResponse {
                etag,
                language,
                link,
                body,
            } = &entry.response;
            let fields = etag.len() + language.len() + link.as_ref().map_or(0, Bytes::len);
            let bytes = key.len() + body.len() + fields + ENTRY_OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).build())
    }

    /// Finds the response to `key` that was made at `generation` of the list index.
    pub async fn find(&self, key: &str, generation: u64) -> Option<CachedResponse> {
        let entry = self.0.get(key).await;
        let response = entry
            .filter(|entry| entry.generation == generation)
            .map(|entry| entry.response.clone());
        let tier = if response.is_some() {
            "memory"
        } else {
            "index"
        };
        metrics::counter!(MOVIE_LIST_READS_TOTAL, "tier" => tier).increment(1);
        response
    }

    /// Keeps the response to `key`. `generation` is the one before the page was made, so that a page made during
    /// a change is never found.
    pub async fn insert(&self, key: &str, generation: u64, response: CachedResponse) {
        if key.len() > MAX_KEY_BYTES {
            return;
        }
        let entry = Entry {
            generation,
            response,
        };
        self.0.insert(key.to_owned(), Arc::new(entry)).await;
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
        metrics::gauge!(MOVIE_LIST_CACHE_BYTES).set(self.0.weighted_size() as f64);
    }
}
