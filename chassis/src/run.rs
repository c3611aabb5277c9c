//! The life of a process: settings → logs → build → announce → serve → drain.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    process::ExitCode,
    time::Duration,
};

use axum::{Router, routing::get};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use utoipa::openapi::OpenApi;

use crate::{
    config::{ProcessConfig, Settings},
    health::{self, Health},
    metrics, server,
    shutdown::Shutdown,
    telemetry,
};

/// `EX_USAGE` of sysexits.h: the settings are wrong, trying again will not help.
const EXIT_USAGE: u8 = 64;

/// What a service is before it runs.
pub struct Service {
    /// Its name: directory, crate, binary, `service` in health reports.
    pub name: &'static str,
    /// Its `config/default.toml`.
    pub defaults: &'static str,
    /// Its API, as `<name> openapi` prints it.
    pub openapi: fn() -> OpenApi,
}

/// What a service is built from.
#[derive(Clone)]
pub struct Process {
    /// The service's name.
    pub name: &'static str,
    /// Settings that every process has.
    pub config: ProcessConfig,
    /// All settings, for the service's own `Config`.
    pub settings: Settings,
    /// Tells background tasks when to stop.
    pub shutdown: Shutdown,
    /// The numbers that `/metrics` shows.
    pub metrics: PrometheusHandle,
}

impl Process {
    /// Reads the settings common to all processes.
    ///
    /// # Errors
    /// A value that is missing or not of its type.
    pub fn new(name: &'static str, settings: Settings) -> Result<Self, crate::config::ConfigError> {
        Ok(Self {
            name,
            config: settings.read()?,
            settings,
            shutdown: Shutdown::default(),
            metrics: metrics::recorder(),
        })
    }

    /// The whole application: the service's `routes`, health, metrics, its OpenAPI document, and the
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

/// Runs a service: `build` makes its routes and health checks from the process. `<name> openapi`
/// prints the API instead, `<name> healthcheck` asks the running process whether it is ready.
pub fn run<B, F>(service: Service, build: B) -> ExitCode
where
    B: FnOnce(Process) -> F,
    F: Future<Output = anyhow::Result<(Router, Health)>>,
{
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("openapi") => return print_openapi(&service),
        Some("healthcheck") => return healthcheck(&service),
        Some(other) => {
            return usage_error(&format!(
                "unknown command `{other}`; known are openapi and healthcheck"
            ));
        }
    }
    let process = match Settings::load(service.defaults)
        .and_then(|settings| Process::new(service.name, settings))
        .and_then(|process| telemetry::init(&process.config).map(|()| process))
    {
        Ok(process) => process,
        Err(error) => return usage_error(&error.to_string()),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return usage_error(&error.to_string()),
    };
    match runtime.block_on(live(process, (service.openapi)(), build)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            tracing::error!("stopped with requests or tasks unfinished");
            ExitCode::FAILURE
        }
        Err(error) => {
            if let Some(error) = error.downcast_ref::<crate::config::ConfigError>() {
                return usage_error(&error.to_string());
            }
            tracing::error!(cause = format!("{error:#}"), "cannot go on");
            ExitCode::FAILURE
        }
    }
}

async fn live<B, F>(process: Process, openapi: OpenApi, build: B) -> anyhow::Result<bool>
where
    B: FnOnce(Process) -> F,
    F: Future<Output = anyhow::Result<(Router, Health)>>,
{
    let shutdown = process.shutdown.clone();
    shutdown.on_signals()?;
    let upkeep = process.metrics.clone();
    let until = shutdown.clone();
    shutdown.spawn(async move {
        while !until.sleep(Duration::from_secs(5)).await {
            upkeep.run_upkeep();
        }
    });
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
    let answered = server::serve(listener, app, &process.config, &shutdown).await;
    let drained = shutdown.drain(process.config.shutdown_grace()).await;
    tracing::info!("stopped");
    Ok(answered && drained)
}

/// Says what is wrong with how the program was called.
pub fn usage_error(message: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{message}");
    ExitCode::from(EXIT_USAGE)
}

/// Prints the API of `service`.
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

/// Asks the process that runs with the same settings whether it is ready; for container images,
/// which have no curl.
#[must_use]
pub fn healthcheck(service: &Service) -> ExitCode {
    match Settings::load(service.defaults).and_then(|settings| settings.read::<ProcessConfig>()) {
        Ok(config) => report_ready(config.address()),
        Err(error) => usage_error(&error.to_string()),
    }
}

/// Asks the process at `address` whether it is ready, and makes an exit code of its answer.
#[must_use]
pub fn report_ready(address: SocketAddr) -> ExitCode {
    match ask_ready(address) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn ask_ready(mut address: SocketAddr) -> std::io::Result<bool> {
    let limit = Duration::from_secs(3);
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    stream
        .write_all(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    Ok(&head[9..] == b"200")
}
