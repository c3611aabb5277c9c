//! The body of a service's response on its way to the client or its compression.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::{
    cache::tee::TeeBody,
    proxy::{BodyError, ResponseBody},
};

/// The body of a service's response.
pub(crate) enum ServiceBody {
    /// As it comes.
    Direct(ResponseBody),
    /// Through a task that stores it.
    Stored(TeeBody),
    /// It has failed; the client is told of it last.
    Failed(Option<BodyError>),
}

impl Body for ServiceBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = match this {
            Self::Direct(body) => Pin::new(body).poll_frame(cx),
            Self::Stored(body) => Pin::new(body).poll_frame(cx),
            Self::Failed(error) => return Poll::Ready(error.take().map(Err)),
        };
        match polled {
            // A failure ends the connection at once: what came before it is sent first.
            Poll::Ready(Some(Err(error))) => {
                *this = Self::Failed(Some(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            polled => polled,
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Direct(body) => body.is_end_stream(),
            Self::Stored(body) => body.is_end_stream(),
            Self::Failed(error) => error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Direct(body) => body.size_hint(),
            Self::Stored(body) => body.size_hint(),
            Self::Failed(_) => SizeHint::default(),
        }
    }
}
