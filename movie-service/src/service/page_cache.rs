//! Pages of lists as they were answered, in the process's memory, bounded in bytes: the first page of a
//! list is asked for over and over, and is the same until a film changes. Which pages there are, and
//! what is in them, is [`super::listing`]'s.

use std::sync::Arc;

use axum::http::HeaderValue;
use bytes::Bytes;
use moka::future::Cache;

/// Pages of lists that were asked for, by where they were found: memory or index (counter).
pub const MOVIE_LIST_READS_TOTAL: &str = "movie_list_reads_total";
/// How much memory answered pages take (gauge, bytes).
pub const MOVIE_LIST_CACHE_BYTES: &str = "movie_list_cache_bytes";

/// Longer questions are not worth their place.
const LONGEST_QUERY: usize = 512;
/// What a page takes beside its own bytes and those of its question.
const OVERHEAD: usize = 256;

/// An answer in JSON, ready to be given again.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its `ETag`.
    pub tag: HeaderValue,
    /// Its `Link`.
    pub link: Option<HeaderValue>,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// About how many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.body.len() + self.tag.len() + self.link.as_ref().map_or(0, HeaderValue::len)
    }
}

/// Pages by their question; cheap to clone.
#[derive(Clone)]
pub struct PageCache(Cache<String, Arc<Kept>>);

struct Kept {
    generation: u64,
    page: Answer,
}

impl PageCache {
    /// Pages of at most `bytes` together.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(
            Cache::builder()
                .max_capacity(bytes)
                .weigher(|query: &String, kept: &Arc<Kept>| {
                    u32::try_from(query.len() + kept.page.bytes() + OVERHEAD).unwrap_or(u32::MAX)
                })
                .build(),
        )
    }

    /// The page that answers `query`, if it was made at `generation` of the catalogue.
    pub async fn find(&self, query: &str, generation: u64) -> Option<Answer> {
        let kept = self.0.get(query).await;
        let page = kept
            .filter(|kept| kept.generation == generation)
            .map(|kept| kept.page.clone());
        let tier = if page.is_some() { "memory" } else { "index" };
        metrics::counter!(MOVIE_LIST_READS_TOTAL, "tier" => tier).increment(1);
        page
    }

    /// Keeps `page`, which answers `query`. `generation` is that of the catalogue before the
    /// page was made: if a film has changed since, the page is not found again.
    pub async fn keep(&self, query: &str, generation: u64, page: Answer) {
        if query.len() > LONGEST_QUERY {
            return;
        }
        let kept = Kept { generation, page };
        self.0.insert(query.to_owned(), Arc::new(kept)).await;
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
        metrics::gauge!(MOVIE_LIST_CACHE_BYTES).set(self.0.weighted_size() as f64);
    }
}
