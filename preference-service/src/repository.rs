//! SQL: rows in, models out. Absence is `None`, never an error; nothing here decides. A function that
//! writes is one transaction, with its change record within.

pub mod changes;
pub mod interactions;
pub mod movies;
pub mod users;

/// A row that breaks a rule which the schema keeps.
fn broken(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}
