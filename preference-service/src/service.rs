//! The rules of the domain: validation against stored state, limits, caching, background work. Called
//! by handlers and commands. No HTTP types, no SQL.

pub mod admin;
pub mod admission;
pub mod api_keys;
pub mod attempts;
pub mod audience;
pub mod auth;
pub mod catalogue;
pub mod chart_keeper;
pub mod charts;
pub mod confirmation;
pub mod device_grants;
pub mod email_verification;
pub mod groups;
pub mod idempotency;
pub mod imports;
pub mod interactions;
pub mod login_limits;
pub mod mail;
pub mod oidc;
pub mod passwords;
mod retry;
pub mod signing;
pub mod stats;
pub mod taste;
pub mod users;
pub mod verification;
pub mod viewings;
pub mod webhooks;
pub mod writer;
