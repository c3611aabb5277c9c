//! SQL: rows in, models out. Absence is `None`, never an error; nothing here decides.

pub mod dumps;
pub mod job_items;
pub mod jobs;
pub mod listing;
pub mod matching;
pub mod movies;

/// The SELECTs that together are the present state, as the feed tells it.
pub const SNAPSHOT: &[&str] =
    &["select 'movie.synced' as name, id::text as key, payload::text as payload from movie_change"];
