//! What the service decides: what a film is worth to a user, and which films a list has.

pub mod experiments;
pub mod exploration;
pub mod group;
pub mod lists;
pub mod making;
pub mod models;
pub mod ranking;
pub mod read_model;
pub mod recommender;
pub mod rule_sets;
pub mod rules;
pub mod schedule;
pub mod scoring;
pub mod similar;
pub mod snapshot;
pub mod trials;
