//! preference-service: users, their preferences, and their interactions with movies. It publishes every
//! change in its change feed, and learns from movie-service's feed which movies exist. It never decides
//! what to recommend; recommendation-service does.
//!
//! A request passes [`handler`] → [`service`] → [`repository`] or [`client`]; [`models`] are their common
//! types, [`error`] their errors, [`state`] is what handlers share, [`app`] constructs it. Imports point
//! only in that direction.

pub mod app;
pub mod client;
pub mod command;
pub mod config;
pub mod database;
pub mod error;
pub mod handler;
pub mod models;
pub mod repository;
pub mod service;
pub mod state;

/// The name of the service: directory, crate and binary.
pub const NAME: &str = "preference-service";
