//! recommendation-service: which films to recommend to whom, and why.
//!
//! It owns the rules and keeps read models of the catalogue and of what users prefer and do, in
//! memory for scoring and in its own database for a quick start. It asks nobody while it answers: a
//! list is scored over the whole catalogue in memory. Films are movie-service's, users and what they
//! do preference-service's; here nothing of that is changed.
//!
//! A request travels [`handler`] → [`service`] → [`repository`], and back; [`models`] are what they
//! speak of, [`app`] puts them together. The learners and the mathematics of experiments are the crate
//! [`recommender`]; [`evaluation`] is a command that measures models, [`training`] one that fits them.

pub mod app;
pub mod config;
pub mod database;
pub mod evaluation;
pub mod handler;
pub mod models;
pub mod repository;
pub mod service;
pub mod training;

/// The service's name: directory, crate, binary.
pub const NAME: &str = "recommendation-service";
