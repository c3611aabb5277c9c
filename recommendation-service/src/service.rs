//! What the service decides: what a film is worth to a user, and which films a list has.

pub mod models;
pub mod read_model;
pub mod recommender;
pub mod rules;
pub mod schedule;
