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
    reason = "it stands for a foreign system: settings, errors and tasks are not those of our services"
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

use settings::Settings;
use state::AppState;

/// `EX_USAGE` of sysexits.h: a supervisor need not restart the program, its settings are invalid.
const EXIT_USAGE: u8 = 64;

/// Runs the program with the settings of its environment; `demo-tmdb healthcheck` instead asks the process that runs
/// with the same settings for its readiness.
pub fn main() -> ExitCode {
    // Logs go to standard error, because a test reads the address from standard output.
    chassis::telemetry::init_stderr();

    let settings = match Settings::from_environment() {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if std::env::args().nth(1).as_deref() == Some("healthcheck") {
        return match settings.host.parse() {
            Ok(host) => chassis::run::report_ready(SocketAddr::new(host, settings.port)),
            Err(_) => chassis::run::usage_error("healthcheck needs an address in SERVER_HOST"),
        };
    }
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
        let listener = server::bind(&settings.host, settings.port).await?;
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        tracing::info!(
            films = state.catalogue().len(),
            "listening on http://{address}"
        );
        let mut stdout = std::io::stdout();
        // The parent process may have closed standard output; that is no reason to stop.
        let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
        server::serve(listener, handler::router(state), server::shutdown_signal()).await;
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
