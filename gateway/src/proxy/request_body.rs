//! The body of a client's request on its way to a service: streamed, and counted against its limit.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, Sleep, sleep_until};

use super::errors::BodyError;

/// The body of a request. Shared by the call that carries it and the pipeline, which inspects its state
/// afterwards and sends it again if nothing of it was read.
pub(crate) struct RequestBody {
    body: RefCell<Option<Incoming>>,
    /// In bytes.
    pub(super) limit: u64,
    remaining: Cell<u64>,
    state: Cell<RequestBodyState>,
    pace: RefCell<Pace>,
}

/// The least speed of a body: a client may keep a service waiting for `grace`, and for the time that what it has sent
/// takes at `bytes_per_second`. The waits of the client for the service do not count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MinRate {
    pub(crate) grace: Duration,
    /// 0: no limit.
    pub(crate) bytes_per_second: u64,
}

/// The time that a service has waited for the client.
struct Pace {
    min: MinRate,
    waited: Duration,
    waiting_since: Option<Instant>,
    /// Created at the first wait: most bodies arrive with their head.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// Ready if the client, which has sent `received` bytes and is to send more, is too slow.
    fn poll_too_slow(&mut self, received: u64, cx: &mut Context<'_>) -> Poll<()> {
        if self.min.bytes_per_second == 0 {
            return Poll::Pending;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let transfer = received as f64 / self.min.bytes_per_second as f64;
        let allowed = self.min.grace + Duration::from_secs_f64(transfer);
        let until = since + allowed.saturating_sub(self.waited);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(until)));
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.as_mut().poll(cx)
    }

    fn end_wait(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
    }
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
    /// It comes too slowly.
    TooSlow,
    /// The client broke it off, or it is malformed.
    Broken,
}

impl RequestBody {
    /// A body of at most `limit` bytes, which comes at least as fast as `min_rate`.
    pub(crate) fn new(body: Incoming, limit: u64, min_rate: MinRate) -> Rc<Self> {
        Rc::new(Self {
            body: RefCell::new(Some(body)),
            limit,
            remaining: Cell::new(limit),
            state: Cell::new(RequestBodyState::Unread),
            pace: RefCell::new(Pace {
                min: min_rate,
                waited: Duration::ZERO,
                waiting_since: None,
                timer: None,
            }),
        })
    }

    pub(crate) fn state(&self) -> RequestBodyState {
        self.state.get()
    }

    /// Takes what is left of the body, to discard it.
    pub(crate) fn take(&self) -> Option<Incoming> {
        self.body.borrow_mut().take()
    }

    /// True if all of it was read.
    pub(crate) fn is_complete(&self) -> bool {
        self.state.get() == RequestBodyState::Complete
    }

    /// The bytes that are left, if their number is known.
    pub(super) fn length(&self) -> Option<u64> {
        let body = self.body.borrow();
        body.as_ref()
            .map_or(Some(0), |body| body.size_hint().exact())
    }

    /// The next bytes; `None` at the end.
    pub(super) fn poll_data(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let mut body = self.body.borrow_mut();
        let Some(body) = body.as_mut() else {
            return Poll::Ready(None);
        };
        self.state.set(RequestBodyState::AwaitingClient);
        let (state, result) = loop {
            let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) else {
                let received = self.limit - self.remaining.get();
                match self.pace.borrow_mut().poll_too_slow(received, cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {
                        break (RequestBodyState::TooSlow, Some(Err(BodyError::TooSlow)));
                    }
                }
            };
            self.pace.borrow_mut().end_wait();
            match frame {
                None => break (RequestBodyState::Complete, None),
                Some(Err(error)) => {
                    break (
                        RequestBodyState::Broken,
                        Some(Err(BodyError::Broken(error))),
                    );
                }
                Some(Ok(frame)) => {
                    // Trailers are dropped, as the header `Trailer` is.
                    let Ok(data) = frame.into_data() else {
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
                    break (state, Some(Ok(data)));
                }
            }
        };
        self.state.set(state);
        Poll::Ready(result)
    }
}
