//! Handshakes of WebSockets (RFC 6455) on their way to a service: recognized in the client's request, announced in the
//! gateway's own, and checked in the response. Used by [`super::forward`] and [`crate::websocket`].
//!
//! No other protocol is switched to. In particular not to HTTP/2 in cleartext, whose requests would pass unseen.

use std::cell::Cell;

use bytes::Bytes;
use hyper::{
    HeaderMap, Method, StatusCode, Version,
    header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_KEY, UPGRADE},
    http::request::Parts,
    upgrade::OnUpgrade,
};

use super::{
    headers::{HeaderWriter, list_contains, remove_hop_by_hop_headers},
    http1::Stream,
    instance::Connection,
    response_body::ResponseBody,
};
use crate::message::{Headers, Response, Value};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const CONNECTION_UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");

/// The connection to a service that has switched to a WebSocket.
pub(crate) struct ServiceSide {
    pub(crate) stream: Stream,
    /// The bytes of the WebSocket that came with the response.
    pub(crate) early: Bytes,
    /// Counts as a request in flight of its instance.
    _connection: Connection,
}

/// The place for the service's side of a WebSocket, if the service accepts the handshake.
#[derive(Default)]
pub(crate) struct UpgradeSlot(Cell<Option<ServiceSide>>);

impl UpgradeSlot {
    /// The service's side, if the service has accepted.
    pub(crate) fn take(&self) -> Option<ServiceSide> {
        self.0.take()
    }

    /// Keeps the connection of `response`, which accepts the handshake; returns the response's head.
    pub(super) fn accept(
        &self,
        mut response: Response<()>,
        mut connection: Connection,
    ) -> Response<ResponseBody> {
        remove_hop_by_hop_headers(&mut response.headers);
        let side = connection.take_stream();
        self.0.set(side.map(|(stream, early)| ServiceSide {
            stream,
            early,
            _connection: connection,
        }));
        response.map(|()| ResponseBody::default())
    }
}

/// True if the request with `head` asks for a WebSocket (RFC 6455, 4.1). Other requests with `Upgrade` are ordinary
/// ones: a server may ignore it (RFC 9110, 7.8). The service judges the version and the key.
pub(crate) fn is_handshake(head: &Parts) -> bool {
    let headers = &head.headers;
    // hyper adds it to requests of HTTP/1.1 with `Upgrade`: no ordinary request is searched for headers.
    head.extensions.get::<OnUpgrade>().is_some()
        && head.version == Version::HTTP_11
        && head.method == Method::GET
        && is_switch(headers)
        && headers.get_all(SEC_WEBSOCKET_KEY).iter().count() == 1
}

/// True if `response`, whose status is 101, accepts a handshake.
pub(super) fn is_accepted(response: &Response<()>) -> bool {
    debug_assert_eq!(response.status, StatusCode::SWITCHING_PROTOCOLS);
    let headers = &response.headers;
    let protocols = headers.get_all(&UPGRADE).map(Value::as_bytes);
    is_websocket(protocols) && headers.list_contains(&CONNECTION, UPGRADE.as_str())
}

/// True if `headers` switch to a WebSocket and to nothing else.
fn is_switch(headers: &HeaderMap) -> bool {
    let protocols = headers.get_all(UPGRADE).iter();
    is_websocket(protocols.map(HeaderValue::as_bytes))
        && list_contains(headers, &CONNECTION, UPGRADE.as_str())
}

/// True if `protocols`, the lines of `Upgrade`, name WebSockets alone.
fn is_websocket<'a>(mut protocols: impl Iterator<Item = &'a [u8]>) -> bool {
    let first = protocols.next();
    first.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && protocols.next().is_none()
}

/// Writes the switch to a WebSocket to the headers of a request.
pub(super) fn write_switch(headers: &mut HeaderWriter<'_>) {
    headers.add(&CONNECTION, &CONNECTION_UPGRADE);
    headers.add(&UPGRADE, &WEBSOCKET);
}

/// Adds the switch to a WebSocket to `headers`.
pub(crate) fn add_switch(headers: &mut Headers) {
    headers.insert(CONNECTION, CONNECTION_UPGRADE);
    headers.insert(UPGRADE, WEBSOCKET);
}
