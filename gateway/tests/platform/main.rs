//! The platform as a whole: the programs that `cargo build --bins` makes, as processes of their own, on
//! databases, a Redis and ports that belong to one test, asked over HTTP like anybody would ask them.
//!
//! [`stage`] starts and ends all that; the other modules hold the tests, one for each thing that must be true.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on should say where, and one that measures what it measured"
)]

mod accounts;
mod bad_input;
mod compose;
mod drill_lists;
mod drill_movielens;
mod drill_people;
mod drill_writes;
mod failures;
mod freshness;
mod lifecycle;
mod part_one;
mod stage;
mod swagger;
