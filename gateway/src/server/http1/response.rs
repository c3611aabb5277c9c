//! Heads and framing of the responses that [`super`] sends.

use std::{
    cell::RefCell,
    io::{self, Write},
};

use chassis::clock::Clock;
use hyper::{
    StatusCode,
    body::Body as _,
    header::{CONNECTION, CONTENT_LENGTH, DATE},
};

use crate::{
    message::{Headers, Response, write_line},
    response::Body,
};

/// The size of most heads, with short bodies.
pub(super) const HEAD_BYTES: usize = 2048;

/// The latest `Date`, and the second since 1970 that it states.
struct LatestDate {
    second: i64,
    text: String,
}

thread_local! {
    static DATE_TEXT: RefCell<LatestDate> =
        const { RefCell::new(LatestDate { second: 0, text: String::new() }) };
}

/// The way in which the end of a body is told (RFC 9112, 6.3), and what is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// The response has no body by its status.
    Empty,
    /// Bytes.
    Length(u64),
    Chunked,
}

impl Framing {
    /// The framing of the body of `response` to a GET: by its stated length, or by its own.
    pub(super) fn of(response: &Response<Body>) -> Self {
        if matches!(
            response.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            return Self::Empty;
        }
        let stated = response.headers.number(&CONTENT_LENGTH);
        let length = stated.or_else(|| response.body.size_hint().exact());
        length.map_or(Self::Chunked, Self::Length)
    }

    /// Writes to `out` what stands before a part of `length` bytes; returns what stands after it.
    ///
    /// # Errors
    /// Returns an error if the body is longer than stated.
    pub(super) fn begin_part(
        &mut self,
        out: &mut Vec<u8>,
        length: usize,
    ) -> io::Result<&'static [u8]> {
        match self {
            Self::Chunked if length == 0 => Ok(b""),
            Self::Chunked => {
                write!(out, "{length:x}\r\n")?;
                Ok(b"\r\n")
            }
            Self::Length(left) => {
                let rest = left.checked_sub(length as u64);
                *left = rest.ok_or_else(|| io::Error::other("the body is longer than stated"))?;
                Ok(b"")
            }
            Self::Empty => Ok(b""),
        }
    }

    /// Writes to `out` what stands after the body.
    ///
    /// # Errors
    /// Returns an error if the body is shorter than stated.
    pub(super) fn end(self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Length(1..) => return Err(io::Error::other("the body is shorter than stated")),
            Self::Chunked => out.extend_from_slice(b"0\r\n\r\n"),
            Self::Length(0) | Self::Empty => {}
        }
        Ok(())
    }
}

/// True if the connection is not used again after a response with `headers`.
pub(super) fn closes(headers: &Headers) -> bool {
    let connection = headers.get(CONNECTION);
    connection.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Writes the head of a response with `status` and `headers` to `out`, with what `framing` needs and `Date` by `clock`.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    status: StatusCode,
    headers: &mut Headers,
    framing: Framing,
    clock: &Clock,
) {
    if status == StatusCode::NO_CONTENT {
        headers.remove(CONTENT_LENGTH);
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    let reason = status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    headers.write(out);
    match framing {
        // Writing to a vector cannot fail.
        Framing::Length(length) if !headers.contains(CONTENT_LENGTH) => {
            let _ = write!(out, "content-length: {length}\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(_) | Framing::Empty => {}
    }
    if !headers.contains(DATE) {
        write_date(out, clock);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes `Date`, formatted once a second.
fn write_date(out: &mut Vec<u8>, clock: &Clock) {
    let now = clock.now();
    DATE_TEXT.with_borrow_mut(|date| {
        if date.second != now.timestamp() || date.text.is_empty() {
            date.second = now.timestamp();
            date.text = httpdate::fmt_http_date(now.into());
        }
        write_line(out, DATE.as_str(), date.text.as_bytes());
    });
}
