//! TMDB's v3 protocol over the catalogue in `data/`, so that Marquee is developed and tested without a TMDB key, and
//! against a TMDB that fails on request.
//!
//! Run as a program (`demo-tmdb`), or inside a test process ([`testing::DemoTmdb`]). It shares no code with
//! movie-service: its responses are compared with recordings of TMDB, so a mistake in movie-service's client cannot be
//! repeated here. State lives in memory and ends with the process.
//!
//! [`catalogue`] holds the movies, [`handler`] serves TMDB's protocol, [`control`] lets a test change movies and switch
//! [`faults`] on, [`stats`] counts calls, [`server`] owns the connections.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "it simulates a foreign system: settings, errors and tasks are not those of our services"
)]

mod catalogue;
mod control;
mod faults;
mod handler;
mod server;
mod settings;
mod state;
mod stats;
pub mod testing;

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use chassis::run::{report_ready, report_unparsed, usage_error};
use chassis::shutdown::Shutdown;
use clap::{Parser, Subcommand};
use tokio::net::TcpListener;

use settings::Settings;
use state::AppState;

/// TMDB's v3 protocol over an embedded catalogue, with faults on request
///
/// Settings come from the environment: SERVER_HOST, SERVER_PORT, RUST_LOG, and those named DEMO_….
#[derive(Parser)]
#[command(version, after_help = "Without a command, the server runs.")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the running server for its readiness (exit code 0: ready)
    Healthcheck,
}

/// Runs the command that the arguments name, by default the server, with the settings of the environment. The exit code
/// is 64 if arguments or settings are invalid.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return report_unparsed(&error),
    };
    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(error) => return usage_error(&error.to_string()),
    };
    if let Some(Command::Healthcheck) = arguments.command {
        return match settings.server_host.parse() {
            Ok(host) => report_ready(SocketAddr::new(host, settings.server_port)),
            Err(_) => usage_error("healthcheck needs an address in SERVER_HOST"),
        };
    }
    // Logs go to standard error, because a test reads the address from standard output.
    chassis::telemetry::init_stderr();
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> anyhow::Result<()> {
    let state = Arc::new(AppState::build(settings).context("the demo catalogue cannot be read")?);
    runtime()?.block_on(async {
        let (host, port) = (settings.server_host.as_str(), settings.server_port);
        let listener = TcpListener::bind((host, port))
            .await
            .with_context(|| format!("cannot listen on {host}:{port}"))?;
        let address = listener.local_addr()?;
        let shutdown = Shutdown::default();
        shutdown.on_signals()?;
        tracing::info!(
            movies = state.catalogue().len(),
            "listening on http://{address}"
        );
        let mut stdout = std::io::stdout();
        // The parent process may have closed standard output; that is no reason to stop.
        let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
        server::serve(listener, handler::router(state), &shutdown).await;
        Ok(())
    })
}

/// Two threads: one slow response (sorting a large generated catalogue) must not delay the others.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime cannot start")
}
