//! Headers on their way through: those about one connection end here, identity from outside is
//! stripped, our own is set.

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

use crate::client_ip::X_FORWARDED_FOR;

/// Who the caller is, for services.
pub(super) const X_PRINCIPAL: HeaderName = HeaderName::from_static("x-principal");
/// Where the client asks from.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// By which protocol the client came.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Which host the client asked for.
pub const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The request id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static(REQUEST_ID);

const X_INTERNAL_TOKEN: HeaderName = HeaderName::from_static(INTERNAL_TOKEN);
const TRACE: HeaderName = HeaderName::from_static(TRACEPARENT);
/// Room for what [`Forwarded`] adds.
const OURS: usize = 10;

/// What a service is told about a request beyond what the client wrote.
pub struct Forwarded<'a> {
    /// `X-Request-Id`.
    pub request_id: HeaderValue,
    /// `traceparent`.
    pub traceparent: HeaderValue,
    /// `X-Principal`; none where nobody had to say who they are.
    pub principal: Option<&'a HeaderValue>,
    /// `X-Forwarded-For`.
    pub client: HeaderValue,
    /// `X-Real-IP`: whom the gateway takes for the client, where the service counts what they do.
    pub address: Option<HeaderValue>,
    /// `X-Forwarded-Proto`.
    pub protocol: HeaderValue,
    /// `X-Forwarded-Host`.
    pub host: Option<&'a HeaderValue>,
}

/// The headers of the request to an upstream. Made anew for each try, so that the client's stay as
/// they are.
pub(super) fn to_upstream(
    client: &HeaderMap,
    ours: &Forwarded<'_>,
    host: &HeaderValue,
    internal_token: Option<&HeaderValue>,
) -> HeaderMap {
    let named = named_by_connection(client);
    let mut headers = HeaderMap::with_capacity(client.len() + OURS);
    headers.insert(HOST, host.clone());
    for (name, value) in client {
        if !ends_here(name) && !named.is_some_and(|named| names(named, name)) {
            headers.append(name.clone(), value.clone());
        }
    }
    headers.insert(X_REQUEST_ID, ours.request_id.clone());
    headers.insert(TRACE, ours.traceparent.clone());
    headers.insert(X_FORWARDED_FOR, ours.client.clone());
    headers.insert(X_FORWARDED_PROTO, ours.protocol.clone());
    if let Some(address) = &ours.address {
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

/// Whether a header of the client's is not for the service: it is about the connection (RFC 9110,
/// 7.6.1), it claims an identity, or the gateway sets it itself.
fn ends_here(name: &HeaderName) -> bool {
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

/// The `Connection` headers of a message, where they name anything besides the connection's own fate.
fn named_by_connection(headers: &HeaderMap) -> Option<&HeaderMap> {
    let mut lines = headers.get_all(CONNECTION).iter();
    let plain = |value: &HeaderValue| {
        let value = value.as_bytes();
        value.eq_ignore_ascii_case(b"keep-alive") || value.eq_ignore_ascii_case(b"close")
    };
    lines.any(|value| !plain(value)).then_some(headers)
}

/// Whether the `Connection` headers among `headers` name `name`. The length of a body is not theirs
/// to take away.
fn names(headers: &HeaderMap, name: &HeaderName) -> bool {
    *name != CONTENT_LENGTH
        && headers.get_all(CONNECTION).iter().any(|line| {
            line.as_bytes().split(|byte| *byte == b',').any(|word| {
                word.trim_ascii()
                    .eq_ignore_ascii_case(name.as_str().as_bytes())
            })
        })
}

/// Takes away what an upstream's answer says about its own connection.
pub fn clean_answer(headers: &mut HeaderMap) {
    if named_by_connection(headers).is_some() {
        let named: Vec<HeaderName> = headers
            .keys()
            .filter(|name| names(headers, name))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn a_service_sees_what_the_client_wrote_less_what_ends_here() {
        let client = headers(&[
            ("host", "outside"),
            ("accept", "a"),
            ("accept", "b"),
            ("connection", "Keep-Alive, X-Mine, content-length"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("content-length", "3"),
            ("authorization", "Bearer x"),
            ("x-principal", "{}"),
            ("x-internal-token", "guess"),
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-anything", "1"),
            ("x-real-ip", "1.1.1.1"),
            ("forwarded", "for=1.1.1.1"),
            ("te", "trailers"),
            ("expect", "100-continue"),
            ("x-other", "kept"),
        ]);
        let told = HeaderValue::from_static("{told}");
        let ours = Forwarded {
            request_id: HeaderValue::from_static("id"),
            traceparent: HeaderValue::from_static("trace"),
            principal: Some(&told),
            client: HeaderValue::from_static("9.9.9.9"),
            address: None,
            protocol: HeaderValue::from_static("http"),
            host: client.get(HOST),
        };
        let secret = HeaderValue::from_static("secret");
        let host = HeaderValue::from_static("inside:1");
        let mut seen: Vec<(String, String)> = to_upstream(&client, &ours, &host, Some(&secret))
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().expect("ASCII").to_owned()))
            .collect();
        seen.sort();
        let expected = [
            ("accept", "a"),
            ("accept", "b"),
            ("content-length", "3"),
            ("host", "inside:1"),
            ("traceparent", "trace"),
            ("x-forwarded-for", "9.9.9.9"),
            ("x-forwarded-host", "outside"),
            ("x-forwarded-proto", "http"),
            ("x-internal-token", "secret"),
            ("x-other", "kept"),
            ("x-principal", "{told}"),
            ("x-request-id", "id"),
        ];
        let expected: Vec<(String, String)> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn an_answer_keeps_everything_but_what_is_about_its_connection() {
        let mut answer = headers(&[
            ("set-cookie", "a"),
            ("set-cookie", "b"),
            ("connection", "close, x-hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("etag", "\"1\""),
        ]);
        clean_answer(&mut answer);
        assert_eq!(answer.len(), 3);
        assert_eq!(answer.get_all("set-cookie").iter().count(), 2);
    }
}
