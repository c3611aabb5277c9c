//! A buffer for bytes on their way from or to a socket within one call. It belongs to the thread, so that connections that wait
//! hold no memory for it. Used by [`crate::server`] and [`crate::proxy`].

use std::cell::RefCell;

/// Its size: the most bytes of one read.
const BUFFER_BYTES: usize = 64 * 1024;

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; BUFFER_BYTES].into());
}

/// Lends the buffer of this thread to `take`, which must not ask for it again.
pub(crate) fn with_thread_buffer<T>(take: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| take(buffer))
}
