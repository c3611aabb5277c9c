//! movie-service: the catalogue of films, fed from TMDB.
//!
//! It owns films, genres and the jobs that feed them, and tells other services of every change
//! through its outbox. It knows no user: what people do and like is preference-service's.
//!
//! A request travels [`handler`] → [`service`] → [`repository`] or [`client`], and back; [`models`]
//! are what they speak of, [`app`] puts them together.

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

/// The service's name: directory, crate, binary.
pub const NAME: &str = "movie-service";
