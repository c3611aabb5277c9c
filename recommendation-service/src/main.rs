//! recommendation-service: the process; see the library.

use std::process::ExitCode;

use recommendation_service::{SERVICE, app, cli::Command};

fn main() -> ExitCode {
    chassis::run_with(SERVICE, app::build, Command::execute)
}
