//! Revisions: the states of values in memory, for caches of what was computed from them.

use std::sync::atomic::{AtomicU64, Ordering};

/// A revision, unique in this process. Two values that differ only in it are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Revision(u64);

static LAST: AtomicU64 = AtomicU64::new(0);

impl Revision {
    /// A revision that no value has had.
    pub fn next() -> Self {
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The number, which increases.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl PartialEq for Revision {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}
