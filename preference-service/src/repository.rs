//! SQL: rows in, models out. Absence is `None`, never an error; nothing here decides. A function that
//! writes is one transaction, with its change record within.

pub mod api_keys;
pub mod changes;
pub mod chart_mirror;
pub mod charts;
pub mod erasure;
pub mod export;
pub mod idempotency;
pub mod import_work;
pub mod imports;
pub mod interactions;
pub mod movies;
pub mod signing_keys;
pub mod stats;
pub mod taste;
pub mod tokens;
pub mod user_movies;
pub mod users;
pub mod verification;

/// A row that breaks a rule which the schema keeps.
fn broken(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
