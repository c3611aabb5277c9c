//! The identity of a request: its request id and W3C trace context, taken over from the caller if
//! valid, else created here, and passed on with every call that the request causes.

use hyper::HeaderMap;
use uuid::{Builder, Uuid};

use crate::clock::system_now;

/// The header that carries the request id.
pub const REQUEST_ID: &str = "x-request-id";
/// The header of the W3C trace context.
pub const TRACEPARENT: &str = "traceparent";

/// The identity of the request that is being served.
#[derive(Debug, Clone)]
pub struct TraceContext {
    /// The id of the request in its response and in every log line.
    pub request_id: String,
    /// 32 hexadecimal digits, the same in every service that the request touches.
    pub trace_id: String,
    /// 16 hexadecimal digits, this service's own part.
    pub span_id: String,
    /// The two hexadecimal digits of flags that came with the trace, `01` where it began here.
    flags: String,
}

tokio::task_local! {
    static CURRENT: TraceContext;
}

impl TraceContext {
    /// Reads the caller's headers.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let request_id = headers
            .get(REQUEST_ID)
            .and_then(|value| value.to_str().ok())
            .filter(|text| is_sane(text))
            .map_or_else(new_request_id, str::to_owned);
        let (trace_id, flags) = headers
            .get(TRACEPARENT)
            .and_then(|value| value.to_str().ok())
            .and_then(parse_traceparent)
            .unwrap_or_else(|| (hexadecimal::<32>(rand::random()), "01".to_owned()));
        let span_id = hexadecimal::<16>(rand::random());
        Self {
            request_id,
            trace_id,
            span_id,
            flags,
        }
    }

    /// The `traceparent` for calls that this request causes.
    pub fn traceparent(&self) -> String {
        let parts = ["00", &self.trace_id, &self.span_id, &self.flags];
        parts.join("-")
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
fn new_request_id() -> String {
    let millis = u64::try_from(system_now().timestamp_millis()).unwrap_or(0);
    let id = Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid();
    id.hyphenated()
        .encode_lower(&mut Uuid::encode_buffer())
        .to_owned()
}

/// The first `DIGITS` of 32 hexadecimal digits, never all zeroes, which trace contexts exclude.
fn hexadecimal<const DIGITS: usize>(random: u128) -> String {
    let id = Uuid::from_u128(random | 1 << 127);
    id.simple().encode_lower(&mut Uuid::encode_buffer())[..DIGITS].to_owned()
}

fn is_sane(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Version 00 of <https://www.w3.org/TR/trace-context/>; later versions are read by its fields.
fn parse_traceparent(text: &str) -> Option<(String, String)> {
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
    valid.then(|| (trace.to_owned(), flags.to_owned()))
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
        assert_eq!(context.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(context.span_id, "00f067aa0ba902b7");
        for bad in [
            "",
            "00-xyz",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        ] {
            headers.insert(TRACEPARENT, bad.parse().expect("header"));
            let fresh = TraceContext::from_headers(&headers).trace_id;
            assert_eq!(fresh.len(), 32);
            assert_ne!(fresh, "00000000000000000000000000000000");
        }
    }
}
