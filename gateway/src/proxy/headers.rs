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

use crate::middleware::client_ip::X_FORWARDED_FOR;

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
/// The most headers that [`ForwardedHeaders`], `Host` and the internal token add.
const MAX_ADDED: usize = 10;

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

/// The headers of the request to an upstream, created anew for each attempt.
pub(super) fn upstream_headers(
    client: &HeaderMap,
    ours: &ForwardedHeaders<'_>,
    host: &HeaderValue,
    internal_token: Option<&HeaderValue>,
) -> HeaderMap {
    let has_named = connection_names_headers(client);
    let mut headers = HeaderMap::with_capacity(client.len() + MAX_ADDED);
    headers.insert(HOST, host.clone());
    for (name, value) in client {
        let is_removed = is_removed(name) || (has_named && is_named_by_connection(client, name));
        if !is_removed {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(X_REQUEST_ID, ours.request_id.clone());
    headers.insert(X_TRACEPARENT, ours.traceparent.clone());
    headers.insert(X_FORWARDED_FOR, ours.forwarded_for.clone());
    headers.insert(X_FORWARDED_PROTO, ours.protocol.clone());
    if let Some(address) = &ours.real_ip {
        headers.insert(X_REAL_IP, address.clone());
    }
    if let Some(host) = ours.host {
        headers.insert(X_FORWARDED_HOST, host.clone());
    }
    if let Some(principal) = ours.principal {
        headers.insert(X_PRINCIPAL, principal.clone());
    }
    if let Some(token) = internal_token {
        headers.insert(X_INTERNAL_TOKEN, token.clone());
    }
    headers
}

/// True if a header of the client's is not forwarded: it is hop-by-hop, claims an identity, or is set by the
/// gateway itself.
fn is_removed(name: &HeaderName) -> bool {
    match *name {
        AUTHORIZATION | CONNECTION | EXPECT | FORWARDED | HOST | PROXY_AUTHENTICATE
        | PROXY_AUTHORIZATION | TE | TRAILER | TRANSFER_ENCODING | UPGRADE => true,
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

/// True if a header `name`, a list separated by commas (RFC 9110, 5.6.1), has the element `word`, in any case.
pub(crate) fn list_contains(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers.get_all(name).iter().any(|line| {
        let mut elements = line.as_bytes().split(|byte| *byte == b',');
        elements.any(|element| element.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// Removes the hop-by-hop headers of an upstream's response.
pub(crate) fn remove_hop_by_hop_headers(headers: &mut HeaderMap) {
    if connection_names_headers(headers) {
        let named: Vec<HeaderName> = headers
            .keys()
            .filter(|name| is_named_by_connection(headers, name))
            .cloned()
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    while let Some(name) = headers.keys().find(|name| is_hop_by_hop(name)).cloned() {
        headers.remove(name);
    }
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    match *name {
        CONNECTION | PROXY_AUTHENTICATE | PROXY_AUTHORIZATION | TE | TRAILER
        | TRANSFER_ENCODING | UPGRADE => true,
        _ => matches!(
            name.as_str(),
            "keep-alive" | "proxy-connection" | "x-internal-token" | "x-principal"
        ),
    }
}
