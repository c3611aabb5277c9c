//! Composition: settings become shared state, threads with their listeners, and a running gateway.
//! Nothing is constructed elsewhere.

use std::{net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use chassis::{Process, shutdown::Shutdown};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{net::TcpListener, runtime, task::LocalSet};

use crate::{
    auth::Keys,
    config::{AuthMode, Config, GatewayConfig},
    cors::Cors,
    openapi,
    rate_limit::Limits,
    routes::Table,
    swagger,
    worker::{Shared, Worker},
};

/// Connections that wait to be accepted by one thread.
const BACKLOG: i32 = 4096;
/// How often numbers are folded together.
const UPKEEP: Duration = Duration::from_secs(5);

/// A running gateway.
pub struct Gateway {
    address: SocketAddr,
    shutdown: Shutdown,
    threads: Vec<JoinHandle<bool>>,
}

impl Gateway {
    /// Starts the threads of a gateway.
    ///
    /// # Errors
    /// Settings that cannot work, or a port that is taken.
    pub fn start(process: Process) -> anyhow::Result<Self> {
        let own = Config::read(&process.settings)?;
        let config = GatewayConfig {
            process: process.config.clone(),
            own,
        };
        if config.own.auth_mode == AuthMode::Mock {
            tracing::warn!(
                "AUTH_MODE=mock: EVERY token passes as an administrator. For development only"
            );
        }
        let threads = config.own.threads();
        let shutdown = process.shutdown.clone();
        let listeners = listen(process.config.address(), threads)
            .with_context(|| format!("cannot listen on {}", process.config.address()))?;
        let address = listeners[0].local_addr()?;
        let shared = Arc::new(share(process, config)?);
        let keeper = shared.keys.keeper(&shared.shutdown);
        let mut threads: Vec<JoinHandle<bool>> = listeners
            .into_iter()
            .enumerate()
            .map(|(number, listener)| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("gateway-{number}"))
                    .spawn(move || run(shared, listener))
            })
            .collect::<Result<_, _>>()?;
        if let Some(keeper) = keeper {
            let thread = std::thread::Builder::new().name("gateway-keys".to_owned());
            threads.push(thread.spawn(move || keep_keys(keeper))?);
        }
        Ok(Self {
            address,
            shutdown,
            threads,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells it to stop: readiness turns red, nothing new is accepted, what was accepted is answered.
    pub fn stop(&self) {
        self.shutdown.start();
    }

    /// Waits until it has stopped. True when all accepted requests were answered.
    #[must_use]
    pub fn join(self) -> bool {
        let ends: Vec<bool> = self
            .threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(false))
            .collect();
        ends.into_iter().all(|answered| answered)
    }
}

fn share(process: Process, config: GatewayConfig) -> anyhow::Result<Shared> {
    Ok(Shared {
        table: Table::new(),
        cors: Cors::new(&config.own.cors_origins),
        keys: Arc::new(Keys::new(&config.own)),
        strangers: Arc::default(),
        limits: Limits::new(
            config.own.rate_limit_max,
            config.own.rate_limit_window(),
            config.own.rate_limit_entries,
        ),
        openapi: Bytes::from(openapi::document().to_json()?),
        swagger: swagger::config(),
        metrics: process.metrics,
        shutdown: process.shutdown,
        config,
    })
}

/// One listener for each thread, all on one port, among which the kernel spreads connections.
fn listen(address: SocketAddr, threads: usize) -> std::io::Result<Vec<std::net::TcpListener>> {
    // Sharing a port is meant for our own threads: another process on it must be noticed.
    if address.port() != 0 {
        socket(address, false)?;
    }
    let first = socket(address, true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..threads {
        listeners.push(socket(address, true)?);
    }
    Ok(listeners)
}

fn socket(address: SocketAddr, shared: bool) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The life of one thread.
fn run(shared: Arc<Shared>, listener: std::net::TcpListener) -> bool {
    let served = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            LocalSet::new().block_on(&runtime, async {
                let worker = Worker::new(Arc::clone(&shared))?;
                let listener = TcpListener::from_std(listener)?;
                anyhow::Ok(worker.serve(listener).await)
            })
        });
    served.unwrap_or_else(|error| {
        tracing::error!(cause = format!("{error:#}"), "a thread cannot go on");
        shared.shutdown.start();
        false
    })
}

/// Runs `keeper`, apart from the threads that serve requests. It has nothing that must be finished.
fn keep_keys(keeper: impl Future<Output = ()>) -> bool {
    match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(keeper),
        Err(error) => tracing::error!(%error, "keys cannot be fetched"),
    }
    true
}

/// Runs the gateway until a signal ends it. True when all accepted requests were answered.
///
/// # Errors
/// As [`Gateway::start`].
pub fn run_until_stopped(process: Process) -> anyhow::Result<bool> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let shutdown = process.shutdown.clone();
    let metrics = process.metrics.clone();
    let gateway = runtime.block_on(async {
        shutdown.on_signals()?;
        Gateway::start(process)
    })?;
    tracing::info!(
        service = crate::NAME,
        version = env!("CARGO_PKG_VERSION"),
        "listening on http://{}",
        gateway.address()
    );
    let answered = runtime.block_on(async move {
        let upkeep = shutdown.clone();
        tokio::spawn(async move {
            while !upkeep.sleep(UPKEEP).await {
                metrics.run_upkeep();
            }
        });
        shutdown.started().await;
        // Signals are still listened to, so that a second one can end the wait.
        tokio::task::spawn_blocking(|| gateway.join()).await
    })?;
    tracing::info!("stopped");
    Ok(answered)
}
