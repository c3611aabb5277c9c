//! Bodies on their way through: the client's, counted; the upstream's, watched, and giving its
//! connection back at its end.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::connection::Lease;

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It is larger than it may be.
    #[error("the body is too large")]
    TooLarge,
    /// The one who sends it has paused for too long.
    #[error("the body has stalled")]
    Stalled,
    /// The connection that it comes over has failed.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

/// The body of a request. Shared between the request that carries it and whoever wants to know
/// afterwards what became of it, or to send it again if nothing of it was read.
pub struct ClientBody {
    body: RefCell<Option<Incoming>>,
    /// What may still come, in bytes.
    left: Cell<u64>,
    state: Cell<BodyState>,
}

/// How far a request body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyState {
    /// Nothing was read.
    Whole,
    /// Something was read.
    Begun,
    /// All was read.
    Ended,
    /// It is too large.
    TooLarge,
    /// The client broke it off, or it was malformed.
    Broken,
}

impl ClientBody {
    /// A body of at most `limit` bytes.
    #[must_use]
    pub fn new(body: Incoming, limit: u64) -> Rc<Self> {
        Rc::new(Self {
            body: RefCell::new(Some(body)),
            left: Cell::new(limit),
            state: Cell::new(BodyState::Whole),
        })
    }

    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> BodyState {
        self.state.get()
    }

    /// Takes away what is left of it, to be thrown away.
    #[must_use]
    pub fn take(&self) -> Option<Incoming> {
        self.body.borrow_mut().take()
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut body = self.body.borrow_mut();
        let Some(body) = body.as_mut() else {
            return Poll::Ready(None);
        };
        if self.state.get() == BodyState::Whole {
            self.state.set(BodyState::Begun);
        }
        loop {
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => {
                    self.state.set(BodyState::Ended);
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    self.state.set(BodyState::Broken);
                    return Poll::Ready(Some(Err(BodyError::Broken(error))));
                }
                Some(Ok(frame)) => {
                    // Trailers end here, as `Trailer` does.
                    let Some(data) = frame.data_ref() else {
                        continue;
                    };
                    match self.left.get().checked_sub(data.len() as u64) {
                        Some(left) => self.left.set(left),
                        None => {
                            self.state.set(BodyState::TooLarge);
                            return Poll::Ready(Some(Err(BodyError::TooLarge)));
                        }
                    }
                    if body.is_end_stream() {
                        self.state.set(BodyState::Ended);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
            }
        }
    }
}

/// What is sent to an upstream.
pub(super) enum ToUpstream {
    /// No body.
    Empty,
    /// The client's.
    Client(Rc<ClientBody>),
}

impl Body for ToUpstream {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &*self {
            Self::Empty => Poll::Ready(None),
            Self::Client(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Client(body) => body
                .body
                .borrow()
                .as_ref()
                .is_none_or(Incoming::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Client(body) => body
                .body
                .borrow()
                .as_ref()
                .map_or_else(SizeHint::default, Incoming::size_hint),
        }
    }
}

/// The body of an upstream's answer. Holds the connection that it comes over, and gives it back when
/// all has come; dropped before that, it closes the connection, which tells the upstream to stop.
pub struct UpstreamBody {
    body: Incoming,
    lease: Option<Lease>,
    stall_timeout: Duration,
    /// Made at the first pause: most bodies have none.
    stall: Option<Pin<Box<Sleep>>>,
    paused: bool,
}

impl UpstreamBody {
    /// The body that comes over the connection of `lease`.
    pub(super) fn new(body: Incoming, lease: Lease, stall_timeout: Duration) -> Self {
        let mut body = Self {
            body,
            lease: Some(lease),
            stall_timeout,
            stall: None,
            paused: false,
        };
        body.settle();
        body
    }

    /// Gives the connection back if all has come.
    fn settle(&mut self) {
        if self.body.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn poll_stall(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.stall_timeout;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.paused {
            self.paused = true;
            stall.as_mut().reset(Instant::now() + timeout);
        }
        stall.as_mut().poll(cx)
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) if frame.is_data() => {
                    self.paused = false;
                    self.settle();
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Ok(_trailers))) => {}
                Poll::Ready(Some(Err(error))) => {
                    self.lease = None;
                    tracing::warn!(%error, "an upstream broke off the body of its answer");
                    return Poll::Ready(Some(Err(BodyError::Broken(error))));
                }
                Poll::Ready(None) => {
                    self.give_back();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    ready!(self.poll_stall(cx));
                    self.lease = None;
                    tracing::warn!("an upstream paused too long within the body of its answer");
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
