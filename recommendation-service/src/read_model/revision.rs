//! Which state something is in, for who keeps what was made from it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A state of something; of another state of anything in this process it is another. Two values that are
/// the same but for it are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Revision(u64);

static LAST: AtomicU64 = AtomicU64::new(0);

impl Revision {
    /// One that nothing has had.
    #[must_use]
    pub fn next() -> Self {
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Its number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

impl PartialEq for Revision {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}
