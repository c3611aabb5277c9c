//! A stream of which some bytes have been read already: they are read again first. Used where one protocol passes a connection
//! on to another.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream `S` behind bytes that were read from it.
pub(super) struct UnreadStream<S> {
    unread: Bytes,
    stream: S,
}

impl<S> UnreadStream<S> {
    /// `stream`, from which `unread` was read.
    pub(super) fn new(stream: S, unread: Bytes) -> Self {
        Self { unread, stream }
    }

    /// The same stream, from which `bytes` were read, too, after all that was unread before.
    pub(super) fn unread(mut self, bytes: Bytes) -> Self {
        self.unread = match self.unread.is_empty() {
            true => bytes,
            false => [bytes, self.unread].concat().into(),
        };
        self
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for UnreadStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for UnreadStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
