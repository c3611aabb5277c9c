//! The time of day as an input, so that a test can set it. Durations are measured with
//! `std::time::Instant`, never with this.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// The machine's current time, for code that no test needs to set.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock"
)]
pub(crate) fn system_now() -> DateTime<Utc> {
    Utc::now()
}

/// A source of the current time; cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(Arc::new(system_now))
    }

    /// A clock that always returns `instant`.
    pub fn fixed(instant: DateTime<Utc>) -> Self {
        Self(Arc::new(move || instant))
    }

    /// The current time, UTC.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)()
    }
}
