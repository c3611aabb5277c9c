//! HTTP/2 (RFC 9113) of clients: its bounds, and what hyper leaves to a server. Called by [`super::connection`] for
//! connections that TLS has agreed on or that begin with the preface.
//!
//! Each request is a task of its own, [`super::http2_stream`], with a place of its own among those of its client.

use std::{
    cell::Cell,
    convert::Infallible,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    Request,
    body::Incoming,
    rt::{Executor, Read, ReadBufCursor, Write},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Notify,
};

use super::{
    drain::Watcher,
    http2_stream::{StreamBody, StreamHandle},
    shared::SharedHttp,
    stall::StallTimer,
};
use crate::{admission::CLIENT_CONNECTIONS_CLOSED_TOTAL, pipeline, state::Peer};

/// Concurrent requests of one connection.
const MAX_STREAMS: u32 = 100;
/// Bytes of request bodies that may be under way, of one request and of one connection: the memory that a client can
/// fill, and the speed of an upload, which is one window per round trip.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;
/// Bytes of one response that are held for a client that accepts less than a service sends.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// The size of frames, the smallest that a server may require.
const FRAME_BYTES: u32 = 16 * 1024;
/// Lists of headers that exceed the limit by less than this factor receive a problem, longer ones a bare 431.
const HEADER_LIST_FACTOR: u32 = 2;
/// A client that is gone is noticed by an unanswered ping.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Requests of one connection that its client may cancel; more only if it lets as many complete.
const MAX_CANCELLED: u64 = 100;

/// The requests of one connection.
#[derive(Default)]
struct Streams {
    /// The request that hyper has passed to the service, until it starts its task.
    next: Cell<Option<Rc<StreamHandle>>>,
    completed: Cell<u64>,
    cancelled: Cell<u64>,
    too_many_cancelled: Notify,
}

impl Streams {
    /// Counts a request that has ended.
    fn count(&self, is_cancelled: bool) {
        let counter = match is_cancelled {
            true => &self.cancelled,
            false => &self.completed,
        };
        counter.set(counter.get() + 1);
        let cancelled = self.cancelled.get();
        if is_cancelled && cancelled > MAX_CANCELLED && cancelled > self.completed.get() {
            self.too_many_cancelled.notify_one();
        }
    }

    async fn too_many_cancelled(&self) {
        self.too_many_cancelled.notified().await;
        metrics::counter!(CLIENT_CONNECTIONS_CLOSED_TOTAL, "reason" => "cancelled_requests")
            .increment(1);
    }
}

/// Starts the tasks of the requests.
#[derive(Clone)]
struct StreamExecutor(Rc<Streams>);

impl<F: Future + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, future: F) {
        // hyper starts the task of a request right after it has called the service for it.
        let handle = self.0.next.take();
        let streams = Rc::clone(&self.0);
        tokio::task::spawn_local(async move {
            let mut future = pin!(future);
            match handle {
                None => drop(future.await),
                Some(handle) => {
                    handle.run(future.as_mut()).await;
                    streams.count(handle.is_cancelled());
                }
            }
        });
    }
}

/// Serves a connection over `stream` until it ends.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    http: &Rc<SharedHttp>,
    stream: S,
    peer: &Rc<Peer>,
    mut watcher: Watcher,
) {
    let (timeouts, own) = (http.timeouts, &http.state.shared.config.own);
    let streams = Rc::<Streams>::default();
    let service = {
        let (http, peer) = (Rc::clone(http), Rc::clone(peer));
        let streams = Rc::clone(&streams);
        service_fn(move |request: Request<Incoming>| {
            let handle = StreamHandle::new(&peer, timeouts.write);
            streams.next.set(Some(Rc::clone(&handle)));
            let http = Rc::clone(&http);
            async move {
                let (head, body) = request.into_parts();
                let method = head.method.clone();
                // Boxed, since hyper and the runtime move the future of a request several times.
                let serving = pipeline::serve(&http.state, &handle.peer, head, Some(body));
                let serving = Box::pin(serving);
                let mut response = serving.await;
                http.add_hsts(&mut response.headers);
                Ok::<_, Infallible>(StreamBody::of(response.into(), &method, handle))
            }
        })
    };
    // The size of a list counts 32 bytes more for each header (RFC 9113, 6.5.2).
    let head_limit = u32::try_from(own.head_limit_bytes).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(StreamExecutor(Rc::clone(&streams)));
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_header_list_size(head_limit.saturating_mul(HEADER_LIST_FACTOR));
    let stream = Http2Io {
        stream: TokioIo::new(stream),
        stall: StallTimer::default(),
        timeout: timeouts.write,
    };
    let serving = pin!(builder.serve_connection(stream, service));
    let served = watcher.run_http2(
        serving,
        &peer.connection.responses,
        timeouts.keep_alive,
        streams.too_many_cancelled(),
    );
    if let Err(error) = served.await {
        tracing::debug!(%error, "client connection failed");
    }
}

/// The stream of a connection: limits the time of writes.
struct Http2Io<S> {
    stream: TokioIo<S>,
    stall: StallTimer,
    timeout: Duration,
}

impl<S: AsyncRead + Unpin> Read for Http2Io<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Write for Http2Io<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        let timeout = self.timeout;
        self.stall.limit(cx, timeout, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        let timeout = self.timeout;
        self.stall.limit(cx, timeout, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        let timeout = self.timeout;
        self.stall.limit(cx, timeout, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(cx);
        let timeout = self.timeout;
        self.stall.limit(cx, timeout, shut_down)
    }
}
