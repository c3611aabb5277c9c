//! The gateway: the only public entry point of the platform. Authenticates, limits and routes requests.
//!
//! It owns no data: bodies are streamed, in both directions; responses may be stored in memory, if they are the same for all
//! callers, and compressed. One single-threaded runtime for each core serves requests; the threads share a port, the route
//! table, the keys, the revocations, the rate limits, the stored responses and the list of groups of instances.
//!
//! [`routes`] is the table of what is served. A request passes [`server`], then [`pipeline`], which applies
//! the layers of [`middleware`] and ends in [`proxy`], at the instances that [`groups`] chooses, or in one of the gateway's
//! own [`endpoints`]. [`cache`] stores responses that are the same for all callers.

// The types of connections nest the futures of all layers.
#![recursion_limit = "256"]

mod admission;
mod cache;
pub mod command;
pub mod config;
mod endpoints;
mod groups;
mod lazy_timer;
mod message;
mod middleware;
pub mod openapi;
mod pipeline;
mod proxy;
mod readiness;
mod response;
pub mod routes;
pub mod server;
mod socket;
mod state;
mod thread_buffer;
mod waker_set;
mod websocket;

pub use middleware::auth::{Role, sign_token};

/// The service's name in settings, logs, health reports and the name of its OpenAPI document.
pub const NAME: &str = "gateway";
