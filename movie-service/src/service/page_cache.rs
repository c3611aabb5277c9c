//! Pages of lists as they were answered, in the process's memory, bounded in bytes: the first page of a
//! list is asked for over and over, and is the same until a film changes. Which pages there are, and
//! what is in them, is [`super::listing`]'s.

use std::sync::Arc;

use moka::future::Cache;

/// Pages of lists that were asked for, by where they were found: memory or index (counter).
pub const MOVIE_LIST_READS_TOTAL: &str = "movie_list_reads_total";
/// How much memory answered pages take (gauge, bytes).
pub const MOVIE_LIST_CACHE_BYTES: &str = "movie_list_cache_bytes";

/// Longer questions are not worth their place.
const LONGEST_QUERY: usize = 512;
/// What a page takes beside its own bytes and those of its question.
const OVERHEAD: usize = 256;

/// Pages by their question; cheap to clone. `P` is a page as it is answered.
pub struct PageCache<P>(Cache<String, Arc<Kept<P>>>);

struct Kept<P> {
    generation: u64,
    bytes: usize,
    page: P,
}

impl<P> Clone for PageCache<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: Clone + Send + Sync + 'static> PageCache<P> {
    /// Pages of at most `bytes` together.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(
            Cache::builder()
                .max_capacity(bytes)
                .weigher(|query: &String, kept: &Arc<Kept<P>>| {
                    u32::try_from(query.len() + kept.bytes + OVERHEAD).unwrap_or(u32::MAX)
                })
                .build(),
        )
    }

    /// The page that answers `query`, if it was made at `generation` of the catalogue.
    pub async fn find(&self, query: &str, generation: u64) -> Option<P> {
        let kept = self.0.get(query).await;
        let page = kept
            .filter(|kept| kept.generation == generation)
            .map(|kept| kept.page.clone());
        let tier = if page.is_some() { "memory" } else { "index" };
        metrics::counter!(MOVIE_LIST_READS_TOTAL, "tier" => tier).increment(1);
        page
    }

    /// Keeps `page` of `bytes`, which answers `query`. `generation` is that of the catalogue before the
    /// page was made: if a film has changed since, the page is not found again.
    pub async fn keep(&self, query: &str, generation: u64, bytes: usize, page: P) {
        if query.len() > LONGEST_QUERY {
            return;
        }
        let kept = Kept {
            generation,
            bytes,
            page,
        };
        self.0.insert(query.to_owned(), Arc::new(kept)).await;
        #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes")]
        metrics::gauge!(MOVIE_LIST_CACHE_BYTES).set(self.0.weighted_size() as f64);
    }
}
