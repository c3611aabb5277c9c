//! A buffer for bytes on their way from or to a socket within one call. It belongs to the thread, so that connections that wait
//! hold no memory for it. Used by [`crate::server`] and [`crate::proxy`].

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

/// Its size: the most bytes of one read.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER_BYTES].into());
}

/// Lends the buffer of this thread to `take`, which must not ask for it again.
pub(crate) fn with_thread_buffer<T>(take: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| take(buffer))
}

/// Reads from `stream`; the bytes are empty at its end.
pub(crate) fn poll_receive(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
) -> Poll<io::Result<Bytes>> {
    with_thread_buffer(|buffer| {
        let mut read = ReadBuf::new(buffer);
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        Poll::Ready(Ok(Bytes::copy_from_slice(read.filled())))
    })
}
