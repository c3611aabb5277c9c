//! The gateway's process: runs a command or serves requests until a signal. The library does the work.

use std::process::ExitCode;

use chassis::run::run_process;
use gateway::{NAME, config::DEFAULTS, server::run_until_stopped};

/// hyper allocates buffers of eight kilobytes and more for each message; with the system's allocator that takes
/// a tenth of the time of a request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::command::run(std::env::args_os())
        .unwrap_or_else(|| run_process(NAME, DEFAULTS, run_until_stopped))
}
