//! Logs: one subscriber for the process, JSON or pretty lines on standard output.

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

use crate::config::{LogFormat, ProcessConfig};

/// Sends the process's events to standard output. A second call does nothing, so that tests may
/// build several services in one process.
///
/// # Errors
/// A filter that cannot be parsed.
pub fn init(config: &ProcessConfig) -> Result<(), crate::config::ConfigError> {
    let filter = EnvFilter::try_new(&config.log_level).map_err(|error| {
        crate::config::ConfigError::Invalid(format!(
            "log_level: {error}; set it by the environment variable LOG_LEVEL"
        ))
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let set = match config.log_format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false),
            )
            .try_init(),
        LogFormat::Pretty => registry.with(fmt::layer().with_target(false)).try_init(),
    };
    if set.is_err() {
        tracing::debug!("a subscriber is already set");
    }
    Ok(())
}
