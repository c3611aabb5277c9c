//! preference-service: the process. What it owns and refuses is told in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    chassis::run(
        chassis::Service {
            name: preference_service::NAME,
            defaults: preference_service::config::DEFAULTS,
            openapi: preference_service::handler::openapi,
        },
        preference_service::app::build,
    )
}
