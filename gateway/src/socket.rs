//! A TCP connection as a stream of bytes. Used by [`crate::server`] for clients and by [`crate::proxy`] for services.
//!
//! Tokio's own stream makes system calls by the C library, which in a process of several threads prepares each of them for the
//! cancellation of the thread, by two atomic operations; that shows in the cost of a request. Here they are made directly.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::net::{RecvFlags, SendFlags};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

/// A TCP connection.
pub(crate) struct Socket(TcpStream);

impl Socket {
    /// The connection of `stream`.
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// The stream, for operations other than reading and writing.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.0
    }
}

/// True if the call is to be repeated once the socket is ready.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            let unfilled = buffer.initialize_unfilled();
            let capacity = unfilled.len();
            let mut partial = 0;
            let received = self.0.try_io(Interest::READABLE, || {
                let (_, count) = rustix::net::recv(&self.0, &mut *unfilled, RecvFlags::empty())?;
                if (1..capacity).contains(&count) {
                    // The socket is empty: it counts as not ready from now on, which saves the call that would tell.
                    partial = count;
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(count)
            });
            let count = match received {
                Ok(count) => count,
                Err(_) if partial > 0 => partial,
                Err(error) if is_transient(&error) => continue,
                Err(error) => return Poll::Ready(Err(error)),
            };
            buffer.advance(count);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            let sent = self.0.try_io(Interest::WRITABLE, || {
                Ok(rustix::net::send(&self.0, bytes, SendFlags::empty())?)
            });
            match sent {
                Err(error) if is_transient(&error) => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
