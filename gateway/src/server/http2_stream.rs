//! One request of a connection of HTTP/2 and its response: ends if the client accepts nothing of the response for too
//! long, or if others need its place. Used by [`super::http2`].

use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    rc::{Rc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method, Response,
    body::{Body as HttpBody, Frame, SizeHint},
    header::{CONTENT_LENGTH, HeaderValue},
};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    admission::{ConnectionHandle, Progress},
    response::Body,
    state::Peer,
};

/// A body is offered in pieces of at most this size, so that a client that accepts it slowly is seen to accept it.
const MAX_PIECE_BYTES: usize = 16 * 1024;

/// A request in progress.
pub(super) struct StreamHandle {
    /// The peer of the connection, with a place of the request's own.
    pub(super) peer: Rc<Peer>,
    stall_timeout: Duration,
    /// Since when the client has been offered a piece of the response.
    offered: Cell<Option<Instant>>,
    state: Cell<State>,
    /// The response is in progress, on the connection and in its place.
    _progress: [Weak<Progress>; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    InProgress,
    /// The response was sent or failed.
    Ended,
    /// The gateway has ended it.
    Refused,
}

impl StreamHandle {
    /// A request that has arrived from `peer`, whose client may accept nothing for `stall_timeout`.
    pub(super) fn new(peer: &Peer, stall_timeout: Duration) -> Rc<Self> {
        let place = Rc::<ConnectionHandle>::default();
        Rc::new(Self {
            _progress: [peer.connection.responses.begin(), place.responses.begin()],
            peer: Rc::new(Peer {
                ip: peer.ip,
                header: peer.header.clone(),
                scheme: peer.scheme,
                connection: place,
                timer: Cell::default(),
                permit: Cell::default(),
                tunnel: Cell::default(),
            }),
            stall_timeout,
            offered: Cell::default(),
            state: Cell::new(State::InProgress),
        })
    }

    /// True if the client has cancelled the request.
    pub(super) fn is_cancelled(&self) -> bool {
        self.state.get() == State::InProgress
    }

    /// Runs `stream`, which serves the request, to its end or that of the client's time. Dropped, it resets the stream.
    pub(super) async fn run<F: Future>(&self, mut stream: Pin<&mut F>) {
        let mut timer = None;
        let mut evicted = pin!(self.peer.connection.evicted());
        poll_fn(|cx| {
            if stream.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if evicted.as_mut().poll(cx).is_pending() {
                ready!(self.poll_stalled(&mut timer, cx));
                tracing::debug!("the client accepts nothing of a response");
            }
            self.state.set(State::Refused);
            Poll::Ready(())
        })
        .await;
    }

    /// Ready if the client has accepted nothing for too long.
    fn poll_stalled(&self, timer: &mut Option<Pin<Box<Sleep>>>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(offered) = self.offered.get() else {
            return Poll::Pending;
        };
        let until = offered + self.stall_timeout;
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }
}

/// The body of a response.
pub(super) struct StreamBody {
    /// `None` in response to HEAD.
    body: Option<Body>,
    /// Data that has not been offered.
    rest: Bytes,
    handle: Rc<StreamHandle>,
}

impl StreamBody {
    /// The response to a request with `method`, which `handle` stands for.
    pub(super) fn of(
        response: Response<Body>,
        method: &Method,
        handle: Rc<StreamHandle>,
    ) -> Response<Self> {
        let (mut head, body) = response.into_parts();
        let is_head = method == Method::HEAD;
        if is_head && let Some(length) = body.size_hint().exact().filter(|length| *length > 0) {
            head.headers
                .entry(CONTENT_LENGTH)
                .or_insert_with(|| HeaderValue::from(length));
        }
        let body = Self {
            body: (!is_head).then_some(body),
            rest: Bytes::new(),
            handle,
        };
        if body.is_end_stream() {
            body.handle.state.set(State::Ended);
        }
        Response::from_parts(head, body)
    }
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.handle.offered.set(None);
        if self.rest.is_empty() {
            let Some(body) = &mut self.body else {
                return Poll::Ready(None);
            };
            let frame = match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => {
                    self.handle.state.set(State::Ended);
                    return Poll::Ready(end);
                }
            };
            match frame.into_data() {
                Ok(data) => self.rest = data,
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
        let count = self.rest.len().min(MAX_PIECE_BYTES);
        let piece = self.rest.split_to(count);
        match self.is_end_stream() {
            true => self.handle.state.set(State::Ended),
            false => self.handle.offered.set(Some(Instant::now())),
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        // Asked before the first piece alone.
        self.body
            .as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
