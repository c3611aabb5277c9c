//! Headers of requests and responses that pass the gateway: hop-by-hop headers (RFC 9110, 7.6.1) and the
//! client's claims of an identity are removed, the gateway's own are set.

use chassis::{
    server::INTERNAL_TOKEN,
    trace::{REQUEST_ID, TRACEPARENT},
};
use hyper::{
    HeaderMap,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderName,
        HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
        UPGRADE,
    },
};

use crate::{
    message::{Headers, Value, has_element, write_line},
    middleware::client_ip::X_FORWARDED_FOR,
};

/// The authenticated caller, as JSON.
const X_PRINCIPAL: HeaderName = HeaderName::from_static("x-principal");
/// The address of the client.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// The protocol of the client's request.
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The host that the client requested.
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The request id.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID);

const X_INTERNAL_TOKEN: HeaderName = HeaderName::from_static(INTERNAL_TOKEN);
const X_TRACEPARENT: HeaderName = HeaderName::from_static(TRACEPARENT);

/// The headers that the gateway adds to the client's.
pub(crate) struct ForwardedHeaders<'a> {
    pub(crate) request_id: &'a HeaderValue,
    pub(crate) traceparent: &'a HeaderValue,
    /// `X-Principal`; `None` if the request is not authenticated.
    pub(crate) principal: Option<&'a HeaderValue>,
    pub(crate) forwarded_for: HeaderValue,
    /// `X-Real-IP`: the client's address, for services that count attempts by it.
    pub(crate) real_ip: Option<HeaderValue>,
    pub(crate) protocol: HeaderValue,
    pub(crate) host: Option<&'a HeaderValue>,
}

/// Writes the headers of a request.
pub(super) struct HeaderWriter<'a>(&'a mut Vec<u8>);

impl<'a> HeaderWriter<'a> {
    /// Writes to the end of `head`.
    pub(super) fn new(head: &'a mut Vec<u8>) -> Self {
        Self(head)
    }

    /// Writes a header whose `value` has no line end.
    pub(super) fn write(&mut self, name: &HeaderName, value: &[u8]) {
        write_line(self.0, name.as_str(), value);
    }

    /// Adds a header.
    pub(super) fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.write(name, value.as_bytes());
    }
}

/// Writes the headers of the request to a service, except those that frame its body.
pub(super) fn write_request_headers(
    headers: &mut HeaderWriter<'_>,
    client: &HeaderMap,
    ours: &ForwardedHeaders<'_>,
    host: &HeaderValue,
    internal_token: Option<&HeaderValue>,
) {
    let has_named = connection_names_headers(client);
    headers.add(&HOST, host);
    for (name, value) in client {
        let is_removed = is_removed(name) || (has_named && is_named_by_connection(client, name));
        if !is_removed {
            headers.add(name, value);
        }
    }
    let own = [
        (X_REQUEST_ID, Some(ours.request_id)),
        (X_TRACEPARENT, Some(ours.traceparent)),
        (X_FORWARDED_FOR, Some(&ours.forwarded_for)),
        (X_FORWARDED_PROTO, Some(&ours.protocol)),
        (X_REAL_IP, ours.real_ip.as_ref()),
        (X_FORWARDED_HOST, ours.host),
        (X_PRINCIPAL, ours.principal),
        (X_INTERNAL_TOKEN, internal_token),
    ];
    for (name, value) in &own {
        if let Some(value) = value {
            headers.add(name, value);
        }
    }
}

/// True if a header of the client's is not forwarded: it is hop-by-hop, claims an identity, or is set by the gateway itself, as
/// the length of the body is.
fn is_removed(name: &HeaderName) -> bool {
    match *name {
        AUTHORIZATION | CONNECTION | CONTENT_LENGTH | EXPECT | FORWARDED | HOST
        | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TE | TRAILER | TRANSFER_ENCODING | UPGRADE => {
            true
        }
        _ => match name.as_str().as_bytes() {
            [b'x', b'-', rest @ ..] => {
                rest.starts_with(b"forwarded-")
                    || matches!(
                        rest,
                        b"principal" | b"internal-token" | b"real-ip" | b"request-id"
                    )
            }
            b"keep-alive" | b"proxy-connection" | b"traceparent" => true,
            _ => false,
        },
    }
}

/// True if a `Connection` header lists anything but `keep-alive` or `close`.
fn connection_names_headers(headers: &HeaderMap) -> bool {
    let mut lines = headers.get_all(CONNECTION).iter();
    let plain = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    lines.any(|value| !plain(value))
}

/// True if a `Connection` header lists `name`. `Content-Length` cannot be removed that way.
fn is_named_by_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    *name != CONTENT_LENGTH && list_contains(headers, &CONNECTION, name.as_str())
}

/// True if a header `name`, a list, has the element `word`, in any case.
pub(crate) fn list_contains(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let lines = headers.get_all(name).iter();
    has_element(lines.map(HeaderValue::as_bytes), word)
}

/// Removes the hop-by-hop headers of an upstream's response, and those that its `Connection` lists. `Content-Length` cannot be
/// removed that way.
pub(super) fn remove_hop_by_hop_headers(headers: &mut Headers) {
    let lines = headers.get_all(&CONNECTION).map(Value::as_bytes);
    let elements = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let named: Vec<Vec<u8>> = elements
        .map(|element| element.trim_ascii().to_ascii_lowercase())
        .filter(|name| name != CONTENT_LENGTH.as_str().as_bytes())
        .collect();
    headers.retain(|name| !is_hop_by_hop(name) && !named.iter().any(|known| known == name));
}

/// True if the header `name`, in any case, is for one connection alone, or between gateway and services.
pub(super) fn is_hop_by_hop(name: &[u8]) -> bool {
    let is_any = |names: &[&str]| {
        let mut names = names.iter();
        names.any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
    };
    match name.len() {
        2 => is_any(&["te"]),
        7 => is_any(&["trailer", "upgrade"]),
        10 => is_any(&["connection", "keep-alive"]),
        11 => is_any(&["x-principal"]),
        16 => is_any(&["proxy-connection", "x-internal-token"]),
        17 => is_any(&["transfer-encoding"]),
        18 => is_any(&["proxy-authenticate"]),
        19 => is_any(&["proxy-authorization"]),
        _ => false,
    }
}
