//! The endpoints that the gateway serves itself, called by [`crate::pipeline`].

pub mod health;
pub mod metrics;
pub mod swagger;
