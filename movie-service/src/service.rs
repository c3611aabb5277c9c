//! Domain logic. Handlers and [`crate::app`] call it; it knows no HTTP.

pub mod cache;
pub mod changes;
pub mod fetching;
pub mod hydration;
pub mod images;
pub mod jobs;
pub mod listing;
pub mod matching;
pub mod page_cache;
pub mod refresh;
pub mod schedule;
pub mod search;
pub mod translation;
pub mod warm_pool;
