//! The body of a response that is stored while its first client receives it. A task reads it from the service at the
//! service's speed, so that neither a slow client nor one that hangs up holds up the others that wait for the response.

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};

use crate::proxy::{BodyError, ResponseBody};

/// The frames on their way from the task to the client, fewer than the largest body that is stored.
#[derive(Default)]
struct Pipe {
    frames: VecDeque<Bytes>,
    end: Option<End>,
    reader: Option<Waker>,
    is_given_up: bool,
}

/// The last of what the task has to say.
enum End {
    Complete,
    Broken(BodyError),
    /// The body is too large; the client reads the rest itself.
    Rest(Box<ResponseBody>),
}

impl Pipe {
    fn push(&mut self, frame: Bytes) {
        if !self.is_given_up {
            self.frames.push_back(frame);
            self.wake();
        }
    }

    fn end(&mut self, end: End) {
        if !self.is_given_up {
            self.end = Some(end);
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// The writing end of a [`TeeBody`], which also collects what it passes on: that of the task.
pub(crate) struct TeeWriter(Rc<RefCell<Pipe>>);

/// A body that a task reads from the service, to be stored, and passes on to the client.
pub(crate) struct TeeBody(Rc<RefCell<Pipe>>);

/// A body and its writing end, for [`TeeWriter::copy`].
pub(crate) fn tee() -> (TeeWriter, TeeBody) {
    let pipe = Rc::default();
    (TeeWriter(Rc::clone(&pipe)), TeeBody(pipe))
}

impl TeeWriter {
    /// Reads `body` and passes it on. Returns it whole, or `None` if it has more than `limit` bytes or breaks off.
    pub(super) async fn copy(self, body: ResponseBody, limit: usize) -> Option<Vec<u8>> {
        let mut body = Box::new(body);
        let mut whole = Vec::new();
        while let Some(frame) = body.frame().await {
            let mut pipe = self.0.borrow_mut();
            match frame {
                Ok(frame) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    let is_too_large = whole.len() + data.len() > limit;
                    if !is_too_large {
                        whole.extend_from_slice(&data);
                    }
                    pipe.push(data);
                    if is_too_large {
                        pipe.end(End::Rest(body));
                        return None;
                    }
                }
                Err(error) => {
                    pipe.end(End::Broken(error));
                    return None;
                }
            }
        }
        self.0.borrow_mut().end(End::Complete);
        Some(whole)
    }
}

impl Drop for TeeWriter {
    fn drop(&mut self) {
        let mut pipe = self.0.borrow_mut();
        if pipe.end.is_none() {
            // The task panicked or the runtime ends.
            pipe.end(End::Broken(BodyError::Stalled));
        }
    }
}

impl Body for TeeBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut pipe = self.0.borrow_mut();
        if let Some(frame) = pipe.frames.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(frame))));
        }
        match pipe.end.take() {
            None => {
                pipe.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(End::Complete) => {
                pipe.end = Some(End::Complete);
                Poll::Ready(None)
            }
            Some(End::Broken(error)) => {
                pipe.end = Some(End::Complete);
                Poll::Ready(Some(Err(error)))
            }
            Some(End::Rest(mut body)) => {
                let polled = Pin::new(&mut *body).poll_frame(cx);
                pipe.end = Some(End::Rest(body));
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let pipe = self.0.borrow();
        pipe.frames.is_empty()
            && match &pipe.end {
                Some(End::Complete) => true,
                Some(End::Rest(body)) => body.is_end_stream(),
                Some(End::Broken(_)) | None => false,
            }
    }
}

impl Drop for TeeBody {
    fn drop(&mut self) {
        let mut pipe = self.0.borrow_mut();
        pipe.is_given_up = true;
        pipe.frames.clear();
        // The rest of a body closes its connection to the service.
        drop(pipe.end.take());
    }
}
