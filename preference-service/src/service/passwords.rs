//! Passwords: hashed with argon2id (RFC 9106), off the threads that serve requests, a few at a time,
//! since each takes memory and time on purpose. They are checked once there is something to log in to.

use std::sync::Arc;

use argon2::{Argon2, PasswordHasher};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// Hashes under way at once; each takes 19 MiB.
const AT_ONCE: usize = 2;

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
#[error("cannot hash a password: {0}")]
pub struct HashError(String);

/// Hashes passwords; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Passwords {
    /// The hash of `password` with a salt of its own, in PHC's string form.
    ///
    /// # Errors
    /// No randomness to be had, or the process is stopping.
    pub async fn hash(&self, password: &SecretString) -> Result<String, HashError> {
        let _slot = self
            .slots
            .acquire()
            .await
            .map_err(|error| HashError(error.to_string()))?;
        let password = password.clone();
        tokio::task::spawn_blocking(move || {
            Argon2::default()
                .hash_password(password.expose_secret().as_bytes())
                .map(|hash| hash.to_string())
                .map_err(|error| HashError(error.to_string()))
        })
        .await
        .map_err(|error| HashError(error.to_string()))?
    }
}
