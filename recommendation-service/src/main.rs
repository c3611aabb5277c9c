//! recommendation-service: the process. What it owns and refuses is told in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("evaluate") => return recommendation_service::evaluation::command(arguments),
        Some("train") => return recommendation_service::training::command(arguments),
        Some("export") => return recommendation_service::training::export::command(arguments),
        _ => {}
    }
    chassis::run(
        chassis::Service {
            name: recommendation_service::NAME,
            defaults: recommendation_service::config::DEFAULTS,
            openapi: recommendation_service::handler::openapi,
        },
        recommendation_service::app::build,
    )
}
