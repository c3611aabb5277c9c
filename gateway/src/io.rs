//! A client's connection, as hyper sees it, mended in two places. hyper waits for ever for a client
//! that takes nothing of its answer, and so would the upstream behind it: here a write has a time
//! limit. And what hyper cannot read it refuses without a word: here that answer becomes a problem.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use hyper::{
    StatusCode,
    body::{Body, Frame, SizeHint},
    rt::{Read, ReadBufCursor, Write},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// The longest answer that hyper gives by itself: a status line and three headers.
const BARE_ANSWER: usize = 256;
/// What is read after such an answer, so that closing does not reset the connection before the
/// client has seen it: bytes, and how long.
const LINGER_BYTES: usize = 1 << 20;
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Answers of ours that are under way on a connection.
#[derive(Debug, Clone, Default)]
pub struct Answering(Rc<Cell<usize>>);

impl Answering {
    /// Counts one more, until what is returned is dropped.
    #[must_use]
    pub fn begin(&self) -> Turn {
        self.0.set(self.0.get() + 1);
        Turn(Rc::clone(&self.0))
    }

    fn is_idle(&self) -> bool {
        self.0.get() == 0
    }
}

/// One answer under way.
#[derive(Debug)]
pub struct Turn(Rc<Cell<usize>>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// The body of an answer that is under way until its end.
pub struct InTurn<B> {
    /// The body.
    pub body: B,
    /// Its turn.
    pub turn: Turn,
}

impl<B: Body + Unpin> Body for InTurn<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A client's connection.
pub struct ClientStream<F> {
    stream: TokioIo<TcpStream>,
    write_timeout: Duration,
    /// Made when something first has to wait: most connections never do.
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
    answering: Answering,
    /// Makes the answer to what hyper refused with a status.
    explain: F,
    /// What is left to write of such an answer.
    explanation: Option<Bytes>,
    /// What may still be read after it.
    linger: usize,
}

impl<F: FnMut(StatusCode) -> Bytes + Unpin> ClientStream<F> {
    /// `stream`, on which a write may wait for `write_timeout`. `answering` tells when what is
    /// written is an answer of ours; `explain` makes an answer out of a bare refusal of hyper's.
    #[must_use]
    pub fn new(
        stream: TcpStream,
        write_timeout: Duration,
        answering: Answering,
        explain: F,
    ) -> Self {
        Self {
            stream: TokioIo::new(stream),
            write_timeout,
            timer: None,
            waiting: false,
            answering,
            explain,
            explanation: None,
            linger: LINGER_BYTES,
        }
    }

    /// Ends a wait that is too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        timeout: Duration,
        done: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if done.is_ready() {
            self.waiting = false;
            return done;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.waiting {
            self.waiting = true;
            timer.as_mut().reset(Instant::now() + timeout);
        }
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Takes over a refusal of hyper's; true where `bytes` are one.
    fn take_over(&mut self, bytes: &[u8]) -> bool {
        if !self.answering.is_idle() {
            return false;
        }
        let Some(status) = bare_refusal(bytes) else {
            return false;
        };
        self.explanation = Some((self.explain)(status));
        true
    }

    fn poll_explanation(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(bytes) = self.explanation.as_mut().filter(|bytes| !bytes.is_empty()) {
            let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
            if let Poll::Ready(Ok(count)) = written {
                bytes.advance(count);
            }
            let timeout = self.write_timeout;
            if ready!(self.watch(cx, timeout, written))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads what the client still sends, until it ends, or has sent or waited enough.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = [0; 4096];
        while self.linger > 0 {
            let mut buffer = ReadBuf::new(&mut buffer);
            let read = Pin::new(self.stream.inner_mut()).poll_read(cx, &mut buffer);
            // Whatever ends the wait ends it well: the answer has been sent.
            if ready!(self.watch(cx, LINGER_TIME, read)).is_err() || buffer.filled().is_empty() {
                break;
            }
            self.linger = self.linger.saturating_sub(buffer.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}

/// The status of an answer that hyper gives by itself to what it cannot read: it has no body, and not
/// the request id that all of ours have.
fn bare_refusal(bytes: &[u8]) -> Option<StatusCode> {
    let code = bytes.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    if code[0] != b'4' || bytes.len() > BARE_ANSWER || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?;
    let is_bare = head.contains("\r\ncontent-length: 0\r\n") && !head.contains("x-request-id");
    StatusCode::from_bytes(code).ok().filter(|_| is_bare)
}

impl<F: Unpin> Read for ClientStream<F> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<F: FnMut(StatusCode) -> Bytes + Unpin> Write for ClientStream<F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.take_over(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let timeout = self.write_timeout;
        self.watch(cx, timeout, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices
            && self.take_over(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        let timeout = self.write_timeout;
        self.watch(cx, timeout, written)
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
            return self.poll_linger(cx);
        }
        Poll::Ready(Ok(()))
    }
}
