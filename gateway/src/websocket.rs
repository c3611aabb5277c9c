//! WebSockets (RFC 6455) of clients: their bounds, their metrics and log lines, and what the gateway knows of one while
//! it lasts. [`crate::pipeline`] admits handshakes, [`crate::server`] copies the bytes, which the gateway does not read.

use std::{
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use chassis::{Problem, trace::TraceContext};
use hyper::{
    HeaderMap, StatusCode,
    header::{HOST, ORIGIN},
    http::request::Parts,
};

use crate::{
    admission::{Admission, CLIENT_CONNECTIONS_CLOSED_TOTAL, ConnectionHandle, Permit, Refusal},
    config::Config,
    middleware::{client_ip::ClientKey, cors::Cors},
    proxy::upgrade::{ServiceSide, is_handshake},
};

/// Open WebSockets (gauge).
const OPEN: &str = "websockets";
/// WebSockets that have ended, by service and reason (counter).
const ENDED_TOTAL: &str = "websockets_ended_total";
/// Bytes of WebSockets, by direction (counter).
const BYTES_TOTAL: &str = "websocket_bytes_total";
/// The duration of WebSockets (histogram, seconds).
const DURATION_SECONDS: &str = "websocket_duration_seconds";

/// Sets the help texts of this module's metrics.
pub(crate) fn describe_metrics() {
    metrics::describe_gauge!(OPEN, "Open WebSockets of clients");
    metrics::describe_counter!(
        ENDED_TOTAL,
        "WebSockets that have ended, by service and reason: client, service (it closed the connection first), idle \
         (WEBSOCKET_IDLE_SECONDS), stalled (one side accepted nothing), shutdown, early_data (the client sent bytes \
         before the handshake was complete), evicted (its client held the most)"
    );
    metrics::describe_counter!(
        BYTES_TOTAL,
        "Bytes of WebSockets by direction: to_service, to_client"
    );
    metrics::describe_histogram!(
        DURATION_SECONDS,
        metrics::Unit::Seconds,
        "Time from the acceptance of a WebSocket to its end"
    );
}

/// The WebSockets of one thread.
pub(crate) struct WebSockets {
    /// `None`: handshakes are not forwarded.
    places: Option<Rc<Admission>>,
    /// True if each one is logged.
    is_logged: bool,
}

/// The reason why a WebSocket ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Service,
    Idle,
    Stalled,
    Shutdown,
    EarlyData,
    Evicted,
}

impl End {
    /// The label of the reason in metrics and logs.
    fn reason(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Service => "service",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Shutdown => "shutdown",
            Self::EarlyData => "early_data",
            Self::Evicted => "evicted",
        }
    }
}

/// An accepted WebSocket, from the response to the handshake to its end.
pub(crate) struct Tunnel {
    /// Taken by the copying.
    pub(crate) service_side: Option<ServiceSide>,
    pub(crate) record: Record,
    _place: Permit,
}

/// The record of a WebSocket, written when it is dropped, which is when the WebSocket ends.
pub(crate) struct Record {
    pub(crate) end: End,
    pub(crate) bytes_to_service: u64,
    pub(crate) bytes_to_client: u64,
    service: &'static str,
    route: &'static str,
    client: IpAddr,
    trace: TraceContext,
    accepted: Instant,
    is_logged: bool,
}

/// The request of a WebSocket, as it is logged.
pub(crate) struct Handshake<'a> {
    pub(crate) service: &'static str,
    pub(crate) route: &'static str,
    pub(crate) client: IpAddr,
    pub(crate) trace: &'a TraceContext,
}

impl WebSockets {
    /// No WebSockets in a thread that may have `max` of them, each client `max_per_client`; none if `max` is 0.
    pub(crate) fn new(max: usize, max_per_client: usize, config: &Config) -> Self {
        let places = || Admission::new(max, max_per_client, CLIENT_CONNECTIONS_CLOSED_TOTAL);
        Self {
            places: (max > 0).then(places),
            is_logged: config.access_log == crate::config::AccessLogMode::All,
        }
    }

    /// True if the request with `head` is a handshake that is forwarded.
    pub(crate) fn is_handshake(&self, head: &Parts) -> bool {
        self.places.is_some() && is_handshake(head)
    }

    /// Takes a place for a WebSocket of `client` on `connection`; `None` if there are to be none. If all places are taken,
    /// the client with the most loses its oldest one.
    ///
    /// # Errors
    /// Returns a [`Refusal`] if the client has too many or all places are taken by others that have no more.
    pub(crate) fn admit(
        &self,
        client: ClientKey,
        connection: &Rc<ConnectionHandle>,
    ) -> Result<Option<Permit>, Refusal> {
        let places = self.places.as_ref();
        let admitted = places.map(|places| places.admit(Some(client), connection));
        admitted.transpose()
    }

    /// Opens the WebSocket that `service_side` has accepted.
    pub(crate) fn open(
        &self,
        place: Permit,
        service_side: ServiceSide,
        handshake: &Handshake<'_>,
    ) -> Box<Tunnel> {
        metrics::gauge!(OPEN).increment(1.0);
        Box::new(Tunnel {
            service_side: Some(service_side),
            record: Record {
                end: End::Evicted,
                bytes_to_service: 0,
                bytes_to_client: 0,
                service: handshake.service,
                route: handshake.route,
                client: handshake.client,
                trace: handshake.trace.clone(),
                accepted: Instant::now(),
                is_logged: self.is_logged,
            },
            _place: place,
        })
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        metrics::gauge!(OPEN).decrement(1.0);
        let reason = self.end.reason();
        metrics::counter!(ENDED_TOTAL, "service" => self.service, "reason" => reason).increment(1);
        metrics::counter!(BYTES_TOTAL, "direction" => "to_service")
            .increment(self.bytes_to_service);
        metrics::counter!(BYTES_TOTAL, "direction" => "to_client").increment(self.bytes_to_client);
        let duration: Duration = self.accepted.elapsed();
        metrics::histogram!(DURATION_SECONDS).record(duration.as_secs_f64());
        if self.is_logged {
            tracing::info!(
                request_id = self.trace.request_id,
                trace_id = self.trace.trace_id(),
                route = self.route,
                service = self.service,
                client = %self.client,
                reason,
                bytes_to_service = self.bytes_to_service,
                bytes_to_client = self.bytes_to_client,
                duration_ms = duration.as_secs_f64() * 1000.0,
                "websocket ended"
            );
        }
    }
}

/// Checks the origin of a handshake with `headers`: browsers send it, and do not apply CORS to WebSockets. A page of
/// the gateway's own host is always allowed.
///
/// # Errors
/// 403 if the origin is one whose pages may not call the API.
pub(crate) fn check_origin(cors: &Cors, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let authority = origin.to_str().ok().and_then(|text| text.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let is_own = authority
        .zip(host)
        .is_some_and(|((_, authority), host)| authority.eq_ignore_ascii_case(host));
    if is_own || cors.allowed_origin(headers).is_some() {
        return Ok(());
    }
    let error = "the origin may not open WebSockets";
    Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", error)
        .detail("pages of this origin may not call the API (CORS_ORIGINS)"))
}
