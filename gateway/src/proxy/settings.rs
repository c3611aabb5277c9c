//! Limits and timeouts of the connections to services.

use std::time::Duration;

use chassis::client::secret_header;
use hyper::header::{HeaderValue, InvalidHeaderValue};

use crate::config::GatewayConfig;

/// Limits and timeouts of the connections to services, the same for all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpstreamSettings {
    pub(crate) connect_timeout: Duration,
    /// The longest pause within a response body.
    pub(crate) stall_timeout: Duration,
    /// Idle connections that one thread keeps to one instance.
    pub(crate) max_idle_connections: usize,
    /// Time after which an idle connection is closed.
    pub(crate) idle_timeout: Duration,
    /// Consecutive failed connects after which an instance is skipped.
    pub(crate) failures_to_skip: u32,
    /// Time for which it is skipped.
    pub(crate) skip_duration: Duration,
    /// `X-Internal-Token`, which services require of their callers.
    pub(crate) internal_token: Option<HeaderValue>,
}

impl UpstreamSettings {
    /// Takes the settings of upstreams from `config`.
    ///
    /// # Errors
    /// Returns [`InvalidHeaderValue`] if the internal token cannot be a header.
    pub(crate) fn new(config: &GatewayConfig) -> Result<Self, InvalidHeaderValue> {
        let own = &config.own;
        let internal_token = config.process.internal_token.as_ref();
        Ok(Self {
            connect_timeout: Duration::from_millis(own.upstream_connect_timeout_ms),
            stall_timeout: Duration::from_millis(own.upstream_stall_timeout_ms),
            max_idle_connections: own.upstream_idle_connections,
            idle_timeout: Duration::from_millis(own.upstream_idle_ms),
            failures_to_skip: own.upstream_failures_to_skip,
            skip_duration: Duration::from_millis(own.upstream_skip_ms),
            internal_token: internal_token.map(secret_header).transpose()?,
        })
    }
}
