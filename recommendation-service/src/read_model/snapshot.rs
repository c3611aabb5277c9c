//! Values in memory that requests read and a writer replaces. Readers clone the [`Arc`] and release
//! the lock immediately, so that no lock is held while a list is scored, nor across an await.
//!
//! [`Arc`]: std::sync::Arc

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A value that is shared by readers and one writer; cheap to clone.
#[derive(Debug)]
pub struct Shared<T>(Arc<RwLock<T>>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Shared<T> {
    /// Shares `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(value)))
    }

    /// Locks the value for reading: for a look-up, not for scoring. After a panic of the writer the value is used as
    /// it is, since the next change corrects it.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the value for writing.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Clone> Shared<T> {
    /// The value as it is now, without a lock on it.
    pub fn snapshot(&self) -> T {
        self.read().clone()
    }
}
