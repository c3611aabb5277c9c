//! A client's connection, between the socket and hyper. Adds what hyper lacks: a time limit for writes, so that
//! a client which does not read cannot hold an upstream forever; separate time limits for heads and for the idle time
//! between requests; and a problem as the body of the bare 4xx response that hyper sends to a message which it cannot
//! parse. Refuses lines that end with LF alone.

use std::{
    cell::RefCell,
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
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep, sleep_until},
};

use super::line_ends::{Expected, LineEnds, REFUSED};
use crate::admission::ResponseCounter;

/// The longest bare response of hyper: a status line and three headers.
const MAX_BARE_RESPONSE_BYTES: usize = 256;
/// Limits of reading on after such a response: closing immediately would reset the connection before the client
/// has read it.
const MAX_DRAIN_BYTES: usize = 1 << 20;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// As much as hyper reads at once.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// The time limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// A write that the client does not accept.
    pub(super) write: Duration,
    /// A head, from its first byte.
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

/// A client's connection.
pub(super) struct ClientStream<F> {
    stream: TokioIo<TcpStream>,
    timeouts: Timeouts,
    wait: Option<Wait>,
    /// Ends no later than `wait`. Reused, since most waits are over long before.
    wait_timer: Option<Pin<Box<Sleep>>>,
    /// Created at the first wait: most connections never wait.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    responses: ResponseCounter,
    /// Returns the response that replaces a bare one with a status.
    explain: F,
    /// The unwritten rest of such a response.
    explanation: Option<Bytes>,
    /// Bytes that may still be read after it.
    drain_budget: usize,
    line_ends: LineEnds,
}

thread_local! {
    /// The buffer in which line ends are checked before the parser gets them.
    static READ_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BUFFER_BYTES].into());
}

impl<F: FnMut(StatusCode) -> Bytes + Unpin> ClientStream<F> {
    /// Wraps `stream`. While `responses` are in progress, writes are the pipeline's; otherwise `explain` returns the
    /// response that replaces a bare one. Lines that end with LF alone are refused if `strict_line_ends`.
    pub(super) fn new(
        stream: TcpStream,
        timeouts: Timeouts,
        responses: ResponseCounter,
        strict_line_ends: bool,
        explain: F,
    ) -> Self {
        Self {
            stream: TokioIo::new(stream),
            timeouts,
            wait: None,
            wait_timer: None,
            timer: None,
            is_waiting: false,
            responses,
            explain,
            explanation: None,
            drain_budget: MAX_DRAIN_BYTES,
            line_ends: LineEnds::new(strict_line_ends),
        }
    }

    /// Fails an operation that has been pending for `timeout`.
    fn limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        timeout: Duration,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.is_waiting = false;
            return result;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.is_waiting {
            self.is_waiting = true;
            timer.as_mut().reset(Instant::now() + timeout);
        }
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
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
            if ready!(self.limit(cx, timeout, written))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Discards what the client still sends, until its end or a limit.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = [0; 4096];
        while self.drain_budget > 0 {
            let mut buffer = ReadBuf::new(&mut buffer);
            let read = Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer);
            // An error does not matter: the response has been sent.
            if ready!(self.limit(cx, DRAIN_TIMEOUT, read)).is_err() || buffer.filled().is_empty() {
                break;
            }
            self.drain_budget = self.drain_budget.saturating_sub(buffer.filled().len());
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

impl<F> ClientStream<F> {
    /// Ready when the client has let the gateway wait too long for a head.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let expected = self.line_ends.expected();
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
        let is_waiting = self.wait.is_some();
        let ends = match &self.wait {
            Some(wait) => wait.ends,
            None => Instant::now() + timeout,
        };
        let timer = self
            .wait_timer
            .get_or_insert_with(|| Box::pin(sleep_until(ends)));
        if timer.deadline() > ends {
            timer.as_mut().reset(ends);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if is_waiting && timer.deadline() >= ends {
                return Poll::Ready(());
            }
            timer.as_mut().reset(ends);
        }
        Poll::Pending
    }

    /// Reads into `buffer`, which gets [`REFUSED`] in the place of a bare LF.
    fn poll_read_lines(
        &mut self,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self {
            stream, line_ends, ..
        } = self;
        READ_BUFFER.with_borrow_mut(|bytes| {
            let capacity = buffer.remaining().saturating_sub(REFUSED.len()).max(1);
            let capacity = capacity.min(bytes.len());
            let mut read = ReadBuf::new(&mut bytes[..capacity]);
            ready!(Pin::new(stream.inner_mut()).poll_read(cx, &mut read))?;
            match line_ends.find_bare(read.filled()) {
                None => buffer.put_slice(read.filled()),
                Some(at) => {
                    buffer.put_slice(&read.filled()[..at]);
                    let count = buffer.remaining().min(REFUSED.len());
                    buffer.put_slice(&REFUSED[..count]);
                }
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl<F: Unpin> Read for ClientStream<F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.poll_read_lines(cx, buffer);
        let expected = self.line_ends.expected();
        self.responses.expect_request(expected == Expected::Request);
        if read.is_pending() && self.poll_wait(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<F: FnMut(StatusCode) -> Bytes + Unpin> Write for ClientStream<F> {
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
        self.limit(cx, timeout, written)
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
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        let timeout = self.timeouts.write;
        self.limit(cx, timeout, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_explanation(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_explanation(cx))?;
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        if self.explanation.is_some() {
            return self.poll_drain(cx);
        }
        Poll::Ready(Ok(()))
    }
}
