//! Tests of the gateway over HTTP: started in the test's process or as the built program, between a real client
//! and fake services.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub
)]

mod api_keys;
mod auth;
mod bodies;
mod cache;
#[allow(dead_code, reason = "the tests of the platform use all of it")]
#[path = "../platform/stage/managed/certificates.rs"]
mod certificates;
mod client_tls;
mod commands;
mod compression;
mod cors;
mod crowding;
mod drain;
mod drill_connections;
mod drill_limits;
mod drill_steady;
mod drill_upstreams;
mod gateway_process;
mod groups;
mod headers;
mod health;
mod http2;
mod http2_attacks;
mod http2_frames;
mod instances;
mod jwks;
mod keep_alive;
#[allow(dead_code, reason = "the tests of the platform use all of it")]
#[path = "../platform/stage/kept.rs"]
mod kept;
mod observation;
mod openapi;
mod page;
mod plans;
mod policy;
mod rate_limit;
mod responses;
mod routing;
mod settings;
mod stage;
mod swagger;
mod tls;
mod tricks;
mod upstreams;
mod websocket;
mod wire;
