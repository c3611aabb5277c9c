//! HTTP/1.1 with a service (RFC 9112): requests over one connection, one at a time. All of it runs within the task of the request
//! that it serves, so that no other task has to be woken for a response. Used by [`super::instance`]; knows neither instances nor
//! retries.

mod framing;
mod head;

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use hyper::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use self::framing::Framing;
pub(super) use self::{framing::Decoded, head::RequestHead};
use super::{errors::Http1Error, request_body::RequestBody};
use crate::{message::Response, socket::Socket, thread_buffer::poll_receive};

/// A connection to a service, with or without TLS.
pub(crate) type Stream = Either<Socket, Box<TlsStream<Socket>>>;

/// The most bytes of a response's head.
const MAX_HEAD_BYTES: usize = 256 * 1024;

/// One connection.
pub(super) struct Http1 {
    stream: Stream,
    /// `None` if the request has been sent.
    outgoing: Option<Outgoing>,
    /// True if a byte of the request was written.
    is_written: bool,
    /// The failure to send the request. The service may have responded nevertheless.
    send_error: Option<Http1Error>,
    is_head_request: bool,
    /// Bytes that were read and are not used yet.
    received: Bytes,
    framing: Framing,
    /// True if the service keeps the connection open after the response.
    is_persistent: bool,
}

/// The rest of a request.
struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    body: Option<Rc<RequestBody>>,
    is_chunked: bool,
    /// True before the first write.
    is_new: bool,
}

impl Http1 {
    /// A connection over which nothing has been sent.
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            outgoing: None,
            is_written: false,
            send_error: None,
            is_head_request: false,
            received: Bytes::new(),
            framing: Framing::Length(0),
            is_persistent: true,
        }
    }

    /// True if another request can be sent: the previous one was, and its response has been read to its end.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_persistent
            && self.outgoing.is_none()
            && self.received.is_empty()
            && self.framing.is_complete()
    }

    /// True if the service has closed the idle connection, or sent what it was not asked for. Costs no system call as long as
    /// nothing has happened on the connection.
    pub(super) fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let mut read = ReadBuf::new(&mut byte);
        let mut cx = Context::from_waker(Waker::noop());
        Pin::new(&mut self.stream)
            .poll_read(&mut cx, &mut read)
            .is_ready()
    }

    /// Begins a request with the head `head` and `body`. [`Http1::poll_response`] sends it.
    pub(super) fn begin(&mut self, head: RequestHead, body: Option<Rc<RequestBody>>) {
        self.is_head_request = head.is_head;
        self.is_written = false;
        self.outgoing = Some(Outgoing {
            bytes: head.bytes,
            written: 0,
            body,
            is_chunked: head.is_chunked,
            is_new: true,
        });
    }

    /// True if a byte of the request was written.
    pub(super) fn is_written(&self) -> bool {
        self.is_written
    }

    /// Sends the request and returns the head of the response, without hop-by-hop headers unless it switches protocols.
    ///
    /// # Errors
    /// Returns an error if the request cannot be sent or the connection gives no response.
    pub(super) fn poll_response(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, Http1Error>> {
        if let Poll::Ready(Err(error)) = self.poll_send(cx) {
            self.outgoing = None;
            self.is_persistent = false;
            if matches!(error, Http1Error::RequestBody) || !self.is_written {
                return Poll::Ready(Err(error));
            }
            // The service may have refused the request before it read all of it.
            self.send_error = Some(error);
        }
        loop {
            let parsed = head::parse(&self.received, self.is_head_request)?;
            // The last read may have completed a head that is too large.
            let length = parsed.as_ref().map_or(self.received.len(), |head| head.1);
            if length > MAX_HEAD_BYTES {
                return Poll::Ready(Err(Http1Error::Malformed("the head is too large")));
            }
            if let Some((head, length)) = parsed {
                let _ = self.received.split_to(length);
                let status = head.response.status;
                // Interim responses (RFC 9110, 15.2) are for this connection alone.
                if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                    continue;
                }
                self.framing = head.framing;
                self.is_persistent &= head.is_persistent;
                return Poll::Ready(Ok(head.response));
            }
            let error = match ready!(self.poll_read(cx)) {
                Ok(0) => Http1Error::Ended,
                Ok(_) => continue,
                Err(error) => error.into(),
            };
            return Poll::Ready(Err(self.send_error.take().unwrap_or(error)));
        }
    }

    /// The next bytes of the response's body; `None` at its end. Sends the rest of the request meanwhile.
    pub(super) fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Http1Error>>> {
        if self.outgoing.is_some() && matches!(self.poll_send(cx), Poll::Ready(Err(_))) {
            // The response tells what came of the request.
            self.outgoing = None;
            self.is_persistent = false;
        }
        loop {
            match self.decode() {
                Ok(Decoded::Data(data)) => return Poll::Ready(Some(Ok(data))),
                Ok(Decoded::End) => return Poll::Ready(None),
                Ok(Decoded::Incomplete) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            match ready!(self.poll_read(cx)) {
                Ok(0) if self.framing.end() => return Poll::Ready(None),
                Ok(0) => return Poll::Ready(Some(Err(Http1Error::Ended))),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
    }

    /// The part of the response's body that has been received.
    ///
    /// # Errors
    /// Returns an error if its framing is invalid.
    pub(super) fn decode(&mut self) -> Result<Decoded, Http1Error> {
        self.framing.decode(&mut self.received)
    }

    /// The bytes of the response's body that are not decoded yet, if their number is known.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.framing.remaining()
    }

    /// The stream, which another protocol takes over, and what was read of that.
    pub(super) fn into_stream(self) -> (Stream, Bytes) {
        (self.stream, self.received)
    }

    /// Reads into `received`; returns the number of bytes, 0 at the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let bytes = ready!(poll_receive(&mut self.stream, cx))?;
        let count = bytes.len();
        self.received = match self.received.is_empty() {
            true => bytes,
            false => [&self.received[..], &bytes].concat().into(),
        };
        Poll::Ready(Ok(count))
    }

    /// Sends the rest of the request.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Http1Error>> {
        let Some(outgoing) = &mut self.outgoing else {
            return Poll::Ready(Ok(()));
        };
        // The part of the body that came with the head goes on with it.
        if outgoing.is_new {
            outgoing.is_new = false;
            if let Poll::Ready(Err(error)) = outgoing.poll_body(cx) {
                return Poll::Ready(Err(error));
            }
        }
        loop {
            while let rest @ [_, ..] = &outgoing.bytes[outgoing.written..] {
                let count = ready!(Pin::new(&mut self.stream).poll_write(cx, rest))?;
                if count == 0 {
                    let error = io::Error::from(io::ErrorKind::WriteZero);
                    return Poll::Ready(Err(error.into()));
                }
                outgoing.written += count;
                self.is_written = true;
            }
            outgoing.bytes.clear();
            outgoing.written = 0;
            let body = outgoing.poll_body(cx)?;
            if outgoing.bytes.is_empty() {
                // TLS holds back what the socket does not accept.
                ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                ready!(body);
                if outgoing.body.is_none() {
                    self.outgoing = None;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl Outgoing {
    /// Adds the next part of the body to the bytes to be sent; adds nothing after its end.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Http1Error>> {
        let Some(body) = &self.body else {
            return Poll::Ready(Ok(()));
        };
        let Some(data) = ready!(body.poll_data(cx)) else {
            self.body = None;
            if self.is_chunked {
                self.bytes.extend_from_slice(b"0\r\n\r\n");
            }
            return Poll::Ready(Ok(()));
        };
        let data = data.map_err(|_| Http1Error::RequestBody)?;
        if self.is_chunked {
            framing::write_chunk(&mut self.bytes, &data);
        } else {
            self.bytes.extend_from_slice(&data);
            if body.is_complete() {
                self.body = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}
