//! demo-tmdb: TMDB's v3 protocol over the demo catalogue in `movie-service/demo`, so that Marquee can be
//! developed and tested without a key, and against a TMDB that misbehaves when it is told to.
//!
//! `demo-tmdb healthcheck` asks the process that runs with the same settings whether it is ready.
//!
//! It shares no code with movie-service: what it answers is compared with recordings of TMDB instead, so a
//! mistake in our client cannot hide behind the same mistake here. It keeps nothing: what is changed at run time
//! is gone when it stops.
//!
//! [`catalogue`] holds the films, [`handler`] speaks TMDB's protocol, [`control`] is how a test steers it,
//! [`faults`] and [`stats`] are what it steers, [`server`] owns the connections.

mod catalogue;
mod control;
mod faults;
mod handler;
mod server;
mod settings;
mod state;
mod stats;

use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use settings::Settings;
use state::AppState;

/// What sysexits calls a usage error: a supervisor need not start us again, the settings are wrong.
const EXIT_BAD_SETTINGS: u8 = 64;

fn main() -> ExitCode {
    // Logs go to stderr, because a test reads the address from stdout.
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")),
        )
        .with_writer(std::io::stderr)
        .init();

    let settings = match Settings::load() {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!("{error}");
            return ExitCode::from(EXIT_BAD_SETTINGS);
        }
    };
    if std::env::args().nth(1).as_deref() == Some("healthcheck") {
        return match settings.host.parse() {
            Ok(host) => chassis::run::report_ready(SocketAddr::new(host, settings.port)),
            Err(_) => chassis::run::usage("healthcheck needs an address in SERVER_HOST"),
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
    // Two threads: one slow answer (sorting a large generated catalogue) must not hold up the rest.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(async {
        let listener = server::bind(&settings.host, settings.port).await?;
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        tracing::info!(
            films = state.catalogue().len(),
            "listening on http://{address}"
        );
        let mut stdout = std::io::stdout();
        // Whoever started us may have closed our stdout; that is no reason to stop.
        let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
        server::serve(listener, handler::router(state), server::shutdown_signal()).await;
        Ok(())
    })
}
