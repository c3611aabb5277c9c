//! The circuit breaker of an instance: opens when the instance stops responding to anything, so that requests to it fail at
//! once instead of at their time limit, and closes when it responds again. A slow response alone does not open it: an
//! instance that owes a response for a while is asked for `/health/live`. [`super::forward`] reads it, [`super::upstream`]
//! sets it. It sends nothing itself.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::waker_set::WakerSet;

/// Times at which an instance did not respond and its breaker opened, by service and group (counter).
pub(super) const BREAKER_OPENED_TOTAL: &str = "upstream_breaker_opened_total";
/// Requests that an open breaker refused or ended, by service and group (counter).
pub(super) const BREAKER_REFUSED_TOTAL: &str = "upstream_breaker_refused_total";
/// The interval between two probes of an instance whose breaker is open.
const REOPEN_INTERVAL: Duration = Duration::from_millis(500);

/// Sets the help texts of this module's metrics.
pub(crate) fn describe_metrics() {
    metrics::describe_counter!(
        BREAKER_OPENED_TOTAL,
        "Times an instance stopped responding, by service and group; each thread counts for itself"
    );
    metrics::describe_counter!(
        BREAKER_REFUSED_TOTAL,
        "Requests that failed at once because no instance of the service's group responds"
    );
}

/// The breaker of one instance.
pub(super) struct Breaker {
    is_open: Cell<bool>,
    is_probing: Cell<bool>,
    /// True if a connection to the instance timed out since the latest probe.
    is_suspected: Cell<bool>,
    /// Requests whose response has not begun.
    awaiting: Cell<u32>,
    /// The latest sign of life while responses are awaited, or the latest probe.
    since: Cell<Instant>,
    /// The number of times that it opened. Connections from before the latest one are not used any more.
    openings: Cell<u64>,
    /// The tasks that wait for a connection to the instance, which end when the breaker opens.
    pub(super) waiting: WakerSet,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            is_open: Cell::new(false),
            is_probing: Cell::new(false),
            is_suspected: Cell::new(false),
            awaiting: Cell::new(0),
            since: Cell::new(Instant::now()),
            openings: Cell::new(0),
            waiting: WakerSet::default(),
        }
    }
}

impl Breaker {
    /// True if requests must not be sent.
    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Records that a connection timed out, so that the instance is probed at once. A single lost packet must not end the
    /// requests over its other connections.
    pub(super) fn suspect(&self) {
        self.is_suspected.set(true);
    }

    /// Opens the breaker, which ends all connections: the requests that wait for them fail.
    fn open(&self) {
        self.is_open.set(true);
        self.since.set(Instant::now());
        self.openings.set(self.openings.get() + 1);
        self.waiting.wake_all();
    }

    /// The number of times that it opened.
    pub(super) fn openings(&self) -> u64 {
        self.openings.get()
    }

    /// Counts a request that is sent at `now` until the guard is dropped.
    pub(super) fn await_response(&self, now: Instant) -> Awaiting<'_> {
        if self.awaiting.get() == 0 {
            self.since.set(now);
        }
        self.awaiting.set(self.awaiting.get() + 1);
        Awaiting(self)
    }

    /// True if the instance is to be probed now, after `probe_after` without a response that it owes; the result goes to
    /// [`Breaker::probed`].
    pub(super) fn begin_probe(&self, probe_after: Duration) -> bool {
        let silence = self.since.get().elapsed();
        let is_due = match self.is_open.get() {
            true => silence >= REOPEN_INTERVAL,
            false => self.is_suspected.get() || (self.awaiting.get() > 0 && silence >= probe_after),
        };
        let begins = is_due && !self.is_probing.replace(true);
        if begins {
            self.is_suspected.set(false);
        }
        begins
    }

    /// Sets the breaker by the result of a probe. True if that opened or closed it.
    pub(super) fn probed(&self, lives: bool) -> bool {
        self.is_probing.set(false);
        self.since.set(Instant::now());
        let is_changed = lives == self.is_open.get();
        match (is_changed, lives) {
            (true, true) => self.is_open.set(false),
            (true, false) => self.open(),
            (false, _) => {}
        }
        is_changed
    }
}

/// A request whose response is awaited.
pub(super) struct Awaiting<'a>(&'a Breaker);

impl Awaiting<'_> {
    /// Records that the response began at `now`.
    pub(super) fn responded(self, now: Instant) {
        self.0.since.set(now);
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        let awaiting = &self.0.awaiting;
        awaiting.set(awaiting.get().saturating_sub(1));
    }
}
