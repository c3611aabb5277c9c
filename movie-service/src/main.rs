//! movie-service: the process. What it owns and refuses is told in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run(
        chassis::Service {
            name: movie_service::NAME,
            defaults: movie_service::config::DEFAULTS,
            openapi: movie_service::handler::openapi,
        },
        movie_service::app::build,
    )
}
