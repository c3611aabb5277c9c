//! The server: one single-threaded runtime per core, each with a listener on the same port and an accept loop.
//! Passes requests to [`crate::pipeline`]. Started by `main` and by the tests.

mod client_stream;
mod connection;
mod drain;
mod http1;
mod http2;
mod http2_stream;
mod line_ends;
mod malformed;
mod shared;
mod stall;
mod tls;
mod tunnel;
mod unread;

use std::{
    io::ErrorKind,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::Duration,
};

use anyhow::Context;
use chassis::{Process, shutdown::Shutdown};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    task::LocalSet,
};

use self::{connection::Connections, drain::ignore_new_connections, tls::ServerTls};
use crate::{
    admission::{self, CLIENT_CONNECTIONS_CLOSED_TOTAL, ConnectionHandle, Permit, Refusal},
    cache,
    config::{AuthMode, Config, GatewayConfig},
    groups,
    middleware::{client_ip::ClientKey, compression, rate_limit},
    proxy::{Upstream, breaker, upstream_metrics},
    state::{SharedState, ThreadState},
    websocket,
};

/// Connections of one thread that the kernel keeps until they are accepted.
const LISTEN_BACKLOG: i32 = 4096;
const IDLE_CHECK_INTERVAL: Duration = Duration::from_secs(2);
const SILENCE_CHECK_INTERVAL: Duration = Duration::from_millis(50);
/// The time for handshakes to end when the listener is about to close.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_millis(100);
/// The pause after a failed accept.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// A running gateway.
pub struct Gateway {
    address: SocketAddr,
    /// `http`, or `https` if there is a certificate.
    scheme: &'static str,
    shutdown: Shutdown,
    threads: Vec<JoinHandle<bool>>,
}

impl Gateway {
    /// Starts the threads of a gateway, and within the current Tokio runtime the task that fetches public keys.
    ///
    /// # Errors
    /// Returns an error if a setting is invalid, a certificate cannot be used or the port is in use.
    pub fn start(process: Process) -> anyhow::Result<Self> {
        let config = GatewayConfig {
            own: Config::read(&process.settings)?,
            process: process.config.clone(),
        };
        config.check_exposure()?;
        if config.own.auth_mode == AuthMode::Mock {
            tracing::warn!(
                "AUTH_MODE=mock: EVERY token passes as an administrator. For development only"
            );
        }
        admission::describe_metrics();
        breaker::describe_metrics();
        upstream_metrics::describe_metrics();
        groups::describe_metrics();
        rate_limit::describe_metrics();
        compression::describe_metrics();
        cache::describe_metrics();
        tls::describe_metrics();
        websocket::describe_metrics();
        let tls = ServerTls::new(&config.own)?;
        let shutdown = process.shutdown.clone();
        let address = config.process.address();
        let listeners = listen(address, config.own.threads(), config.own.share_port)
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listeners[0].local_addr()?;
        let shared = Arc::new(SharedState::new(process, config)?);
        shared.keys.start_refresh(&shared.shutdown);
        shared.start_revocations();
        if let Some(tls) = &tls {
            shutdown.spawn(Arc::clone(tls).follow_files(shutdown.clone()));
        }
        shared.groups.start_reload(&shared.shutdown)?;
        let threads = listeners
            .into_iter()
            .enumerate()
            .map(|(number, listener)| {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                let thread = Builder::new().name(format!("gateway-{number}"));
                thread.spawn(move || run_thread(shared, tls, listener))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            address,
            scheme: if tls.is_some() { "https" } else { "http" },
            shutdown,
            threads,
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins the shutdown: `/health/ready` responds 503, then the listeners close and accepted requests are served.
    pub fn stop(&self) {
        self.shutdown.start();
    }

    /// Waits for the end. True if all accepted requests were served.
    pub fn join(self) -> bool {
        let threads = self.threads.into_iter();
        let served = threads.map(|thread| thread.join().unwrap_or(false));
        served.fold(true, |all, served| all & served)
    }
}

/// Runs the gateway until a signal stops it. True if all accepted requests were served.
///
/// # Errors
/// Returns the errors of [`Gateway::start`].
pub fn run_until_stopped(process: Process) -> anyhow::Result<bool> {
    use_small_pages();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let shutdown = process.shutdown.clone();
    let gateway = runtime.block_on(async {
        process.start_tasks()?;
        Gateway::start(process)
    })?;
    tracing::info!(
        service = crate::NAME,
        version = env!("CARGO_PKG_VERSION"),
        "listening on {}://{}",
        gateway.scheme,
        gateway.address()
    );
    let all_served = runtime.block_on(async move {
        shutdown.started().await;
        // The runtime keeps running, so that a second signal can end the wait.
        tokio::task::spawn_blocking(|| gateway.join()).await
    })?;
    tracing::info!("stopped");
    Ok(all_served)
}

/// Makes the kernel back memory by small pages. The buffers of idle connections are nearly empty, and a huge page is in
/// memory as a whole: 10,000 of them would take 100 MiB more.
fn use_small_pages() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "cannot disable transparent huge pages");
    }
}

/// One listener per thread, all on one port, among which the kernel distributes connections.
/// Fails if another process listens on it, unless the port `is_shared`.
fn listen(
    address: SocketAddr,
    threads: usize,
    is_shared: bool,
) -> std::io::Result<Vec<std::net::TcpListener>> {
    // SO_REUSEPORT would also let another process of the same user share the port.
    if address.port() != 0 && !is_shared {
        bind(address, false)?;
    }
    let first = bind(address, true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..threads {
        listeners.push(bind(address, true)?);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr, reuse_port: bool) -> std::io::Result<std::net::TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

fn run_thread(
    shared: Arc<SharedState>,
    tls: Option<Arc<ServerTls>>,
    listener: std::net::TcpListener,
) -> bool {
    let shutdown = shared.shutdown.clone();
    let served = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            LocalSet::new().block_on(&runtime, async {
                let state = ThreadState::new(shared)?;
                let connections = Connections::new(Rc::clone(&state), tls);
                anyhow::Ok(accept(&state, &connections, TcpListener::from_std(listener)?).await)
            })
        });
    served.unwrap_or_else(|error| {
        tracing::error!(cause = format!("{error:#}"), "a thread cannot run");
        shutdown.start();
        false
    })
}

/// Serves the connections of `listener` until the shutdown begins, then drains them. True if all accepted
/// requests were served within the grace period.
async fn accept(
    state: &Rc<ThreadState>,
    connections: &Rc<Connections>,
    listener: TcpListener,
) -> bool {
    let config = &state.shared.config;
    let shutdown = &state.shared.shutdown;
    for (interval, act) in [
        (IDLE_CHECK_INTERVAL, Upstream::close_unused as fn(&Upstream)),
        (SILENCE_CHECK_INTERVAL, Upstream::probe_silent),
    ] {
        tokio::task::spawn_local(every(interval, Rc::clone(state), act));
    }
    tokio::task::spawn_local(Rc::clone(&state.groups).follow(shutdown.clone()));
    let stop = async {
        shutdown.started().await;
        // Clients that go on will find another gateway by their next connection, so that few connections are idle when
        // those are closed.
        state.is_stopping.set(true);
        // Load balancers that watch the readiness get time to send their requests elsewhere.
        tokio::time::sleep(Duration::from_millis(config.own.shutdown_delay_ms)).await;
    };
    tokio::pin!(stop);
    let mut is_stopping = false;
    while !is_stopping {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let connection = Rc::default();
                let admitted = tokio::select! {
                    // The connection is accepted, so that it is served.
                    () = &mut stop => {
                        is_stopping = true;
                        Admitted::Yes(None)
                    }
                    admitted = admit(state, &connection, address.ip()) => admitted,
                };
                match admitted {
                    Admitted::Yes(permit) => {
                        connections.serve(stream, address, connection, permit);
                    }
                    Admitted::No => close_now(&stream),
                }
            }
            Err(error) => {
                // Most likely out of file descriptors: open connections need time to close.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await;
            }
        }
    }
    state.is_draining.set(true);
    // Closing the listener would reset the connections that the kernel has accepted.
    if let Err(error) = ignore_new_connections(&listener) {
        tracing::debug!(%error, "new connections cannot be ignored");
    }
    let handshakes = tokio::time::sleep(HANDSHAKE_TIMEOUT);
    tokio::pin!(handshakes);
    loop {
        tokio::select! {
            () = &mut handshakes => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, address)) => {
                    connections.serve(stream, address, Rc::default(), None);
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY_INTERVAL).await,
            },
        }
    }
    if let Err(error) = accept_rest(listener, connections) {
        tracing::warn!(%error, "connections may have been lost with the listener");
    }
    tokio::time::timeout(config.process.shutdown_grace(), connections.drain.finish())
        .await
        .is_ok()
}

/// Serves what is left in the queue of `listener`, and closes it. Asks the kernel, which knows more than the last report of
/// events.
fn accept_rest(listener: TcpListener, connections: &Rc<Connections>) -> std::io::Result<()> {
    let listener = listener.into_std()?;
    loop {
        match listener.accept() {
            Ok((stream, address)) => {
                stream.set_nonblocking(true)?;
                let stream = TcpStream::from_std(stream)?;
                connections.serve(stream, address, Rc::default(), None);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // The client has given up.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The decision about a new connection.
enum Admitted {
    Yes(Option<Permit>),
    No,
}

/// Takes a place for a connection from `peer`; waits for one if all are taken by requests of others.
async fn admit(state: &ThreadState, connection: &Rc<ConnectionHandle>, peer: IpAddr) -> Admitted {
    // A proxy stands for many clients.
    let is_proxy = state.shared.config.own.trusted_proxies.contain(peer);
    let client = (!is_proxy).then(|| ClientKey::of(peer));
    loop {
        match state.connections.admit(client, connection) {
            Ok(permit) => return Admitted::Yes(Some(permit)),
            Err(refusal @ Refusal::Client) => {
                let reason = refusal.reason();
                metrics::counter!(CLIENT_CONNECTIONS_CLOSED_TOTAL, "reason" => reason).increment(1);
                return Admitted::No;
            }
            Err(Refusal::Total) => state.connections.released().await,
        }
    }
}

/// Resets the connection, so that the kernel keeps nothing of it.
fn close_now(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!(%error, "cannot reset a connection");
    }
}

/// Lets all upstreams of the thread `act` at an interval, also while requests are served during the shutdown.
async fn every(interval: Duration, state: Rc<ThreadState>, act: fn(&Upstream)) {
    loop {
        tokio::time::sleep(interval).await;
        state.upstreams.iter().for_each(|upstream| act(upstream));
        state.groups.upstreams().iter().for_each(|group| act(group));
    }
}
