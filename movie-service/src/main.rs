//! The process: parses the command line, then runs the service or a command of the library.

use std::process::ExitCode;

use clap::Parser;

#[derive(clap::Parser)]
enum Command {
    Import(movie_service::import::ImportArgs),
}

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("import") {
        let Command::Import(arguments) = Command::parse();
        return movie_service::import::run(arguments);
    }
    chassis::run(
        chassis::Service {
            name: movie_service::NAME,
            defaults: movie_service::config::DEFAULTS,
            openapi: movie_service::handler::openapi,
        },
        movie_service::app::build,
    )
}
