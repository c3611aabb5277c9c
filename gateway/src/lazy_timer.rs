//! A timer for time limits that are seldom reached. Used by [`crate::server`] and [`crate::pipeline`].

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is used for one wait after another. The runtime is told of a later end only when an earlier one has passed,
/// since most waits are over long before: a new timer for each would cost more than the wait.
#[derive(Default)]
pub(crate) struct LazyTimer {
    timer: Option<Pin<Box<Sleep>>>,
    /// The task that the timer wakes.
    task: Option<Waker>,
}

impl LazyTimer {
    /// Ready when `ends` has passed.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, ends: Instant) -> Poll<()> {
        let is_late = |timer: &Pin<Box<Sleep>>| timer.deadline() > ends;
        if self.timer.as_ref().is_some_and(is_late) {
            self.reset(ends);
        }
        loop {
            let set_to = ready!(self.poll_timer(cx, || ends));
            if set_to >= ends {
                return Poll::Ready(());
            }
            self.reset(ends);
        }
    }

    /// Lets the timer run without an end, so that it wakes the task within `interval`.
    pub(crate) fn poll_endless(&mut self, cx: &mut Context<'_>, interval: Duration) {
        let next = || Instant::now() + interval;
        while self.poll_timer(cx, next).is_ready() {
            self.reset(next());
        }
    }

    /// The output of `future`, or `None` if it is not ready at `ends`.
    pub(crate) async fn limit<F: Future>(
        &mut self,
        ends: Instant,
        mut future: Pin<&mut F>,
    ) -> Option<F::Output> {
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => self.poll(cx, ends).map(|()| None),
        })
        .await
    }

    fn reset(&mut self, to: Instant) {
        self.task = None;
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(to);
        }
    }

    /// The time to which the timer is set, once it has passed. A new one is set to `first`.
    fn poll_timer(&mut self, cx: &mut Context<'_>, first: impl Fn() -> Instant) -> Poll<Instant> {
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(first())));
        let is_set = |task: &Waker| task.will_wake(cx.waker());
        if !timer.is_elapsed() && self.task.as_ref().is_some_and(is_set) {
            return Poll::Pending;
        }
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(timer.deadline());
        }
        self.task = Some(cx.waker().clone());
        Poll::Pending
    }
}
