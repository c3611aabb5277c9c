//! The process of preference-service; see the library.

use std::process::ExitCode;

use preference_service::{app, command};

/// The system's allocator takes a tenth of a request's time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chassis::run_with(command::SERVICE, app::build, command::execute)
}
