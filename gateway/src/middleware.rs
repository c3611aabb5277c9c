//! The layers that every request passes, each in a file of its own. [`crate::pipeline`] sets their order;
//! they never call each other.

pub(crate) mod access_log;
pub(crate) mod auth;
pub(crate) mod client_ip;
pub(crate) mod compression;
pub(crate) mod cors;
pub(crate) mod rate_limit;
pub(crate) mod request_target;
pub(crate) mod server_timing;
