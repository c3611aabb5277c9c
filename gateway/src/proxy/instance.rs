//! One instance of a service as one thread sees it: its pool of idle connections, its load and its health.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::poll_fn,
    io,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    header::{HOST, HeaderValue},
    http::uri::PathAndQuery,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::either::Either;
use url::Url;

use super::{
    breaker::Breaker,
    errors::Http1Error,
    http1::{Decoded, Http1, RequestHead, Stream},
    request_body::RequestBody,
};
use crate::{config::GatewayConfig, message::Response, socket::Socket};

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
    http: Box<Http1>,
    openings: u64,
    since: Instant,
}

/// The failure to get a response over a connection.
pub(super) struct SendFailure {
    pub(super) error: Http1Error,
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
        while let Some(mut connection) = idle.pop() {
            let unused = now.saturating_duration_since(connection.since);
            if unused >= self.idle_timeout() {
                idle.clear();
                return None;
            }
            if !connection.is_usable(&self.breaker) {
                continue;
            }
            if unused >= max_idle {
                idle.push(connection);
                return None;
            }
            return Some(self.connection(connection.http));
        }
        None
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn close_unused(&self) {
        let timeout = self.idle_timeout();
        self.idle.borrow_mut().retain_mut(|connection| {
            connection.since.elapsed() < timeout && connection.is_usable(&self.breaker)
        });
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
        connected.map(|http| self.connection(http))
    }

    async fn open(&self) -> io::Result<Box<Http1>> {
        let timeout = Duration::from_millis(self.config.own.upstream_connect_timeout_ms);
        let connected = tokio::time::timeout(timeout, async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            let stream = Socket::new(stream);
            let stream = match &self.tls {
                None => Either::Left(stream),
                Some((tls, name)) => {
                    Either::Right(Box::new(tls.connect(name.clone(), stream).await?))
                }
            };
            Ok(Box::new(Http1::new(stream)))
        });
        connected
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    fn connection(self: &Rc<Self>, http: Box<Http1>) -> Connection {
        self.in_flight.set(self.in_flight.get() + 1);
        Connection {
            http: Some(http),
            openings: self.breaker.openings(),
            waiting: None,
            instance: Rc::clone(self),
        }
    }

    /// True if it responds to a request for its liveness, over a connection of its own, within the time limit.
    pub(super) async fn is_responsive(&self) -> bool {
        let timeout = Duration::from_millis(self.config.own.upstream_probe_timeout_ms);
        let probe = tokio::time::timeout(timeout, async {
            let mut http = self.open().await?;
            let target = PathAndQuery::from_static("/health/live");
            let head = RequestHead::new(&Method::GET, &target, None, |headers| {
                headers.add(&HOST, &self.host_header);
            });
            http.begin(head, None);
            poll_fn(|cx| http.poll_response(cx)).await
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

impl Idle {
    /// True if a request can be sent over it.
    fn is_usable(&mut self, breaker: &Breaker) -> bool {
        self.openings == breaker.openings() && !self.http.is_closed()
    }
}

/// A connection in use, counted as in flight. [`Connection::release`] returns it to the pool; dropping closes it.
pub(super) struct Connection {
    /// `None` after another protocol has taken over.
    http: Option<Box<Http1>>,
    /// The number of times that the breaker had opened when the connection was taken into use.
    openings: u64,
    /// The place among the tasks that wait for the instance.
    waiting: Option<usize>,
    instance: Rc<Instance>,
}

impl Connection {
    /// Sends the request `method` with `head` and `body` at the time `started` and returns the head of the response and its time.
    pub(super) async fn send(
        &mut self,
        method: &Method,
        head: RequestHead,
        body: Option<Rc<RequestBody>>,
        started: Instant,
    ) -> Result<(Response<()>, Instant), SendFailure> {
        // The time of an upload, or of a sync that a POST starts, says nothing about the instance.
        let is_measured = method.is_safe();
        let instance = Rc::clone(&self.instance);
        let awaiting = instance.breaker.await_response(started);
        if let Some(http) = &mut self.http {
            http.begin(head, body);
        }
        let response = poll_fn(|cx| self.poll(cx, Http1::poll_response)).await;
        match response {
            Ok(response) => {
                let now = Instant::now();
                // A refusal is quick, and must not make the instance look the less loaded one.
                if is_measured && response.status != StatusCode::SERVICE_UNAVAILABLE {
                    instance.record_latency(now - started, now);
                }
                awaiting.responded(now);
                Ok((response, now))
            }
            Err(error) => Err(SendFailure {
                error,
                unsent: self.http.as_ref().is_some_and(|http| !http.is_written()),
            }),
        }
    }

    /// The part of the response's body that was received with its head, if there is one.
    ///
    /// # Errors
    /// Returns an error if its framing is invalid.
    pub(super) fn received(&mut self) -> Result<Option<Bytes>, Http1Error> {
        let decoded = self.http.as_mut().map(|http| http.decode());
        match decoded.transpose()? {
            Some(Decoded::Data(data)) => Ok(Some(data)),
            Some(Decoded::Incomplete | Decoded::End) | None => Ok(None),
        }
    }

    /// The next bytes of the response's body; `None` at its end.
    pub(super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Http1Error>>> {
        let data = self.poll(cx, |http, cx| http.poll_data(cx).map(Option::transpose));
        data.map(Result::transpose)
    }

    /// The bytes of the response's body that are not received yet, if their number is known.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.http.as_ref().map_or(Some(0), |http| http.remaining())
    }

    /// Polls the connection; fails if the breaker opens meanwhile.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Http1, &mut Context<'_>) -> Poll<Result<T, Http1Error>>,
    ) -> Poll<Result<T, Http1Error>> {
        let breaker = &self.instance.breaker;
        let Some(http) = &mut self.http else {
            return Poll::Ready(Err(Http1Error::Ended));
        };
        let polled = poll(http, cx);
        if polled.is_ready() {
            breaker.waiting.leave(&mut self.waiting);
            return polled;
        }
        if self.openings != breaker.openings() {
            return Poll::Ready(Err(Http1Error::Unresponsive));
        }
        breaker.waiting.wait(&mut self.waiting, cx);
        Poll::Pending
    }

    /// Returns the connection to the pool at the time `now`.
    pub(super) fn release(mut self, now: Instant) {
        let Some(http) = self.http.take_if(|http| http.is_reusable()) else {
            return;
        };
        let mut idle = self.instance.idle.borrow_mut();
        if idle.len() < self.instance.config.own.upstream_idle_connections {
            idle.push(Idle {
                http,
                openings: self.openings,
                since: now,
            });
        }
    }

    /// The stream, which another protocol takes over, and what was read of that. The connection stays one in flight until it is
    /// dropped.
    pub(super) fn take_stream(&mut self) -> Option<(Stream, Bytes)> {
        self.http.take().map(|http| http.into_stream())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.instance.breaker.waiting.leave(&mut self.waiting);
        let in_flight = &self.instance.in_flight;
        in_flight.set(in_flight.get().saturating_sub(1));
    }
}
