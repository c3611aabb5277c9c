//! The state that the router shares with every handler: one value per service component.
//! [`crate::app`] builds it; handlers read it and never change it.

use std::{sync::Arc, time::Duration};

use chassis::language::Language;

use crate::{
    client::{platform::Platform, tmdb::Tmdb},
    service::{
        hydration::Hydration,
        images::Images,
        jobs::Jobs,
        listing::Listing,
        matching::Matching,
        page_cache::PageCache,
        search::{Search, popular::Popular},
    },
};

/// The shared state of handlers; cloned for every request.
pub type AppState = Arc<Services>;

/// The components that handlers call.
pub struct Services {
    /// The catalogue's own language.
    pub language: Language,
    /// Lists of movies.
    pub listing: Listing,
    /// Search of movies, people and keywords.
    pub search: Search,
    /// Counts of queries.
    pub popular: Popular,
    /// Serialized pages of lists.
    pub pages: PageCache,
    /// Movies by id, from cache, Postgres or TMDB.
    pub hydration: Hydration,
    /// The client of TMDB.
    pub tmdb: Tmdb,
    /// TMDB's images.
    pub images: Images,
    /// The other services of the platform.
    pub platform: Platform,
    /// Resolution of ids and titles from other catalogues.
    pub matching: Matching,
    /// Imports and syncs.
    pub jobs: Jobs,
    /// The longest time that a client waits for a short import to finish.
    pub import_wait: Duration,
}
