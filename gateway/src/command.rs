//! The command line. Called by `main`; without a subcommand the program serves requests.

mod healthcheck;

use std::{ffi::OsString, io::Write, process::ExitCode};

use chassis::{
    Service,
    clock::Clock,
    run::{execute, print_openapi, usage_error},
};
use clap::{Parser, Subcommand, builder::NonEmptyStringValueParser};

use crate::{
    config::{Config, DEFAULTS},
    middleware::auth::{Role, sign_token},
    openapi,
};

/// The public entry point of the platform: authentication, rate limits, routing. Without a command it serves
/// requests.
///
/// Settings come from the environment, a file named by CONFIG_FILE, and .env.
#[derive(Parser)]
#[command(name = crate::NAME, version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the OpenAPI document.
    Openapi,
    /// Exit with 0 if the gateway that runs with the same settings is ready, otherwise with 1.
    Healthcheck,
    /// Print an access token that the gateway accepts.
    Token {
        /// The role of the user.
        #[arg(long, value_enum, default_value = "user")]
        role: Role,
        /// The id of the user.
        #[arg(long, default_value = "1", value_parser = NonEmptyStringValueParser::new())]
        subject: String,
        /// The lifetime of the token, in seconds.
        #[arg(long, default_value_t = 24 * 60 * 60)]
        ttl_seconds: u64,
    },
}

/// Runs the command in `arguments`, the first of which is the program's name; `None` without a command, so that the
/// caller should serve requests. Usage errors exit with 64.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    let service = Service {
        name: crate::NAME,
        defaults: DEFAULTS,
        openapi: openapi::document,
    };
    Some(match Arguments::try_parse_from(arguments) {
        Ok(arguments) => match arguments.command? {
            Command::Openapi => print_openapi(&service),
            Command::Healthcheck => healthcheck::healthcheck(),
            Command::Token {
                role,
                subject,
                ttl_seconds,
            } => execute(&service, async |config: Config| {
                sign_token(&config, &Clock::system(), &subject, role, ttl_seconds)
            }),
        },
        Err(error) if error.use_stderr() => usage_error(&one_line(&error)),
        Err(help) => {
            let _ = write!(std::io::stdout(), "{help}");
            ExitCode::SUCCESS
        }
    })
}

/// The message of a usage error, with the hints that clap puts on lines of their own.
fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
