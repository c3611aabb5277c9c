//! Heads of messages: those of requests are written, those of responses are parsed and checked.

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};
use hyper::{
    Method, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    http::uri::PathAndQuery,
};

use super::framing::Framing;
use crate::{
    message::{Headers, Response},
    proxy::{
        errors::Http1Error,
        headers::{HeaderWriter, is_hop_by_hop, remove_hop_by_hop_headers},
        request_body::RequestBody,
    },
};

/// The most headers of a response.
const MAX_HEADERS: usize = 100;
/// The space for headers that the gateway adds to a response, and their bytes.
const ADDED_HEADERS: usize = 12;
const ADDED_BYTES: usize = 512;
/// The size of most heads of requests.
const HEAD_BYTES: usize = 1024;

/// The head of a request, as it is sent.
pub(in crate::proxy) struct RequestHead {
    pub(super) bytes: Vec<u8>,
    pub(super) is_head: bool,
    pub(super) is_chunked: bool,
}

impl RequestHead {
    /// The head of the request `method target` with `body` and the headers that `write_headers` writes, which must have none
    /// that frames the body.
    pub(in crate::proxy) fn new(
        method: &Method,
        target: &PathAndQuery,
        body: Option<&RequestBody>,
        write_headers: impl FnOnce(&mut HeaderWriter<'_>),
    ) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend_from_slice(method.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(target.as_str().as_bytes());
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        let mut headers = HeaderWriter::new(&mut bytes);
        write_headers(&mut headers);
        let length = match body {
            Some(body) => body.length(),
            None => Some(0),
        };
        match length {
            // RFC 9110, 8.6: only methods that expect a body state that there is none.
            Some(0) if !matches!(*method, Method::POST | Method::PUT | Method::PATCH) => {}
            Some(length) => headers.write(&CONTENT_LENGTH, length.to_string().as_bytes()),
            None => headers.write(&TRANSFER_ENCODING, b"chunked"),
        }
        bytes.extend_from_slice(b"\r\n");
        Self {
            bytes,
            is_head: *method == Method::HEAD,
            is_chunked: length.is_none(),
        }
    }
}

/// The head of a response.
pub(super) struct ResponseHead {
    /// Without hop-by-hop headers, unless the service switches protocols.
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    pub(super) is_persistent: bool,
}

/// The meaning of the headers of a response that frame its body or are for its connection.
#[derive(Default)]
struct Control {
    length: Option<u64>,
    is_chunked: bool,
    /// `Connection: close`.
    closes: bool,
    /// `Connection: keep-alive`.
    keeps_alive: bool,
    /// True if `Connection` lists headers.
    has_named: bool,
}

/// The head of a response at the beginning of `bytes` and its length; `None` if it is incomplete.
///
/// # Errors
/// Returns an error if the head is malformed or its framing is ambiguous.
pub(super) fn parse(
    bytes: &[u8],
    is_head_request: bool,
) -> Result<Option<(ResponseHead, usize)>, Http1Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let result = ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        bytes,
        &mut headers,
    );
    let length = match result {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Http1Error::Malformed("too many headers"));
        }
        Err(_) => return Err(Http1Error::Malformed("not a head of HTTP/1.1")),
    };
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default())
        .map_err(|_| Http1Error::Malformed("invalid status"))?;
    let control = Control::of(parsed.headers)?;
    if control.is_chunked && parsed.version == Some(0) {
        return Err(Http1Error::Malformed("chunks in HTTP/1.0"));
    }
    let is_switch = status == StatusCode::SWITCHING_PROTOCOLS;
    let space = length + ADDED_BYTES;
    let response = Response {
        status,
        headers: passed_on(parsed.headers, space, &control, is_switch),
        body: (),
    };
    let has_no_body = is_head_request
        || is_switch
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framing = match control.length {
        _ if has_no_body => Framing::Length(0),
        _ if control.is_chunked => Framing::CHUNKED,
        Some(length) => Framing::Length(length),
        None => Framing::UntilClose,
    };
    // RFC 9112, 6.3: a length beside chunks may be an attempt to smuggle a response.
    let is_ambiguous = control.is_chunked && control.length.is_some();
    let is_persistent = match parsed.version {
        Some(0) => control.keeps_alive,
        _ => !control.closes,
    };
    let head = ResponseHead {
        response,
        framing,
        is_persistent: is_persistent && !is_ambiguous && framing != Framing::UntilClose,
    };
    Ok(Some((head, length)))
}

/// The headers of a response with space for `space` bytes: all if the service switches protocols, otherwise without those for
/// the connection.
fn passed_on(headers: &[Header<'_>], space: usize, control: &Control, is_switch: bool) -> Headers {
    let keeps_all = is_switch || control.has_named;
    let mut passed = Headers::with_capacity(headers.len() + ADDED_HEADERS, space);
    let mut has_length = false;
    for header in headers {
        let name = header.name;
        if !keeps_all && is_hop_by_hop(name.as_bytes()) {
            continue;
        }
        // Chunks win over a length, and one length is enough.
        if name.eq_ignore_ascii_case("content-length")
            && (control.is_chunked || std::mem::replace(&mut has_length, true))
        {
            continue;
        }
        passed.append_parsed(name, header.value);
    }
    if control.has_named && !is_switch {
        remove_hop_by_hop_headers(&mut passed);
    }
    passed
}

impl Control {
    /// Reads `headers`.
    ///
    /// # Errors
    /// Returns an error if the framing is ambiguous.
    fn of(headers: &[Header<'_>]) -> Result<Self, Http1Error> {
        let mut control = Self::default();
        for header in headers {
            // Most headers have nothing to do with either.
            match header.name.len() {
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    control.read_connection(header.value);
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    let length = parse_length(header.value)
                        .ok_or(Http1Error::Malformed("invalid Content-Length"))?;
                    if control
                        .length
                        .replace(length)
                        .is_some_and(|before| before != length)
                    {
                        return Err(Http1Error::Malformed("two values of Content-Length"));
                    }
                }
                // The gateway accepts no other coding (RFC 9112, 6.1).
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    let is_chunked = header.value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                    if control.is_chunked || !is_chunked {
                        return Err(Http1Error::Malformed("unsupported transfer coding"));
                    }
                    control.is_chunked = true;
                }
                _ => {}
            }
        }
        Ok(control)
    }

    fn read_connection(&mut self, value: &[u8]) {
        for element in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            if element.eq_ignore_ascii_case(b"close") {
                self.closes = true;
            } else if element.eq_ignore_ascii_case(b"keep-alive") {
                self.keeps_alive = true;
            } else {
                self.has_named = true;
            }
        }
    }
}

/// A length in decimal digits alone.
fn parse_length(digits: &[u8]) -> Option<u64> {
    let digits = digits.trim_ascii();
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    text.parse().ok()
}
