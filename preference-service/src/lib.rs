//! preference-service: people, what they say they like, and what they do.
//!
//! It owns users, their preferences and their interactions with films, and tells other services of
//! every change through its outbox. It owns no film: which films there are it learns from
//! movie-service's feed. What to recommend is recommendation-service's.
//!
//! A request travels [`handler`] → [`service`] → [`repository`] or [`client`], and back; [`models`]
//! are what they speak of, [`app`] puts them together.

pub mod app;
pub mod client;
pub mod command;
pub mod config;
pub mod database;
pub mod handler;
pub mod models;
pub mod repository;
pub mod service;
pub mod state;

/// The service's name: directory, crate, binary.
pub const NAME: &str = "preference-service";
