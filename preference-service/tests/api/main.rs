//! The service from outside: its real router over a database of its own, beside a movie-service that
//! is played. A file for each resource.

mod accounts;
mod api_keys;
mod batch;
mod charts;
mod commands;
mod contract;
mod dependencies;
mod feed;
mod films;
mod follow;
mod idempotency;
mod imports;
mod input;
mod interactions;
mod own_data;
mod preferences;
mod reactions;
mod schema;
mod stage;
mod stats;
mod taste;
mod users;
mod verification;
