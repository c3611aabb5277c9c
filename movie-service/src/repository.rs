//! SQL: rows in, domain types out. Services call it; it decides nothing. A missing row is `None`. Every function
//! returns [`sqlx::Error`] if Postgres is unreachable or the statement fails.

pub mod dumps;
pub mod job_items;
pub mod jobs;
pub mod listing;
pub mod matching;
pub mod movies;
mod rows;
pub mod search;
pub mod translations;
pub mod yardstick;

/// The SELECTs that together form the snapshot of the change feed.
pub const SNAPSHOT: &[&str] =
    &["select 'movie.synced' as name, id::text as key, payload::text as payload from movie_change"];
