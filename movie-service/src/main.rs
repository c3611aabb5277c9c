//! The process: runs the service, or a command of its own.

use std::process::ExitCode;

use chassis::{Service, run::execute};
use movie_service::{NAME, app, config::DEFAULTS, handler, import};

const SERVICE: Service = Service {
    name: NAME,
    defaults: DEFAULTS,
    openapi: handler::openapi,
};

#[derive(clap::Subcommand)]
enum Command {
    Import(import::ImportArgs),
}

fn main() -> ExitCode {
    chassis::run_with(SERVICE, app::build, |Command::Import(arguments)| {
        execute(&SERVICE, async |config| {
            import::run(arguments, &config).await
        })
    })
}
