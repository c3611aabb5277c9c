//! The body of a service's response on its way to the client: streamed, with a limit on pauses.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::{instance::Connection, request_body::BodyError};

/// The body of a service's response. Releases its connection to the pool at its end; dropped earlier, it
/// closes the connection, which tells the service to stop.
pub(crate) struct ResponseBody {
    body: Incoming,
    connection: Option<Connection>,
    stall_timeout: Duration,
    /// Created at the first pause: most bodies have none.
    stall: Option<Pin<Box<Sleep>>>,
    is_paused: bool,
}

impl ResponseBody {
    /// The body that comes over `connection`.
    pub(super) fn new(body: Incoming, connection: Connection, stall_timeout: Duration) -> Self {
        let mut body = Self {
            body,
            connection: Some(connection),
            stall_timeout,
            stall: None,
            is_paused: false,
        };
        body.release_at_end();
        body
    }

    /// The empty body of a response whose connection another protocol takes over.
    pub(super) fn without_connection(body: Incoming) -> Self {
        Self {
            body,
            connection: None,
            stall_timeout: Duration::ZERO,
            stall: None,
            is_paused: false,
        }
    }

    fn release_at_end(&mut self) {
        if self.body.is_end_stream()
            && let Some(connection) = self.connection.take()
        {
            connection.release();
        }
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.stall_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.is_paused {
            self.is_paused = true;
            stall.as_mut().reset(Instant::now() + timeout);
        }
        stall.as_mut().poll(cx)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    self.is_paused = false;
                    self.release_at_end();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Ok(_trailers))) => {}
                Poll::Ready(Some(Err(error))) => {
                    self.connection = None;
                    tracing::warn!(%error, "upstream response body broke off");
                    return Poll::Ready(Some(Err(BodyError::Broken(error))));
                }
                Poll::Ready(None) => {
                    if let Some(connection) = self.connection.take() {
                        connection.release();
                    }
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ready!(self.poll_stall(cx));
                    self.connection = None;
                    tracing::warn!("upstream response body stalled");
                    return Poll::Ready(Some(Err(BodyError::Stalled)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
