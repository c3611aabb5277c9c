//! The commands of the program beside the service itself: `train`, `models`, `evaluate`, `export` and `audience`.

pub mod audience;
pub mod evaluate;
pub mod export;
mod files;
pub mod models;
pub mod train;

use std::{io::Write as _, process::ExitCode};

use clap::Subcommand;
use recommender::evaluation::settings::{SettingError, Settings};

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Fit the learned models to interactions and register a version
    Train(Box<train::Arguments>),
    /// List, activate, deactivate or delete versions of the learned models
    #[command(subcommand)]
    Models(models::Command),
    /// Write the ratings of a published set as JSON lines, for `preference-service audience load`
    Audience(audience::Arguments),
    /// Measure the learned models on held-out interactions in files
    Evaluate(Box<evaluate::Arguments>),
    /// Write the interactions that models are fitted to as Parquet
    Export(export::Arguments),
}

impl Command {
    /// Runs the command.
    pub fn execute(self) -> ExitCode {
        match self {
            Self::Train(arguments) => chassis::run::execute(&crate::SERVICE, async move |config| {
                train::train(*arguments, config).await?;
                Ok(String::new())
            }),
            Self::Models(command) => chassis::run::execute(&crate::SERVICE, async move |config| {
                models::execute(command, config).await
            }),
            Self::Audience(arguments) => {
                chassis::run::execute(&crate::SERVICE, async move |config| {
                    audience::write(arguments, config).await?;
                    Ok(String::new())
                })
            }
            Self::Export(arguments) => {
                chassis::run::execute(&crate::SERVICE, async move |config| {
                    export::export(arguments, config).await?;
                    Ok(String::new())
                })
            }
            Self::Evaluate(arguments) => match evaluate::evaluate(&arguments) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    print(&format!("{error:#}"));
                    ExitCode::FAILURE
                }
            },
        }
    }
}

/// Prints the progress of a command.
fn print(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}

/// Checks an assignment of a setting.
fn setting(text: &str) -> Result<String, SettingError> {
    Settings::default().set(text)?;
    Ok(text.to_owned())
}

fn finite(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite())
        .ok_or_else(|| "must be a number".to_owned())
}
