//! The process of preference-service; see the library.

use std::process::ExitCode;

use preference_service::{app, command};

/// The system's allocator takes a tenth of a request's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match command::run(&arguments) {
        Some(code) => code,
        None => chassis::run(command::service(), app::build),
    }
}
