//! The life of a process: arguments → settings → logs → build → listen → serve → drain.
//!
//! A service's `main` is one call of [`run`], or of [`run_with`] if it has commands of its own:
//!
//! ```no_run
//! # use chassis::{Health, Process, Router, Service, run::execute};
//! # const SERVICE: Service = Service { name: "x", defaults: "", openapi: Default::default };
//! # async fn build(_: Process) -> anyhow::Result<(Router, Health)> { Ok(Default::default()) }
//! #[derive(clap::Subcommand)]
//! enum Command {
//!     /// Verify the stored data
//!     Verify { table: String },
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     chassis::run_with(SERVICE, build, |Command::Verify { table }| {
//!         execute(&SERVICE, async |_config: chassis::ProcessConfig| Ok(format!("{table}: no differences")))
//!     })
//! }
//! ```

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::de::DeserializeOwned;
use tokio::{net::TcpListener, runtime::Runtime};
use utoipa::openapi::OpenApi;

use crate::{
    config::{ConfigError, ProcessConfig, Settings},
    health::{self, Health},
    metrics, server,
    shutdown::Shutdown,
    telemetry,
};

/// `EX_USAGE` of sysexits.h: arguments or settings are invalid, a restart will not help.
const EXIT_USAGE: u8 = 64;
/// The time limit of each step of a health check.
const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(3);
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The description of a service.
pub struct Service {
    /// The name of its directory, crate and binary, and of the service in health reports.
    pub name: &'static str,
    /// Its `config/default.toml`.
    pub defaults: &'static str,
    /// Its OpenAPI document, as `<name> openapi` prints it.
    pub openapi: fn() -> OpenApi,
}

/// The parts of a process from which a service is built.
#[derive(Clone)]
pub struct Process {
    /// The service's name.
    pub name: &'static str,
    /// The settings that every process has.
    pub config: ProcessConfig,
    /// All settings, for the service's own `Config`.
    pub settings: Settings,
    /// The end of the process, and the place to spawn tasks.
    pub shutdown: Shutdown,
    /// The metrics recorder.
    pub metrics: PrometheusHandle,
}

impl Process {
    /// Reads the settings common to all processes.
    ///
    /// # Errors
    /// `ConfigError` if one is missing or not of its type.
    pub fn new(name: &'static str, settings: Settings) -> Result<Self, ConfigError> {
        Ok(Self {
            name,
            config: settings.read()?,
            settings,
            shutdown: Shutdown::default(),
            metrics: metrics::recorder(),
        })
    }

    /// Starts the shutdown on signals, and the upkeep of the metrics until it.
    ///
    /// # Errors
    /// Returns an error if signal handlers cannot be installed.
    pub fn start_tasks(&self) -> std::io::Result<()> {
        self.shutdown.on_signals()?;
        let (metrics, until) = (self.metrics.clone(), self.shutdown.clone());
        self.shutdown.spawn(async move {
            while !until.sleep(METRICS_UPKEEP_INTERVAL).await {
                metrics.run_upkeep();
            }
        });
        Ok(())
    }

    /// The whole application: the service's `routes`, health, metrics, the OpenAPI document, and the
    /// layers around them.
    pub fn application(&self, routes: Router, health: Health, openapi: &OpenApi) -> Router {
        let document = openapi.to_json().unwrap_or_default();
        let handle = self.metrics.clone();
        let routes = routes
            .merge(health::router(self.name, health, self.shutdown.clone()))
            .route(
                "/metrics",
                get(move || async move {
                    (
                        [("content-type", "text/plain; version=0.0.4; charset=utf-8")],
                        handle.render(),
                    )
                }),
            )
            .route(
                "/openapi.json",
                get(move || async move { ([("content-type", "application/json")], document) }),
            );
        server::layers(routes, &self.config)
    }
}

/// Settings come from the environment, a file named by CONFIG_FILE, and .env.
#[derive(Parser)]
#[command(after_help = "Without a command, the service runs.")]
struct Arguments<C: Subcommand> {
    #[command(subcommand)]
    command: Option<Command<C>>,
}

#[derive(Subcommand)]
enum Command<C: Subcommand> {
    /// Print the OpenAPI document
    Openapi,
    /// Ask the running service for its readiness (exit code 0: ready)
    Healthcheck,
    #[command(flatten)]
    Own(C),
}

/// The commands of a service that has none of its own.
#[derive(Subcommand)]
pub enum NoCommand {}

/// Parses the process's arguments and executes the commands common to all services.
///
/// Returns the command of the service's own, or `None` if the service is to run.
///
/// # Errors
/// Returns the exit code if the process is done: after a common command, `--help`, `--version`, or a usage error (64).
pub fn parse_arguments<C: Subcommand>(service: &Service) -> Result<Option<C>, ExitCode> {
    let parsed =
        parse_from(service, std::env::args_os()).map_err(|error| report_unparsed(&error))?;
    match parsed {
        None => Ok(None),
        Some(Command::Own(own)) => Ok(Some(own)),
        Some(Command::Openapi) => Err(print_openapi(service)),
        Some(Command::Healthcheck) => Err(healthcheck(service)),
    }
}

/// Prints the help, the version or the usage error that `error` is; the exit code is 0 or 64.
#[must_use]
pub fn report_unparsed(error: &clap::Error) -> ExitCode {
    // Broken pipes are the reader's choice.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(EXIT_USAGE),
    }
}

fn parse_from<C: Subcommand>(
    service: &Service,
    arguments: impl IntoIterator<Item = impl Into<std::ffi::OsString> + Clone>,
) -> Result<Option<Command<C>>, clap::Error> {
    let mut command = Arguments::<C>::command()
        .name(service.name)
        .bin_name(service.name)
        .version(env!("CARGO_PKG_VERSION"));
    let matches = command.try_get_matches_from_mut(arguments)?;
    Arguments::from_arg_matches(&matches)
        .map(|arguments| arguments.command)
        .map_err(|error| error.format(&mut command))
}

/// Runs a service without commands of its own; see [`run_with`].
pub fn run<B, F>(service: Service, build: B) -> ExitCode
where
    B: FnOnce(Process) -> F,
    F: Future<Output = anyhow::Result<(Router, Health)>>,
{
    run_with(service, build, |command: NoCommand| match command {})
}

/// Executes the command that the arguments name, with `execute` if it is the service's own; without one runs the
/// service: `build` makes its routes and health checks from the process.
pub fn run_with<C, B, F>(
    service: Service,
    build: B,
    execute: impl FnOnce(C) -> ExitCode,
) -> ExitCode
where
    C: Subcommand,
    B: FnOnce(Process) -> F,
    F: Future<Output = anyhow::Result<(Router, Health)>>,
{
    match parse_arguments(&service) {
        Ok(None) => {}
        Ok(Some(command)) => return execute(command),
        Err(code) => return code,
    }
    run_process(service.name, service.defaults, |process| {
        runtime()?.block_on(serve(process, (service.openapi)(), build))
    })
}

/// Reads the settings, sets up the logs and calls `serve`, which returns true if it has finished all requests and tasks.
/// Exits with 64 if a setting is invalid, with 1 if `serve` fails.
pub fn run_process(
    name: &'static str,
    defaults: &str,
    serve: impl FnOnce(Process) -> anyhow::Result<bool>,
) -> ExitCode {
    let process = Settings::load(defaults)
        .and_then(|settings| Process::new(name, settings))
        .and_then(|process| process.config.check_exposure().map(|()| process))
        .and_then(|process| telemetry::init(&process.config).map(|()| process));
    match process.map_err(anyhow::Error::from).and_then(serve) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            tracing::error!("stopped with requests or tasks unfinished");
            ExitCode::FAILURE
        }
        Err(error) => failure(&error, |cause| tracing::error!(cause, "the service failed")),
    }
}

/// Executes a command: reads the service's configuration, runs `work`, and prints the line that it returns, if any.
/// Exits with 64 if the configuration is invalid, with 1 if `work` fails.
pub fn execute<C: DeserializeOwned>(
    service: &Service,
    work: impl AsyncFnOnce(C) -> anyhow::Result<String>,
) -> ExitCode {
    let done = Settings::load(service.defaults)
        .and_then(|settings| settings.read())
        .map_err(anyhow::Error::from)
        .and_then(|config| runtime()?.block_on(work(config)));
    match done {
        Ok(line) => {
            if !line.is_empty() {
                let _ = writeln!(std::io::stdout(), "{line}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => failure(&error, |cause| {
            let _ = writeln!(std::io::stderr(), "{cause}");
        }),
    }
}

/// The exit code of `error`: 64 if a setting is invalid, else 1, after `report` of the cause.
fn failure(error: &anyhow::Error, report: impl FnOnce(&str)) -> ExitCode {
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return usage_error(&error.to_string());
    }
    report(&format!("{error:#}"));
    ExitCode::FAILURE
}

fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// Builds a service, serves it until the shutdown and drains it. True if all requests and tasks ended within the grace
/// period.
///
/// # Errors
/// Returns an error if the service cannot be built or its address is in use.
pub async fn serve<B, F>(process: Process, openapi: OpenApi, build: B) -> anyhow::Result<bool>
where
    B: FnOnce(Process) -> F,
    F: Future<Output = anyhow::Result<(Router, Health)>>,
{
    process.start_tasks()?;
    let shutdown = process.shutdown.clone();
    let (routes, health) = build(process.clone()).await?;
    let app = process.application(routes, health, &openapi);
    let listener = TcpListener::bind(process.config.address())
        .await
        .map_err(|error| {
            anyhow::anyhow!("cannot listen on {}: {error}", process.config.address())
        })?;
    tracing::info!(
        service = process.name,
        version = env!("CARGO_PKG_VERSION"),
        "listening on http://{}",
        listener.local_addr()?
    );
    let stopping = async {
        shutdown.started().await;
        Instant::now()
    };
    let serving = server::serve(listener, app, &process.config, &shutdown);
    let (completed, started) = tokio::join!(serving, stopping);
    // One grace period for requests and tasks together: whoever stops the process counts it once.
    let rest = process
        .config
        .shutdown_grace()
        .saturating_sub(started.elapsed());
    let drained = shutdown.drain(rest).await;
    tracing::info!("stopped");
    Ok(completed && drained)
}

/// Prints `message` to standard error; the exit code is 64.
pub fn usage_error(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(EXIT_USAGE)
}

/// Prints the OpenAPI document of `service`.
#[must_use]
pub fn print_openapi(service: &Service) -> ExitCode {
    match (service.openapi)().to_pretty_json() {
        Ok(json) => {
            let _ = writeln!(std::io::stdout(), "{json}");
            ExitCode::SUCCESS
        }
        Err(error) => usage_error(&error.to_string()),
    }
}

/// Checks the readiness of the process that runs with the same settings; for container images, which have no curl.
#[must_use]
pub fn healthcheck(service: &Service) -> ExitCode {
    match Settings::load(service.defaults).and_then(|settings| settings.read::<ProcessConfig>()) {
        Ok(config) => report_ready(config.address()),
        Err(error) => usage_error(&error.to_string()),
    }
}

/// Checks the readiness of the process at `address`; success if it is ready.
#[must_use]
pub fn report_ready(address: SocketAddr) -> ExitCode {
    report_ready_over(address, Ok)
}

/// As [`report_ready`], over the stream that `wrap` makes of the connection, such as one with TLS.
#[must_use]
pub fn report_ready_over<S: Read + Write>(
    address: SocketAddr,
    wrap: impl FnOnce(TcpStream) -> std::io::Result<S>,
) -> ExitCode {
    match connect(address).and_then(wrap).and_then(is_ready) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn connect(mut address: SocketAddr) -> std::io::Result<TcpStream> {
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let stream = TcpStream::connect_timeout(&address, HEALTHCHECK_TIMEOUT)?;
    stream.set_read_timeout(Some(HEALTHCHECK_TIMEOUT))?;
    stream.set_write_timeout(Some(HEALTHCHECK_TIMEOUT))?;
    Ok(stream)
}

fn is_ready(mut stream: impl Read + Write) -> std::io::Result<bool> {
    stream
        .write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(&head[9..] == b"200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Subcommand)]
    enum Own {
        /// Export the data
        Export {
            /// The file to write
            #[arg(long)]
            to: String,
        },
    }

    fn parse(arguments: &[&str]) -> Result<Option<Command<Own>>, clap::Error> {
        let service = Service {
            name: "some-service",
            defaults: "",
            openapi: || OpenApi::default(),
        };
        parse_from(&service, std::iter::once(&"some-service").chain(arguments))
    }

    #[test]
    fn own_and_common_commands_are_parsed() {
        assert!(parse(&[]).expect("valid").is_none());
        assert!(matches!(parse(&["openapi"]), Ok(Some(Command::Openapi))));
        assert!(matches!(
            parse(&["export", "--to", "x"]),
            Ok(Some(Command::Own(Own::Export { to }))) if to == "x"
        ));
        for invalid in [&["improt"][..], &["openapi", "x"], &["export"], &["--port"]] {
            assert!(parse(invalid).is_err(), "{invalid:?}");
        }
    }

    #[test]
    fn help_lists_every_command() {
        let help = parse(&["--help"]).err().expect("help").to_string();
        for command in ["openapi", "healthcheck", "export", "Export the data"] {
            assert!(help.contains(command), "{help}");
        }
        let version = parse(&["--version"]).err().expect("a version").to_string();
        assert_eq!(
            version.trim(),
            concat!("some-service ", env!("CARGO_PKG_VERSION"))
        );
    }
}
