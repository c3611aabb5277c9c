//! Process plumbing that every service runs unchanged.
//!
//! A line may live here only if it would read the same in a payroll system: no domain, no name of a service, no body of
//! our APIs. The only bodies written here are RFC 9457 problems, the health report, and the envelopes of the change feed and
//! of the audit log.
//!
//! In the order of a process's life: [`run`] parses arguments and reads settings ([`config`]), sets up logs
//! ([`telemetry`]) and [`metrics`], builds the service, serves it ([`server`]) and drains it ([`shutdown`]).

pub mod audit;
pub mod breaker;
pub mod caller;
pub mod client;
pub mod clock;
pub mod conditional;
pub mod config;
pub mod cookie;
pub mod extract;
pub mod feed;
pub mod health;
pub mod jobs;
pub mod jwks;
pub mod language;
pub mod metrics;
pub mod openapi;
pub mod paging;
pub mod postgres;
pub mod problem;
pub mod redis;
pub mod run;
pub mod server;
pub mod shutdown;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod tls;
pub mod trace;
pub mod validate;

pub use axum::Router;
pub use config::{ProcessConfig, Settings};
pub use health::Health;
pub use problem::Problem;
pub use run::{Process, Service, run, run_with};
