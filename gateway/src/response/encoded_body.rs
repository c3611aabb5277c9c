//! The body of a service's response, compressed on its way to the client. Nothing is held back while the service pauses.

use std::{
    io,
    pin::Pin,
    rc::Weak,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use metrics::Counter;

use super::{Coding, ServiceBody, encoder::Encoder};
use crate::proxy::BodyError;

/// A compressed body.
pub(crate) struct EncodedBody {
    body: Box<ServiceBody>,
    /// `None` after the end.
    encoder: Option<Encoder>,
    /// True if the encoder may hold back what it was given.
    is_dirty: bool,
    bytes_in: Counter,
    bytes_out: Counter,
    /// Counts the body as active until it is dropped.
    _active: Weak<()>,
}

impl EncodedBody {
    /// Compresses `body` with the quality `level`, 1 to 9, and counts the bytes before and after.
    ///
    /// # Errors
    /// Returns those of the compressor, with the body.
    pub(crate) fn new(
        body: Box<ServiceBody>,
        coding: Coding,
        level: u32,
        (bytes_in, bytes_out): (Counter, Counter),
        active: Weak<()>,
    ) -> Result<Self, (io::Error, Box<ServiceBody>)> {
        match Encoder::new(coding, level) {
            Ok(encoder) => Ok(Self {
                body,
                encoder: Some(encoder),
                is_dirty: false,
                bytes_in,
                bytes_out,
                _active: active,
            }),
            Err(error) => Err((error, body)),
        }
    }

    /// The next output, if there is any: after `data`, or, without, at a pause of the service.
    fn encode(&mut self, data: Option<&[u8]>) -> io::Result<Option<Bytes>> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(None);
        };
        match data {
            Some(data) => {
                self.bytes_in.increment(data.len() as u64);
                encoder.write(data)?;
                self.is_dirty = true;
            }
            None if self.is_dirty => {
                encoder.flush()?;
                self.is_dirty = false;
            }
            None => return Ok(None),
        }
        let output = encoder.take();
        self.bytes_out.increment(output.len() as u64);
        Ok((!output.is_empty()).then_some(output))
    }

    fn finish(&mut self) -> io::Result<Option<Bytes>> {
        let Some(encoder) = self.encoder.take() else {
            return Ok(None);
        };
        let output = encoder.finish()?;
        self.bytes_out.increment(output.len() as u64);
        Ok((!output.is_empty()).then_some(output))
    }
}

impl Body for EncodedBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        loop {
            let (output, is_last) = match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.data_ref() {
                    Some(data) => (self.encode(Some(data)), false),
                    None => continue,
                },
                Poll::Ready(Some(Err(error))) => {
                    self.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => (self.finish(), true),
                // The service wakes the task, whatever is returned now.
                Poll::Pending => match self.encode(None) {
                    Ok(None) => return Poll::Pending,
                    output => (output, false),
                },
            };
            match output {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Ok(None) if is_last => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(%error, "a response cannot be compressed");
                    self.encoder = None;
                    return Poll::Ready(Some(Err(BodyError::Encoding)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none()
    }
}
