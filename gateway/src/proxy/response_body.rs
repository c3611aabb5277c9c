//! The body of a service's response on its way to the client: streamed, with a limit on pauses.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::{
    errors::{BodyError, Http1Error},
    instance::Connection,
};

/// The body of a service's response. Releases its connection to the pool at its end; dropped earlier, it
/// closes the connection, which tells the service to stop.
#[derive(Default)]
pub(crate) struct ResponseBody {
    /// The part that came with the head.
    first: Option<Bytes>,
    /// `None` if all has been received.
    connection: Option<Connection>,
    stall_timeout: Duration,
    /// Created at the first pause: most bodies have none.
    stall: Option<Pin<Box<Sleep>>>,
    is_paused: bool,
}

impl ResponseBody {
    /// The body that comes over `connection`, whose head came at the time `responded`.
    ///
    /// # Errors
    /// Returns an error if its framing is invalid.
    pub(super) fn new(
        mut connection: Connection,
        responded: Instant,
        stall_timeout: Duration,
    ) -> Result<Self, Http1Error> {
        let mut body = Self {
            first: connection.received()?,
            connection: Some(connection),
            stall_timeout,
            ..Self::default()
        };
        body.release_at_end(responded);
        Ok(body)
    }

    /// The body, if all of it came with the head and it is not empty.
    pub(crate) fn take_whole(&mut self) -> Option<Bytes> {
        match self.connection {
            None => self.first.take(),
            Some(_) => None,
        }
    }

    fn release_at_end(&mut self, now: Instant) {
        let connection = self
            .connection
            .take_if(|connection| connection.remaining() == Some(0));
        if let Some(connection) = connection {
            connection.release(now.into());
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
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(None);
        };
        match connection.poll_data(cx) {
            Poll::Ready(Some(Ok(data))) => {
                self.is_paused = false;
                self.release_at_end(Instant::now());
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Some(Err(error))) => {
                self.connection = None;
                tracing::warn!(%error, "upstream response body broke off");
                Poll::Ready(Some(Err(BodyError::Service(error))))
            }
            Poll::Ready(None) => {
                self.release_at_end(Instant::now());
                Poll::Ready(None)
            }
            Poll::Pending => {
                ready!(self.poll_stall(cx));
                self.connection = None;
                tracing::warn!("upstream response body stalled");
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.connection.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let received = self.first.as_ref().map_or(0, |first| first.len() as u64);
        let remaining = match &self.connection {
            Some(connection) => connection.remaining(),
            None => Some(0),
        };
        match remaining {
            Some(remaining) => SizeHint::with_exact(received + remaining),
            None => SizeHint::default(),
        }
    }
}
