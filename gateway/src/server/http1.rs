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
use chassis::clock::Clock;
use hyper::{
    StatusCode,
    body::Body as _,
    header::{CONNECTION, HeaderValue},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use self::response::Framing;
use super::{
    client_stream::MAX_JOINED_BYTES, drain::Watcher, shared::SharedHttp, stall::StallTimer,
};
use crate::{
    admission::ResponseCounter, lazy_timer::LazyTimer, message::Response, pipeline, response::Body,
    state::Peer, thread_buffer::poll_receive,
};

/// Adds the headers to `response` that depend on the connection, on which no other follows if `is_last` or if the process stops.
pub(super) fn finish(http: &SharedHttp, response: &mut Response<Body>, is_last: bool) {
    let is_last = is_last || http.state.is_stopping.get();
    if is_last && response.status != StatusCode::SWITCHING_PROTOCOLS {
        let close = HeaderValue::from_static("close");
        response.headers.insert(CONNECTION, close);
    }
    http.add_hsts(&mut response.headers);
}

/// A client's connection over `S`.
struct Client<S> {
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

/// A part of the body of a response.
enum Part {
    Data(Bytes),
    /// It has not come yet.
    NotYet,
    /// The body has ended.
    Last,
    Failed(Box<dyn std::error::Error + Send + Sync>),
}

/// Serves the connection over `stream` until it ends, or until a request is read that is not for this module. Returns the
/// stream and what was read of it in that case.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    http: &SharedHttp,
    stream: S,
    peer: &Rc<Peer>,
    watcher: &mut Watcher,
) -> Option<(S, Bytes)> {
    let mut client = Client {
        stream,
        received: Bytes::new(),
        write_timeout: http.timeouts.write,
        stall: StallTimer::default(),
        wait_timer: LazyTimer::default(),
    };
    match client.run(http, peer, watcher).await {
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

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Serves requests until one is read that is not for this module.
    async fn run(
        &mut self,
        http: &SharedHttp,
        peer: &Rc<Peer>,
        watcher: &mut Watcher,
    ) -> Result<(), End> {
        let (state, keep_alive) = (&http.state, http.timeouts.keep_alive);
        let responses = &peer.connection.responses;
        let head_limit = state.shared.config.own.head_limit_bytes;
        loop {
            if self.received.is_empty() {
                self.await_request(watcher, responses, keep_alive).await?;
            }
            let Some(request) = request::parse(&self.received, head_limit) else {
                return Ok(());
            };
            let _ = self.received.split_to(request.length);
            let guard = responses.begin();
            // Boxed, so that idle connections have no room for it.
            let serving = Box::pin(pipeline::serve(state, peer, request.head, None));
            let mut response = self.unless_closed(serving).await?;
            finish(http, &mut response, request.is_last);
            let is_last = response::closes(&response.headers);
            self.send(response, &state.shared.clock).await?;
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
        self.received = ready!(poll_receive(&mut self.stream, cx))?;
        Poll::Ready(Ok(self.received.len()))
    }

    /// Sends `response`, whose date is by `clock`. Its parts are sent as they come.
    async fn send(&mut self, response: Response<Body>, clock: &Clock) -> Result<(), End> {
        let mut framing = Framing::of(&response);
        let Response {
            status,
            mut headers,
            mut body,
        } = response;
        let mut out = Vec::with_capacity(response::HEAD_BYTES);
        response::write_head(&mut out, status, &mut headers, framing, clock);
        while framing != Framing::Empty && !body.is_end_stream() {
            match self.next_part(&mut body, out.is_empty()).await? {
                Part::Data(data) => {
                    let after = framing.begin_part(&mut out, data.len())?;
                    if data.len() > MAX_JOINED_BYTES {
                        self.write(&out).await?;
                        out.clear();
                        self.write(&data).await?;
                    } else {
                        out.extend_from_slice(&data);
                    }
                    out.extend_from_slice(after);
                    if out.len() <= MAX_JOINED_BYTES {
                        continue;
                    }
                }
                Part::NotYet => {}
                Part::Last => break,
                Part::Failed(error) => {
                    // What came before the failure is the client's.
                    self.write(&out).await?;
                    return Err(End::Broken(io::Error::other(error)));
                }
            }
            self.write(&out).await?;
            out.clear();
        }
        framing.end(&mut out)?;
        self.write(&out).await
    }

    /// The next part of `body`. Waits for it only if `may_wait`, until the client closes the connection.
    async fn next_part(&mut self, body: &mut Body, may_wait: bool) -> Result<Part, End> {
        poll_fn(|cx| {
            let part = match Pin::new(&mut *body).poll_frame(cx) {
                // Trailers are not passed on.
                Poll::Ready(Some(Ok(frame))) => Part::Data(frame.into_data().unwrap_or_default()),
                Poll::Ready(Some(Err(error))) => Part::Failed(error),
                Poll::Ready(None) => Part::Last,
                Poll::Pending if may_wait => return self.poll_closed(cx).map(Err),
                Poll::Pending => Part::NotYet,
            };
            Poll::Ready(Ok(part))
        })
        .await
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
