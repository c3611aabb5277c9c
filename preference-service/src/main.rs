//! preference-service: the process. What it owns and refuses is told in the library.

use std::process::ExitCode;

use preference_service::{app, command};

/// What the system's allocator takes for a request is a tenth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match command::run(&arguments) {
        Some(code) => code,
        None => chassis::run(command::service(), app::build),
    }
}
