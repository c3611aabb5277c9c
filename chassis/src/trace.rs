//! The identity of a request: its request id and W3C trace context, taken over from the caller if
//! valid, else created here, and passed on with every call that the request causes.

use std::ops::Range;

use chrono::{DateTime, Utc};
use hyper::{HeaderMap, header::HeaderName};
use uuid::{Builder, Uuid};

use crate::clock::system_now;

/// The header that carries the request id.
pub const REQUEST_ID: &str = "x-request-id";
/// The header of the W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The same as names: looking a text up would parse it.
const REQUEST_ID_NAME: HeaderName = HeaderName::from_static(REQUEST_ID);
const TRACEPARENT_NAME: HeaderName = HeaderName::from_static(TRACEPARENT);

/// The identity of the request that is being served.
#[derive(Debug, Clone)]
pub struct TraceContext {
    /// The id of the request in its response and in every log line.
    pub request_id: String,
    /// Version, trace id, span id and flags, with hyphens between: [`TraceContext::traceparent`].
    traceparent: String,
}

/// The places of the ids in a `traceparent` of version 00.
const TRACE_ID: Range<usize> = 3..35;
const SPAN_ID: Range<usize> = 36..52;

tokio::task_local! {
    static CURRENT: TraceContext;
}

impl TraceContext {
    /// Reads the caller's headers.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::at(headers, system_now())
    }

    /// Reads the headers of a caller at the time `now`, which a new request id contains.
    pub fn at(headers: &HeaderMap, now: DateTime<Utc>) -> Self {
        let request_id = headers
            .get(REQUEST_ID_NAME)
            .and_then(|value| value.to_str().ok())
            .filter(|text| is_sane(text))
            .map_or_else(|| new_request_id(now), str::to_owned);
        let caller = headers.get(TRACEPARENT_NAME);
        let caller = caller.and_then(|value| value.to_str().ok());
        let traceparent = match caller.and_then(parse_traceparent) {
            Some((trace_id, flags)) => traceparent(trace_id, flags),
            None => {
                let trace_id = hexadecimal(rand::random());
                traceparent(str::from_utf8(&trace_id).unwrap_or_default(), "01")
            }
        };
        Self {
            request_id,
            traceparent,
        }
    }

    /// 32 hexadecimal digits, the same in every service that the request touches.
    pub fn trace_id(&self) -> &str {
        &self.traceparent[TRACE_ID]
    }

    /// 16 hexadecimal digits, this service's own part.
    pub fn span_id(&self) -> &str {
        &self.traceparent[SPAN_ID]
    }

    /// The `traceparent` for calls that this request causes.
    pub fn traceparent(&self) -> &str {
        &self.traceparent
    }

    /// The request that the current task serves, if any.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `future` as a part of this request.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

/// A UUID of version 7. Its random bits come from the thread's generator, since a system call for each request would
/// cost measurable time.
fn new_request_id(now: DateTime<Utc>) -> String {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    let id = Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
    id.hyphenated()
        .encode_lower(&mut Uuid::encode_buffer())
        .to_owned()
}

/// A `traceparent` of version 00 with a new span id.
fn traceparent(trace_id: &str, flags: &str) -> String {
    let span_id = hexadecimal(u128::from(rand::random::<u64>()) << 64);
    let span_id = str::from_utf8(&span_id[..SPAN_ID.len()]).unwrap_or_default();
    ["00-", trace_id, "-", span_id, "-", flags].concat()
}

/// 32 hexadecimal digits, whose first 16 are never all zeroes, which trace contexts exclude.
fn hexadecimal(random: u128) -> [u8; 32] {
    let mut digits = [0; 32];
    Uuid::from_u128(random | 1 << 127)
        .simple()
        .encode_lower(&mut digits);
    digits
}

fn is_sane(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Version 00 of <https://www.w3.org/TR/trace-context/>; later versions are read by its fields.
///
/// Returns the trace id and the flags.
fn parse_traceparent(text: &str) -> Option<(&str, &str)> {
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let valid = hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && trace.bytes().any(|byte| byte != b'0')
        && hex(parent, 16)
        && parent.bytes().any(|byte| byte != b'0')
        && hex(flags, 2);
    valid.then_some((trace, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_goes_on_and_nonsense_begins_a_new_one() {
        let mut headers = HeaderMap::new();
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        headers.insert(TRACEPARENT, given.parse().expect("header"));
        let context = TraceContext::from_headers(&headers);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(context.span_id(), "00f067aa0ba902b7");
        for bad in [
            "",
            "00-xyz",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            headers.insert(TRACEPARENT, bad.parse().expect("header"));
            let fresh = TraceContext::from_headers(&headers);
            assert_eq!(fresh.traceparent().len(), given.len());
            let fresh = fresh.trace_id();
            assert_ne!(fresh, "00000000000000000000000000000000");
        }
    }
}
