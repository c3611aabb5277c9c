//! What the service decides: which films are in the catalogue and what a page of them is.

pub mod cache;
pub mod hydration;
pub mod listing;
pub mod sync;
