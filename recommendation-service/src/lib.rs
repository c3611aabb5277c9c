//! recommendation-service: ranks movies for users, and explains the ranking.
//!
//! It owns the rules, the experiments and the registry of learned models, and keeps read models of the catalogue and of
//! the users in memory ([`read_model`]). A list is scored over the whole catalogue in memory and waits for no other
//! service. Movies belong to movie-service, users and their interactions to preference-service; nothing here changes
//! them.
//!
//! The modules, in the order of a request: [`handler`] → [`ranking`] ([`pipeline`](ranking::pipeline)) →
//! [`read_model`], [`reason`], [`rules`], [`experiments`], [`registry`]; [`app`] builds them. SQL is in the `repository` of each. A
//! [`sqlx::Error`] means that Postgres is unreachable, a statement failed or a stored row cannot be read; functions
//! document other errors only.
//!
//! The learners and the mathematics of experiments are the crate [`recommender`]; [`cli`] has the commands that fit,
//! measure and export.

pub mod app;
pub mod cli;
pub mod config;
pub mod database;
pub mod experiments;
pub mod handler;
pub mod language;
pub mod ranking;
pub mod read_model;
pub mod reason;
pub mod registry;
pub mod rules;
pub mod state;

/// The name of the service: directory, crate and binary.
pub const NAME: &str = "recommendation-service";

/// The description of the service for its process.
pub const SERVICE: chassis::Service = chassis::Service {
    name: NAME,
    defaults: config::DEFAULTS,
    openapi: handler::openapi,
};
