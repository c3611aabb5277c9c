//! The gateway: the process. How a request travels through it is told in the library.

use std::process::ExitCode;

use chassis::{Process, Settings, config::ConfigError, run::usage_error, telemetry};

/// hyper takes buffers of eight kilobytes and more for each message, which the system's allocator is
/// slow at; a tenth of the time of a request went there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(code) = gateway::command::run(&arguments) {
        return code;
    }
    let process = Settings::load(gateway::config::DEFAULTS)
        .and_then(|settings| Process::new(gateway::NAME, settings))
        .and_then(|process| telemetry::init(&process.config).map(|()| process));
    let process = match process {
        Ok(process) => process,
        Err(error) => return usage_error(&error.to_string()),
    };
    match gateway::app::run_until_stopped(process) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            tracing::error!("stopped with requests unanswered");
            ExitCode::FAILURE
        }
        Err(error) => {
            if let Some(error) = error.downcast_ref::<ConfigError>() {
                return usage_error(&error.to_string());
            }
            tracing::error!(cause = format!("{error:#}"), "cannot go on");
            ExitCode::FAILURE
        }
    }
}
