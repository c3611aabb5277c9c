//! Logs: one subscriber for the process, as JSON or text. [`crate::run`] sets it up once, at start.
//!
//! Time stamps are RFC 3339, UTC, with microseconds. Colour codes are written to terminals only, never to files.

use std::io::{self, IsTerminal};

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, fmt, fmt::MakeWriter, util::SubscriberInitExt};

use crate::config::{ConfigError, LogFormat, ProcessConfig};

/// Sends the process's events to standard output. A second call has no effect, so that tests may build several services
/// in one process.
///
/// # Errors
/// `ConfigError` if `LOG_LEVEL` is not a filter.
pub fn init(config: &ProcessConfig) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log_level).map_err(|error| {
        ConfigError::Invalid(format!(
            "log_level: {error}; set it by the environment variable LOG_LEVEL"
        ))
    })?;
    let ansi = is_coloured(&io::stdout());
    if subscriber(config.log_format, filter, io::stdout, ansi)
        .try_init()
        .is_err()
    {
        tracing::debug!("a subscriber is already set");
    }
    Ok(())
}

/// Sends the process's events as text to standard error, filtered by `RUST_LOG` (default `info`); for programs whose
/// standard output is read by others.
pub fn init_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let ansi = is_coloured(&io::stderr());
    let _ = subscriber(LogFormat::Pretty, filter, io::stderr, ansi).try_init();
}

fn is_coloured(output: &impl IsTerminal) -> bool {
    output.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn subscriber<W>(
    format: LogFormat,
    filter: EnvFilter,
    writer: W,
    ansi: bool,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // A line that cannot be written is lost: the default reports it to standard error, and panics if that is closed.
        .log_internal_errors(false)
        .with_ansi(ansi);
    match format {
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false)
                .finish(),
        ),
        LogFormat::Pretty => Box::new(builder.with_target(false).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        sync::{Arc, Mutex},
    };

    use chrono::DateTime;

    use super::*;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat) -> String {
        let output = Output::default();
        let writer = output.clone();
        // Any file: what it is not is a terminal.
        let ansi = is_coloured(&File::open("Cargo.toml").expect("a file"));
        let subscriber = subscriber(format, EnvFilter::new("info"), move || writer.clone(), ansi);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(id = 7, "something happened")
        });
        let bytes = output.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }

    fn assert_time_stamp(text: &str) {
        assert!(text.ends_with('Z') && text.len() == 27, "{text}");
        DateTime::parse_from_rfc3339(text).expect("RFC 3339");
    }

    #[test]
    fn a_file_gets_no_colour_codes_and_one_time_stamp_format() {
        let text = logged(LogFormat::Pretty);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_time_stamp(text.split(' ').next().expect("a time stamp"));
        let json: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json)).expect("JSON");
        assert_time_stamp(json["timestamp"].as_str().expect("a time stamp"));
    }
}
