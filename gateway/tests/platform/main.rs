//! Tests of the whole platform over HTTP: the built programs as processes, on databases, a Redis and ports of one
//! test.
//!
//! [`stage`] has the fixtures; each other module tests one topic.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panics, and benchmarks print their results"
)]

mod accounts;
mod bad_input;
mod compose;
mod contract;
mod drill_imports;
mod drill_likes;
mod drill_lists;
mod drill_movielens;
mod drill_restarts;
mod drill_webhooks;
mod drill_writes;
mod failures;
mod freshness;
mod generated_clients;
mod languages;
mod lifecycle;
#[allow(dead_code, reason = "preference-service's tests use the rest")]
#[path = "../../../preference-service/tests/api/stage/login_provider.rs"]
mod login_provider;
mod logins;
mod managed;
mod page;
mod policy;
mod safety;
mod stage;
mod swagger;
