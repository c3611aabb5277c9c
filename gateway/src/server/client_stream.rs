//! A client's connection of HTTP/1.1, between the socket, with or without TLS, and hyper. Adds what hyper lacks: a time limit
//! for writes, so that a client which does not read cannot hold an upstream forever; separate time limits for heads and for the
//! idle time between requests; and a problem as the body of the bare 4xx response that hyper sends to a message which it cannot
//! parse. Refuses lines that end with LF alone. Notices a client that begins with HTTP/2.

use std::{
    borrow::Cow,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use hyper::{
    StatusCode,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{
    line_ends::{Expected, LineEnds, REFUSED},
    stall::StallTimer,
};
use crate::{admission::ResponseCounter, lazy_timer::LazyTimer, thread_buffer::with_thread_buffer};

/// The longest bare response of hyper: a status line and three headers.
const MAX_BARE_RESPONSE_BYTES: usize = 256;
/// Writes of this size are joined: a list of buffers costs the kernel more than the copy.
pub(super) const MAX_JOINED_BYTES: usize = 8 * 1024;
/// Limits of reading on after a response to a request that has not ended: closing immediately would reset the connection before
/// the client has read it.
const MAX_DRAIN_BYTES: usize = 64 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// The first bytes of a connection of HTTP/2 (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The beginning of a connection.
enum Opening {
    /// These bytes, fewer than the preface has and equal to its beginning, have been read.
    Undecided(Vec<u8>),
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, after these bytes.
    Http2(Bytes),
}

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// A write that the client does not accept.
    pub(super) write: Duration,
    /// A head, from its first byte, and a TLS handshake.
    pub(super) head: Duration,
    /// The time without a request.
    pub(super) keep_alive: Duration,
}

/// A wait for a part of a request while no response is in progress.
struct Wait {
    expected: Expected,
    /// The number of requests so far: the next wait begins anew.
    requests: u64,
    ends: Instant,
}

/// A client's connection over `S`.
pub(super) struct ClientStream<S, F> {
    stream: TokioIo<S>,
    timeouts: Timeouts,
    wait: Option<Wait>,
    wait_timer: LazyTimer,
    stall: StallTimer,
    responses: ResponseCounter,
    /// Returns the response that replaces a bare one with a status.
    explain: F,
    /// The unwritten rest of such a response.
    explanation: Option<Bytes>,
    /// Bytes that may still be read after the last response.
    drain_budget: usize,
    /// The end of the time for that, once it has begun.
    drain_ends: Option<Instant>,
    line_ends: LineEnds,
    opening: Opening,
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: FnMut(StatusCode) -> Bytes + Unpin> ClientStream<S, F> {
    /// Wraps `stream`. While `responses` are in progress, writes are the pipeline's; otherwise `explain` returns the
    /// response that replaces a bare one. Lines that end with LF alone are refused if `strict_line_ends`. The client may
    /// begin with the preface of HTTP/2 if `may_be_http2`.
    pub(super) fn new(
        stream: S,
        timeouts: Timeouts,
        responses: ResponseCounter,
        strict_line_ends: bool,
        may_be_http2: bool,
        explain: F,
    ) -> Self {
        Self {
            stream: TokioIo::new(stream),
            timeouts,
            wait: None,
            wait_timer: LazyTimer::default(),
            stall: StallTimer::default(),
            responses,
            explain,
            explanation: None,
            drain_budget: MAX_DRAIN_BYTES,
            drain_ends: None,
            line_ends: LineEnds::new(strict_line_ends),
            opening: match may_be_http2 {
                true => Opening::Undecided(Vec::new()),
                false => Opening::Http1,
            },
        }
    }

    /// The stream below, which another protocol takes over.
    pub(super) fn into_inner(self) -> S {
        self.stream.into_inner()
    }

    /// The socket and the bytes that were read from it, if the client speaks HTTP/2; then hyper has seen the end of a
    /// connection without a request.
    pub(super) fn into_http2(self) -> Option<(S, Bytes)> {
        match self.opening {
            Opening::Http2(bytes) => Some((self.stream.into_inner(), bytes)),
            Opening::Undecided(_) | Opening::Http1 => None,
        }
    }

    /// Replaces `bytes` if they are a bare response; returns true if so.
    fn replace_bare_response(&mut self, bytes: &[u8]) -> bool {
        if self.responses.is_idle()
            && let Some(status) = bare_response(bytes)
        {
            self.explanation = Some((self.explain)(status));
            return true;
        }
        false
    }

    fn poll_explanation(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.explanation.as_mut().filter(|bytes| !bytes.is_empty()) {
            let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
            if let Poll::Ready(Ok(count)) = written {
                bytes.advance(count);
            }
            let timeout = self.timeouts.write;
            if ready!(self.stall.limit(cx, timeout, written))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Discards what the client still sends, until its end or a limit.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let latest = || Instant::now() + DRAIN_TIMEOUT;
        let ends = *self.drain_ends.get_or_insert_with(latest);
        while self.drain_budget > 0 {
            let read = with_thread_buffer(|buffer| {
                let mut buffer = ReadBuf::new(buffer);
                let read = Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer);
                read.map_ok(|()| buffer.filled().len())
            });
            match read {
                Poll::Ready(Ok(count @ 1..)) => {
                    self.drain_budget = self.drain_budget.saturating_sub(count);
                }
                // An error does not matter: the response has been sent.
                Poll::Ready(_) => break,
                Poll::Pending => {
                    ready!(self.wait_timer.poll(cx, ends));
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// The status of a bare response: it has neither a body nor the request id that all responses of the pipeline
/// have.
fn bare_response(bytes: &[u8]) -> Option<StatusCode> {
    let code = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    if code[0] != b'4' || bytes.len() > MAX_BARE_RESPONSE_BYTES || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?;
    let is_bare = head.contains("\r\ncontent-length: 0\r\n") && !head.contains("x-request-id");
    StatusCode::from_bytes(code).ok().filter(|_| is_bare)
}

impl<S: AsyncRead + Unpin, F> ClientStream<S, F> {
    /// Ready when the client has let the gateway wait too long for a head.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let expected = self.expected();
        let requests = self.responses.begun();
        let timeout = match expected {
            Expected::Head => self.timeouts.head,
            Expected::Request | Expected::Body => self.timeouts.keep_alive,
        };
        // The pipeline limits the time of bodies and responses. The timer runs nevertheless, since nothing else may wake
        // the task after them.
        if expected == Expected::Body || !self.responses.is_idle() {
            self.wait = None;
        } else if self
            .wait
            .as_ref()
            .is_none_or(|wait| (wait.expected, wait.requests) != (expected, requests))
        {
            self.wait = Some(Wait {
                expected,
                requests,
                ends: Instant::now() + timeout,
            });
        }
        let Some(wait) = &self.wait else {
            self.wait_timer.poll_endless(cx, timeout);
            return Poll::Pending;
        };
        self.wait_timer.poll(cx, wait.ends)
    }

    /// The part of a request that comes next.
    fn expected(&self) -> Expected {
        match &self.opening {
            Opening::Undecided(bytes) if !bytes.is_empty() => Expected::Head,
            _ => self.line_ends.expected(),
        }
    }

    /// Reads into `buffer`, which gets [`REFUSED`] in the place of a bare LF.
    fn poll_read_lines(
        &mut self,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            stream,
            line_ends,
            opening,
            ..
        } = self;
        // Line ends are checked before the parser gets them.
        with_thread_buffer(|bytes| {
            // Bytes that are held back come together with those that decide.
            let reserved = REFUSED.len() + opening.held();
            let capacity = buffer.remaining().saturating_sub(reserved).max(1);
            let capacity = capacity.min(bytes.len());
            let mut read = ReadBuf::new(&mut bytes[..capacity]);
            ready!(Pin::new(stream.inner_mut()).poll_read(cx, &mut read))?;
            if let Opening::Http1 = opening {
                put_lines(line_ends, read.filled(), &mut buffer);
                return Poll::Ready(Ok(()));
            }
            loop {
                if let Some(first) = opening.decide(read.filled()) {
                    put_lines(line_ends, &first, &mut buffer);
                    return Poll::Ready(Ok(()));
                }
                if let Opening::Http2(_) = opening {
                    return Poll::Ready(Ok(()));
                }
                read.clear();
                ready!(Pin::new(stream.inner_mut()).poll_read(cx, &mut read))?;
            }
        })
    }
}

impl Opening {
    /// The bytes that are held back, at most; none in HTTP/1.1.
    fn held(&self) -> usize {
        match self {
            Self::Http1 => 0,
            Self::Undecided(_) | Self::Http2(_) => PREFACE.len(),
        }
    }

    /// Notes that `bytes` have been read; returns all bytes so far if they begin a connection of HTTP/1.1.
    fn decide<'b>(&mut self, bytes: &'b [u8]) -> Option<Cow<'b, [u8]>> {
        let Self::Undecided(before) = self else {
            return None;
        };
        let all = match before.is_empty() {
            true => Cow::Borrowed(bytes),
            false => Cow::Owned([before.as_slice(), bytes].concat()),
        };
        if all.starts_with(PREFACE) {
            *self = Self::Http2(Bytes::from(all.into_owned()));
        } else if !bytes.is_empty() && PREFACE.starts_with(&all) {
            *self = Self::Undecided(all.into_owned());
        } else {
            *self = Self::Http1;
            return Some(all);
        }
        None
    }
}

/// Puts `bytes`, which come next on the connection, into `buffer`, and [`REFUSED`] in the place of a bare LF.
fn put_lines(line_ends: &mut LineEnds, bytes: &[u8], buffer: &mut ReadBufCursor<'_>) {
    match line_ends.find_bare(bytes) {
        None => buffer.put_slice(bytes),
        Some(at) => {
            buffer.put_slice(&bytes[..at]);
            let count = buffer.remaining().min(REFUSED.len());
            buffer.put_slice(&REFUSED[..count]);
        }
    }
}

impl<S: AsyncRead + Unpin, F: Unpin> Read for ClientStream<S, F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.poll_read_lines(cx, buffer);
        let expected = self.expected();
        self.responses.expect_request(expected == Expected::Request);
        if read.is_pending() && self.poll_wait(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, F: FnMut(StatusCode) -> Bytes + Unpin> Write
    for ClientStream<S, F>
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replace_bare_response(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let timeout = self.timeouts.write;
        self.stall.limit(cx, timeout, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices
            && self.replace_bare_response(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        let length = slices.iter().map(|slice| slice.len()).sum::<usize>();
        let written = if slices.len() > 1 && length <= MAX_JOINED_BYTES {
            with_thread_buffer(|buffer| {
                let mut at = 0;
                for slice in slices {
                    buffer[at..at + slice.len()].copy_from_slice(slice);
                    at += slice.len();
                }
                Pin::new(&mut self.stream).poll_write(cx, &buffer[..length])
            })
        } else {
            Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
        };
        let timeout = self.timeouts.write;
        self.stall.limit(cx, timeout, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_explanation(cx))?;
        // TLS holds back what the socket does not accept.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        let timeout = self.timeouts.write;
        self.stall.limit(cx, timeout, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Opening::Http2(_) = self.opening {
            // The connection goes on.
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_explanation(cx))?;
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
        let timeout = self.timeouts.write;
        ready!(self.stall.limit(cx, timeout, shut_down))?;
        let is_within_body = self.line_ends.expected() == Expected::Body;
        if is_within_body || self.explanation.is_some() {
            return self.poll_drain(cx);
        }
        Poll::Ready(Ok(()))
    }
}
