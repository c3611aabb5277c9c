//! movie-service: the movie catalogue, fed from TMDB. It owns movies, genres and sync jobs, and publishes every change
//! through its outbox; it stores nothing about users.
//!
//! Calls go one way: [`handler`] → [`service`] → [`repository`] or [`client`], all over the types of [`models`]. [`app`]
//! builds everything.

pub mod app;
pub mod client;
pub mod config;
pub mod database;
pub mod handler;
pub mod import;
pub mod models;
pub mod repository;
pub mod service;
pub mod state;

/// The service's name, also of its directory, crate and binary.
pub const NAME: &str = "movie-service";
