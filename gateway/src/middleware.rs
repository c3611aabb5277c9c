//! The layers that every request passes, each in a file of its own. [`crate::pipeline`] sets their order;
//! they never call each other.

pub mod access_log;
pub mod auth;
pub mod client_ip;
pub mod cors;
pub mod rate_limit;
pub mod request_target;
