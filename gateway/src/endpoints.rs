//! The endpoints that the gateway serves itself, called by [`crate::pipeline`].

pub(crate) mod health;
pub(crate) mod metrics;
pub(crate) mod page;
pub(crate) mod swagger;
