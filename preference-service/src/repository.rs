//! SQL and Redis: rows in, models out; called by services only. Absence is `None`, never an error. A
//! function that writes is one transaction, which includes the change record. No business rules.
//!
//! A [`sqlx::Error`] means that Postgres is unreachable or a statement failed; functions document other errors only.

pub mod admin;
pub mod api_keys;
pub mod audience;
pub mod changes;
pub mod chart_mirror;
pub mod charts;
pub mod device_grants;
pub mod devices;
pub mod email_verifications;
pub mod erasure;
pub mod export;
pub mod group_votes;
pub mod groups;
pub mod idempotency;
pub mod identities;
pub mod import_report;
pub mod import_work;
pub mod imports;
pub mod interactions;
pub mod movies;
pub mod name_skeleton;
pub mod oidc_logins;
pub mod signing_keys;
mod source;
pub mod stats;
pub mod taste;
pub mod tokens;
pub mod user_movies;
pub mod users;
pub mod verification;
pub mod viewings;
pub mod webhooks;

/// The error of a row that violates a constraint of the schema.
fn broken(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
