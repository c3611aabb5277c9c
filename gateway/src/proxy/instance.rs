//! One instance of a service as one thread sees it: its pool of idle connections, its load and its health.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::{
    Request, Response, StatusCode, Uri,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{breaker::Breaker, request_body::OutgoingBody};
use crate::config::GatewayConfig;

/// The weight of the latest response in the moving average of latencies.
const LATENCY_WEIGHT: f64 = 0.2;
/// The time constant by which the average decays without responses, so that an instance which was slow gets requests again and
/// is measured anew.
const LATENCY_DECAY: Duration = Duration::from_secs(1);
/// The range of latencies in the average, in microseconds: instances faster than the least are compared by their requests in
/// flight alone, as is one that has not responded yet; a single slow response weighs no more than the most.
const LATENCY_RANGE: (f64, f64) = (1e3, 1e6);
/// The time for which an instance that responded 503 gets no requests if another one can take them.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// One instance of a service.
pub(crate) struct Instance {
    host: String,
    port: u16,
    /// The value of `Host`.
    pub(super) host_header: HeaderValue,
    /// TLS and the name in the instance's certificate; `None` at an http URL.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    config: Arc<GatewayConfig>,
    pub(super) breaker: Breaker,
    idle: RefCell<Vec<Idle>>,
    in_flight: Cell<u32>,
    /// Moving average at the time of the latest response, in microseconds.
    latency: Cell<f64>,
    responded_at: Cell<Instant>,
    failed_connects: Cell<u32>,
    skipped_until: Cell<Option<Instant>>,
    refuses_until: Cell<Option<Instant>>,
}

struct Idle {
    sender: SendRequest<OutgoingBody>,
    since: Instant,
}

/// The failure to get a response over a connection.
pub(super) struct SendFailure {
    pub(super) error: hyper::Error,
    /// True if not a byte of the request was written.
    pub(super) unsent: bool,
}

impl Instance {
    /// The instance at `url`, without connections; `None` if the URL names no host.
    pub(super) fn new(
        url: &Url,
        config: Arc<GatewayConfig>,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Option<Rc<Self>> {
        // Brackets around an IPv6 address are part of the URL and of Host, not of the address.
        let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default()?;
        let tls = match (url.scheme(), tls) {
            ("https", Some(tls)) => {
                let name = ServerName::try_from(host.clone()).ok()?;
                Some((TlsConnector::from(Arc::clone(tls)), name))
            }
            _ => None,
        };
        let host_header = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        Some(Rc::new(Self {
            host,
            port,
            tls,
            host_header: HeaderValue::try_from(host_header).ok()?,
            config,
            breaker: Breaker::default(),
            idle: RefCell::default(),
            in_flight: Cell::new(0),
            latency: Cell::new(LATENCY_RANGE.0),
            responded_at: Cell::new(Instant::now()),
            failed_connects: Cell::new(0),
            skipped_until: Cell::new(None),
            refuses_until: Cell::new(None),
        }))
    }

    /// Host and port, for logs.
    pub(super) fn address(&self) -> impl fmt::Display {
        format!("{}:{}", self.host, self.port)
    }

    /// The estimated load at `now`; lower is better.
    pub(super) fn load(&self, now: Instant) -> f64 {
        f64::from(self.in_flight.get() + 1) * self.latency(now)
    }

    /// The moving average of latencies at `now`, in microseconds.
    fn latency(&self, now: Instant) -> f64 {
        let unmeasured = now.saturating_duration_since(self.responded_at.get());
        let decay = (-unmeasured.as_secs_f64() / LATENCY_DECAY.as_secs_f64()).exp();
        (self.latency.get() * decay).max(LATENCY_RANGE.0)
    }

    /// The end of the time for which it is skipped, if it is.
    pub(super) fn skipped_until(&self) -> Option<Instant> {
        self.skipped_until
            .get()
            .filter(|until| Instant::now() < *until)
    }

    /// Records that it responded 503: for [`REFUSAL_TIME`] requests go to others that do not.
    pub(super) fn refused(&self) {
        self.refuses_until.set(Some(Instant::now() + REFUSAL_TIME));
    }

    /// True if it responded 503 a moment ago.
    pub(super) fn refuses(&self) -> bool {
        let until = self.refuses_until.get();
        until.is_some_and(|until| Instant::now() < until)
    }

    /// An open connection that has been idle for less than `max_idle` at `now`, if there is one.
    pub(super) fn reuse(self: &Rc<Self>, max_idle: Duration, now: Instant) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        // The pool is a stack: the connections below are older.
        while let Some(connection) = idle.pop() {
            let unused = now.saturating_duration_since(connection.since);
            if unused >= self.idle_timeout() {
                idle.clear();
                return None;
            }
            if connection.sender.is_closed() {
                continue;
            }
            if unused >= max_idle {
                idle.push(connection);
                return None;
            }
            return Some(self.connection(connection.sender));
        }
        None
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn close_unused(&self) {
        let timeout = self.idle_timeout();
        self.idle.borrow_mut().retain(|connection| {
            !connection.sender.is_closed() && connection.since.elapsed() < timeout
        });
        self.breaker.forget_closed();
    }

    /// The time after which an idle connection is closed.
    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.config.own.upstream_idle_ms)
    }

    pub(super) async fn connect(self: &Rc<Self>) -> io::Result<Connection> {
        let connected = self.open().await;
        // The breaker has opened meanwhile, and ended the connections that it knew then: over this one nothing would end the wait.
        if connected.is_ok() && self.breaker.is_open() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        match &connected {
            Ok(_) => {
                self.failed_connects.set(0);
                self.skipped_until.set(None);
            }
            Err(error) => {
                // Perhaps nothing at the address responds at all: a probe tells, so that the next ones need not wait for it.
                if error.kind() == io::ErrorKind::TimedOut {
                    self.breaker.suspect();
                }
                let failures = self.failed_connects.get().saturating_add(1);
                self.failed_connects.set(failures);
                if failures >= self.config.own.upstream_failures_to_skip {
                    let duration = Duration::from_millis(self.config.own.upstream_skip_ms);
                    self.skipped_until.set(Some(Instant::now() + duration));
                }
            }
        }
        connected.map(|sender| self.connection(sender))
    }

    pub(super) async fn open(&self) -> io::Result<SendRequest<OutgoingBody>> {
        let timeout = Duration::from_millis(self.config.own.upstream_connect_timeout_ms);
        let connected = tokio::time::timeout(timeout, async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            match &self.tls {
                None => self.start(stream).await,
                Some((tls, name)) => {
                    let stream = tls.connect(name.clone(), stream).await?;
                    self.start(stream).await
                }
            }
        });
        connected
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    /// Starts HTTP on a connection.
    async fn start<S>(&self, stream: S) -> io::Result<SendRequest<OutgoingBody>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // Most requests are a head alone, for which a list of buffers is a detour.
        let (sender, connection) = http1::Builder::new()
            .writev(false)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let task = tokio::task::spawn_local(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "upstream connection failed");
            }
        });
        self.breaker.add(task.abort_handle());
        Ok(sender)
    }

    fn connection(self: &Rc<Self>, sender: SendRequest<OutgoingBody>) -> Connection {
        self.in_flight.set(self.in_flight.get() + 1);
        Connection {
            instance: Rc::clone(self),
            sender: Some(sender),
        }
    }

    /// True if it responds to a request for its liveness, over a connection of its own, within the time limit.
    pub(super) async fn is_responsive(&self) -> bool {
        let timeout = Duration::from_millis(self.config.own.upstream_probe_timeout_ms);
        let probe = tokio::time::timeout(timeout, async {
            let mut sender = self.open().await?;
            let mut request = Request::new(OutgoingBody(None));
            *request.uri_mut() = Uri::from_static("/health/live");
            let headers = request.headers_mut();
            headers.insert(HOST, self.host_header.clone());
            sender.send_request(request).await.map_err(io::Error::other)
        });
        matches!(probe.await, Ok(Ok(_)))
    }

    /// Adds the `latency` of a response that began at `now` to the average.
    fn record_latency(&self, latency: Duration, now: Instant) {
        let micros = (latency.as_secs_f64() * 1e6).min(LATENCY_RANGE.1);
        let before = self.latency(now);
        self.latency
            .set(before + LATENCY_WEIGHT * (micros - before));
        self.responded_at.set(now);
    }
}

/// A connection in use, counted as in flight. [`Connection::release`] returns it to the pool; dropping closes it.
pub(super) struct Connection {
    instance: Rc<Instance>,
    sender: Option<SendRequest<OutgoingBody>>,
}

impl Connection {
    /// Sends `request` at the time `started` and returns the head of the response.
    pub(super) async fn send(
        &mut self,
        request: Request<OutgoingBody>,
        started: Instant,
    ) -> Result<Response<Incoming>, SendFailure> {
        let Some(sender) = self.sender.as_mut() else {
            unreachable!("a connection has its sender until it is released")
        };
        // The time of an upload, or of a sync that a POST starts, says nothing about the instance.
        let is_measured = request.method().is_safe();
        let awaiting = self.instance.breaker.await_response(started);
        if !sender.is_ready() {
            sender.ready().await.map_err(|error| SendFailure {
                error,
                unsent: true,
            })?;
        }
        match sender.try_send_request(request).await {
            Ok(response) => {
                let now = Instant::now();
                // A refusal is quick, and must not make the instance look the less loaded one.
                if is_measured && response.status() != StatusCode::SERVICE_UNAVAILABLE {
                    self.instance.record_latency(now - started, now);
                }
                awaiting.responded(now);
                Ok(response)
            }
            Err(mut failed) => Err(SendFailure {
                unsent: failed.take_message().is_some(),
                error: failed.into_error(),
            }),
        }
    }

    /// Returns the connection to the pool.
    pub(super) fn release(mut self) {
        let Some(sender) = self.sender.take() else {
            return;
        };
        let mut idle = self.instance.idle.borrow_mut();
        if !sender.is_closed() && idle.len() < self.instance.config.own.upstream_idle_connections {
            idle.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let in_flight = &self.instance.in_flight;
        in_flight.set(in_flight.get().saturating_sub(1));
    }
}
