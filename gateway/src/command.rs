//! What the program can be told to do besides running: print its API, say whether a running gateway is
//! ready, make a token.

use std::{io::Write, process::ExitCode};

use chassis::{
    Service, Settings,
    run::{healthcheck, print_openapi, usage_error},
};

use crate::{
    auth::{Role, mint},
    config::{Config, DEFAULTS},
    openapi,
};

const DAY: u64 = 24 * 60 * 60;

/// What the gateway is before it runs.
#[must_use]
pub fn service() -> Service {
    Service {
        name: crate::NAME,
        defaults: DEFAULTS,
        openapi: openapi::document,
    }
}

/// Does what `arguments` say; none where they say nothing, which means to run.
#[must_use]
pub fn run(arguments: &[String]) -> Option<ExitCode> {
    let (command, rest) = arguments.split_first()?;
    Some(match (command.as_str(), rest) {
        ("openapi", []) => print_openapi(&service()),
        ("healthcheck", []) => healthcheck(&service()),
        ("token", options) => token(options),
        (other, _) => usage_error(&format!(
            "unknown command `{other}`; known are openapi, healthcheck and \
             token [--role user|admin] [--subject ID] [--ttl-seconds N]"
        )),
    })
}

/// Prints a token that the gateway accepts.
fn token(options: &[String]) -> ExitCode {
    let (mut role, mut subject, mut ttl_seconds) = (Role::User, "1", DAY);
    for option in options.chunks(2) {
        let [name, value] = option else {
            return usage_error(&format!("{} needs a value", option[0]));
        };
        match (name.as_str(), value.as_str()) {
            ("--role", "user") => role = Role::User,
            ("--role", "admin") => role = Role::Admin,
            ("--subject", value) if !value.is_empty() => subject = value,
            ("--ttl-seconds", value) => match value.parse() {
                Ok(seconds) => ttl_seconds = seconds,
                Err(_) => return usage_error("--ttl-seconds takes a number of seconds"),
            },
            _ => {
                return usage_error(
                    "token takes --role user|admin, --subject ID and --ttl-seconds N",
                );
            }
        }
    }
    let config = match Settings::load(DEFAULTS).and_then(|settings| settings.read::<Config>()) {
        Ok(config) => config,
        Err(error) => return usage_error(&error.to_string()),
    };
    match mint(&config, subject, role, ttl_seconds) {
        Ok(token) => {
            let _ = writeln!(std::io::stdout(), "{token}");
            ExitCode::SUCCESS
        }
        Err(error) => usage_error(&error.to_string()),
    }
}
