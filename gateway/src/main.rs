//! The gateway's process: runs a command or serves requests until a signal. The library does the work.

use std::process::ExitCode;

use chassis::{Process, Settings, config::ConfigError, run::usage_error, telemetry};

/// hyper allocates buffers of eight kilobytes and more for each message; with the system's allocator that takes
/// a tenth of the time of a request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = gateway::command::run(std::env::args_os()) {
        return code;
    }
    let process = Settings::load(gateway::config::DEFAULTS)
        .and_then(|settings| Process::new(gateway::NAME, settings))
        .and_then(|process| telemetry::init(&process.config).map(|()| process));
    let process = match process {
        Ok(process) => process,
        Err(error) => return usage_error(&error.to_string()),
    };
    match gateway::server::run_until_stopped(process) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            tracing::error!("stopped before all accepted requests were served");
            ExitCode::FAILURE
        }
        Err(error) => {
            if let Some(error) = error.downcast_ref::<ConfigError>() {
                return usage_error(&error.to_string());
            }
            tracing::error!(cause = format!("{error:#}"), "cannot run");
            ExitCode::FAILURE
        }
    }
}
