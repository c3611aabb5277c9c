//! movie-service: the process. What it owns and refuses is told in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("import") {
        return movie_service::import::command(arguments);
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
