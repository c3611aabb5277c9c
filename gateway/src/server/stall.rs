//! The time limit of writes to a client that accepts nothing. Used by the streams of both versions of HTTP.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// The time for which one operation has been pending.
#[derive(Default)]
pub(super) struct StallTimer {
    /// Created at the first wait: most connections never wait.
    timer: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
}

impl StallTimer {
    /// Fails an operation that has been pending for `timeout`.
    pub(super) fn limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        timeout: Duration,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.is_waiting = false;
            return result;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if !self.is_waiting {
            self.is_waiting = true;
            timer.as_mut().reset(Instant::now() + timeout);
        }
        timer
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}
