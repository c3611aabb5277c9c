//! HTTP/1.1 of clients (RFC 9112) for GET requests without a body: nearly all requests. Each is read, served and responded to
//! within the task of its connection. Called by [`super::connection`], which passes the connection on to hyper with the first
//! request that is anything else.

mod request;
mod response;

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{Response, body::Body as _};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use self::response::Framing;
use super::{client_stream::Timeouts, connection::Connections, drain::Watcher, stall::StallTimer};
use crate::{
    admission::ResponseCounter, lazy_timer::LazyTimer, pipeline, response::Body, state::Peer,
    thread_buffer::with_thread_buffer,
};

/// Parts of a response of up to this size are copied, so that they are sent together.
const MAX_JOINED_BYTES: usize = 16 * 1024;

/// A client's connection over `S`.
struct Http1<S> {
    stream: S,
    /// Bytes that were read and are not used yet.
    received: Bytes,
    write_timeout: Duration,
    stall: StallTimer,
    wait_timer: LazyTimer,
}

/// The reason why a connection is not used again.
#[derive(Debug)]
enum End {
    /// It is shut down.
    Orderly,
    /// The client has closed it, or it has failed.
    Broken(io::Error),
}

/// Serves the connection over `stream` until it ends, or until a request is read that is not for this module. Returns the
/// stream and what was read of it in that case.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    connections: &Connections,
    stream: S,
    peer: &Rc<Peer>,
    watcher: &mut Watcher,
) -> Option<(S, Bytes)> {
    let timeouts = connections.timeouts;
    let mut client = Http1 {
        stream,
        received: Bytes::new(),
        write_timeout: timeouts.write,
        stall: StallTimer::default(),
        wait_timer: LazyTimer::default(),
    };
    match client.run(connections, peer, watcher, timeouts).await {
        Ok(()) => return Some((client.stream, client.received)),
        Err(End::Orderly) => {
            if let Err(error) = client.shut_down().await {
                tracing::debug!(%error, "client connection failed");
            }
        }
        Err(End::Broken(error)) => tracing::debug!(%error, "client connection failed"),
    }
    None
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    /// Serves requests until one is read that is not for this module.
    async fn run(
        &mut self,
        connections: &Connections,
        peer: &Rc<Peer>,
        watcher: &mut Watcher,
        timeouts: Timeouts,
    ) -> Result<(), End> {
        let state = &connections.state;
        let responses = &peer.connection.responses;
        let head_limit = state.shared.config.own.head_limit_bytes;
        loop {
            if self.received.is_empty() {
                self.await_request(watcher, responses, timeouts.keep_alive)
                    .await?;
            }
            let Some(request) = request::parse(&self.received, head_limit) else {
                return Ok(());
            };
            let _ = self.received.split_to(request.length);
            let guard = responses.begin();
            // Boxed, so that idle connections have no room for it.
            let serving = Box::pin(pipeline::serve(state, peer, request.head, None));
            let mut response = self.unless_closed(serving).await?;
            connections.finish(&mut response, request.is_last);
            let is_last = response::closes(response.headers());
            self.send(response).await?;
            drop(guard);
            if is_last {
                return Err(End::Orderly);
            }
        }
    }

    /// Reads the beginning of a request.
    ///
    /// # Errors
    /// Returns an error if none comes for `keep_alive` or before the process stops, or the client ends the connection.
    async fn await_request(
        &mut self,
        watcher: &mut Watcher,
        responses: &ResponseCounter,
        keep_alive: Duration,
    ) -> Result<(), End> {
        let mut ends = None;
        let mut stopped = pin!(watcher.stopped_idle(responses));
        poll_fn(|cx| {
            if let Poll::Ready(read) = self.poll_read(cx) {
                return Poll::Ready(match read {
                    Ok(0) => Err(End::Orderly),
                    Ok(_) => Ok(()),
                    Err(error) => Err(End::Broken(error)),
                });
            }
            let ends = *ends.get_or_insert_with(|| Instant::now() + keep_alive);
            if self.wait_timer.poll(cx, ends).is_ready() || stopped.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(End::Orderly));
            }
            Poll::Pending
        })
        .await
    }

    /// The output of `serving`, unless the client closes the connection meanwhile.
    async fn unless_closed<F: Future + Unpin>(&mut self, mut serving: F) -> Result<F::Output, End> {
        poll_fn(|cx| match Pin::new(&mut serving).poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll_closed(cx).map(Err),
        })
        .await
    }

    /// Ready if the client has closed the connection. Once it has sent more, that is not looked for.
    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if !self.received.is_empty() {
            return Poll::Pending;
        }
        match ready!(self.poll_read(cx)) {
            Ok(0) => Poll::Ready(End::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Poll::Pending,
            Err(error) => Poll::Ready(End::Broken(error)),
        }
    }

    /// Reads into `received`, which is empty; returns the number of bytes, 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        with_thread_buffer(|buffer| {
            let mut read = ReadBuf::new(buffer);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
            self.received = Bytes::copy_from_slice(read.filled());
            Poll::Ready(Ok(self.received.len()))
        })
    }

    /// Sends `response`. Its parts are sent as they come.
    async fn send(&mut self, response: Response<Body>) -> Result<(), End> {
        let (head, mut body) = response.into_parts();
        let mut framing = Framing::of(&head, &body);
        let mut out = Vec::with_capacity(response::HEAD_BYTES);
        response::write_head(&mut out, &head, framing);
        while framing != Framing::Empty && !body.is_end_stream() {
            let frame = poll_fn(|cx| match Pin::new(&mut body).poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(Some(frame))),
                // The client gets what there is before the rest is waited for.
                Poll::Pending if !out.is_empty() => Poll::Ready(Ok(None)),
                Poll::Pending => self.poll_closed(cx).map(Err),
            });
            match frame.await? {
                Some(Some(Ok(frame))) => {
                    // Trailers are not passed on.
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let end = framing.begin_part(&mut out, data.len())?;
                    if data.len() > MAX_JOINED_BYTES {
                        self.write(&out).await?;
                        out.clear();
                        self.write(&data).await?;
                    } else {
                        out.extend_from_slice(&data);
                    }
                    out.extend_from_slice(end);
                    if out.len() > MAX_JOINED_BYTES {
                        self.write(&out).await?;
                        out.clear();
                    }
                }
                Some(None) => break,
                Some(Some(Err(error))) => {
                    // What came before the failure is the client's.
                    self.write(&out).await?;
                    return Err(End::Broken(io::Error::other(error)));
                }
                None => {
                    self.write(&out).await?;
                    out.clear();
                }
            }
        }
        framing.end(&mut out)?;
        self.write(&out).await
    }

    /// Sends `bytes`.
    ///
    /// # Errors
    /// Returns an error if the client accepts nothing for too long.
    async fn write(&mut self, mut bytes: &[u8]) -> Result<(), End> {
        let written = poll_fn(|cx| {
            while !bytes.is_empty() {
                let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
                let count = ready!(self.stall.limit(cx, self.write_timeout, written))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                bytes = &bytes[count..];
            }
            // TLS holds back what the socket does not accept.
            let flushed = Pin::new(&mut self.stream).poll_flush(cx);
            self.stall.limit(cx, self.write_timeout, flushed)
        });
        written.await.map_err(End::Broken)
    }

    async fn shut_down(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
            self.stall.limit(cx, self.write_timeout, shut_down)
        })
        .await
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}
