//! The body of a client's request on its way to a service: streamed, and counted against its limit.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// A failure in the middle of a body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The body exceeds its limit.
    #[error("the body is too large")]
    TooLarge,
    /// The sender paused for too long.
    #[error("the body has stalled")]
    Stalled,
    /// The connection failed or the body is malformed.
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
}

/// The body of a request. Shared by the call that carries it and the pipeline, which inspects its state
/// afterwards and sends it again if nothing of it was read.
pub(crate) struct RequestBody {
    body: RefCell<Option<Incoming>>,
    /// In bytes.
    pub(super) limit: u64,
    remaining: Cell<u64>,
    state: Cell<RequestBodyState>,
}

/// The progress of a request body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestBodyState {
    /// Nothing was read.
    Unread,
    /// The client has to send more before the service can be sent more.
    AwaitingClient,
    /// Everything that was read was passed on.
    Reading,
    /// All of it was read.
    Complete,
    /// It exceeds its limit.
    TooLarge,
    /// The client broke it off, or it is malformed.
    Broken,
}

impl RequestBody {
    /// A body of at most `limit` bytes.
    pub(crate) fn new(body: Incoming, limit: u64) -> Rc<Self> {
        Rc::new(Self {
            body: RefCell::new(Some(body)),
            limit,
            remaining: Cell::new(limit),
            state: Cell::new(RequestBodyState::Unread),
        })
    }

    pub(crate) fn state(&self) -> RequestBodyState {
        self.state.get()
    }

    /// Takes what is left of the body, to discard it.
    pub(crate) fn take(&self) -> Option<Incoming> {
        self.body.borrow_mut().take()
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut body = self.body.borrow_mut();
        let Some(body) = body.as_mut() else {
            return Poll::Ready(None);
        };
        self.state.set(RequestBodyState::AwaitingClient);
        let (state, result) = loop {
            match ready!(Pin::new(&mut *body).poll_frame(cx)) {
                None => break (RequestBodyState::Complete, None),
                Some(Err(error)) => {
                    break (
                        RequestBodyState::Broken,
                        Some(Err(BodyError::Broken(error))),
                    );
                }
                Some(Ok(frame)) => {
                    // Trailers are dropped, as the header `Trailer` is.
                    let Some(data) = frame.data_ref() else {
                        continue;
                    };
                    let Some(rest) = self.remaining.get().checked_sub(data.len() as u64) else {
                        break (RequestBodyState::TooLarge, Some(Err(BodyError::TooLarge)));
                    };
                    self.remaining.set(rest);
                    let state = match body.is_end_stream() {
                        true => RequestBodyState::Complete,
                        false => RequestBodyState::Reading,
                    };
                    break (state, Some(Ok(frame)));
                }
            }
        };
        self.state.set(state);
        Poll::Ready(result)
    }
}

/// The body that is sent to a service: the client's, if there is one.
pub(super) struct OutgoingBody(pub(super) Option<Rc<RequestBody>>);

impl OutgoingBody {
    fn inspect<T>(&self, none: T, inspect: impl FnOnce(&Incoming) -> T) -> T {
        let body = self.0.as_ref().map(|body| body.body.borrow());
        match body.as_deref() {
            Some(Some(body)) => inspect(body),
            _ => none,
        }
    }
}

impl Body for OutgoingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &self.0 {
            None => Poll::Ready(None),
            Some(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inspect(true, Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inspect(SizeHint::with_exact(0), Incoming::size_hint)
    }
}
