//! The only door of the platform: who may ask, how often, and which service answers.
//!
//! It owns no data and knows no film: bodies pass through as they come, in both directions. It
//! serves from one single-threaded runtime for each core, which share a port and little else, so that
//! a request is handled from its first byte to its last by one thread and waits for no lock but that
//! of the rate limit.
//!
//! [`routes`] is what is served; [`handler`] is the way of a request, through [`sanity`], [`cors`],
//! [`rate_limit`] and [`auth`] to [`proxy`] or to what the gateway answers itself ([`own`],
//! [`swagger`]); [`app`] puts it together, [`worker`] is one thread of it.

pub mod answer;
pub mod app;
pub mod auth;
pub mod client_ip;
pub mod command;
pub mod config;
pub mod cors;
pub mod handler;
pub mod io;
pub mod observe;
pub mod openapi;
pub mod own;
pub mod proxy;
pub mod rate_limit;
pub mod routes;
pub mod sanity;
pub mod swagger;
pub mod worker;

/// The name of the service.
pub const NAME: &str = "gateway";
