//! What the service decides: who may be stored, what a film must be to be liked, and who is told.

pub mod admission;
pub mod api_keys;
pub mod attempts;
pub mod auth;
pub mod catalogue;
pub mod chart_keeper;
pub mod charts;
pub mod idempotency;
pub mod imports;
pub mod interactions;
pub mod passwords;
pub mod signing;
pub mod stats;
pub mod taste;
pub mod users;
pub mod verification;
pub mod writer;
