//! What the service decides: which films are in the catalogue and what a page of them is.

pub mod cache;
pub mod fetching;
pub mod hydration;
pub mod intake;
pub mod jobs;
pub mod listing;
pub mod matching;
pub mod page_cache;
pub mod refresh;
pub mod schedule;
pub mod warm_pool;
