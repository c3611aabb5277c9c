//! Heads and framing of the responses that [`super`] sends.

use std::{
    cell::RefCell,
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hyper::{
    HeaderMap, StatusCode,
    body::Body as _,
    header::{CONNECTION, CONTENT_LENGTH, DATE},
    http::response::Parts,
};

use crate::response::Body;

/// The size of most heads, with short bodies.
pub(super) const HEAD_BYTES: usize = 2048;

/// The bytes of `Date`, and the second that they state.
struct Clock {
    second: u64,
    text: String,
}

thread_local! {
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock { second: 0, text: String::new() }) };
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
    /// The framing of `body` after `head` in a response to GET: by its stated length, or by its own.
    pub(super) fn of(head: &Parts, body: &Body) -> Self {
        if matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            return Self::Empty;
        }
        let stated = || {
            let value = head.headers.get(CONTENT_LENGTH)?;
            value.to_str().ok()?.parse().ok()
        };
        let length = stated().or_else(|| body.size_hint().exact());
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
pub(super) fn closes(headers: &HeaderMap) -> bool {
    let connection = headers.get(CONNECTION);
    connection.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"))
}

/// Writes `head` to `out`, with the headers that `framing` needs and `Date`.
pub(super) fn write_head(out: &mut Vec<u8>, head: &Parts, framing: Framing) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(head.status.as_str().as_bytes());
    out.push(b' ');
    let reason = head.status.canonical_reason().unwrap_or_default();
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    let (mut has_length, mut has_date) = (false, false);
    for (name, value) in &head.headers {
        match *name {
            CONTENT_LENGTH if head.status == StatusCode::NO_CONTENT => continue,
            CONTENT_LENGTH => has_length = true,
            DATE => has_date = true,
            _ => {}
        }
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match framing {
        // Writing to a vector cannot fail.
        Framing::Length(length) if !has_length => {
            let _ = write!(out, "content-length: {length}\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(_) | Framing::Empty => {}
    }
    if !has_date {
        write_date(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes `Date`, formatted once a second.
fn write_date(out: &mut Vec<u8>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let second = now.unwrap_or_default().as_secs();
    CLOCK.with_borrow_mut(|clock| {
        if clock.second != second || clock.text.is_empty() {
            clock.second = second;
            clock.text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(clock.text.as_bytes());
        out.extend_from_slice(b"\r\n");
    });
}
