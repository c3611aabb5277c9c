//! Password hashing with argon2id (RFC 9106) on blocking threads. Hashing takes memory and time by
//! design, so a few run concurrently, others wait for a while and are then refused. Called by the
//! services of logins and users.

use std::{fmt::Display, sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use chassis::config::ConfigError;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OnceCell, Semaphore};
use unicode_normalization::UnicodeNormalization;

use crate::{config::Config, error::Error};

/// The result of verifying a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The password is another, or the user has none.
    Mismatch,
    /// The password is correct.
    Match {
        /// True if the parameters of the stored hash differ from the configured ones.
        is_outdated: bool,
    },
}

/// Hashes and verifies passwords; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    permits: Arc<Semaphore>,
    wait: Duration,
    /// Verified if a user has no hash, so that the response takes the same time.
    dummy: Arc<OnceCell<String>>,
}

impl Passwords {
    /// A hasher with the configured parameters.
    ///
    /// # Errors
    /// Returns [`ConfigError`] if argon2 does not allow the parameters, or no hash may run.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let params = Params::new(
            config.argon2_memory_kib,
            config.argon2_iterations,
            config.argon2_parallelism,
            // Parsed hashes have an explicit length, and are compared with these parameters.
            Some(Params::DEFAULT_OUTPUT_LEN),
        )
        .map_err(|error| {
            ConfigError::Invalid(format!(
                "ARGON2_MEMORY_KIB, ARGON2_ITERATIONS, ARGON2_PARALLELISM: {error}"
            ))
        })?;
        if config.argon2_at_once == 0 {
            let message = "ARGON2_AT_ONCE must be at least 1";
            return Err(ConfigError::Invalid(message.to_owned()));
        }
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            permits: Arc::new(Semaphore::new(config.argon2_at_once)),
            wait: Duration::from_millis(config.argon2_wait_ms),
            dummy: Arc::default(),
        })
    }

    /// Hashes `password` with a random salt; returns the PHC string.
    ///
    /// # Errors
    /// `PasswordsBusy` if too many hashes are running, `Internal` if hashing fails.
    #[tracing::instrument(name = "service.passwords.hash", level = "debug", skip_all)]
    pub async fn hash(&self, password: &SecretString) -> Result<String, Error> {
        let password = normalize(password);
        self.run(move |argon2| {
            argon2
                .hash_password(password.expose_secret().as_bytes())
                .map(|hash| hash.to_string())
                .map_err(failed)
        })
        .await?
    }

    /// Verifies `password` against `stored_hash`. Without a hash it is a mismatch that takes the same
    /// time.
    ///
    /// # Errors
    /// `PasswordsBusy` if too many hashes are running, `Internal` if hashing fails.
    #[tracing::instrument(name = "service.passwords.verify", level = "debug", skip_all)]
    pub async fn verify(
        &self,
        password: &SecretString,
        stored_hash: Option<&str>,
    ) -> Result<Verdict, Error> {
        let has_hash = stored_hash.is_some();
        let hash = match stored_hash {
            Some(hash) => hash.to_owned(),
            None => self.dummy().await?,
        };
        let password = normalize(password);
        self.run(move |argon2| {
            let parsed = PasswordHash::new(&hash).map_err(failed)?;
            let is_match = argon2
                .verify_password(password.expose_secret().as_bytes(), &parsed)
                .is_ok();
            if !is_match || !has_hash {
                return Ok(Verdict::Mismatch);
            }
            let is_outdated = parsed.algorithm.as_str() != Algorithm::Argon2id.as_str()
                || Params::try_from(&parsed).ok().as_ref() != Some(argon2.params());
            Ok(Verdict::Match { is_outdated })
        })
        .await?
    }

    async fn dummy(&self) -> Result<String, Error> {
        let password = SecretString::from("the password of no user");
        let hash = || self.hash(&password);
        self.dummy.get_or_try_init(hash).await.cloned()
    }

    /// Runs `work` on a blocking thread once a permit is free. The permit is held until the work is
    /// done, even if the caller is cancelled.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let permit = tokio::time::timeout(self.wait, Arc::clone(&self.permits).acquire_owned());
        let permit = match permit.await {
            Ok(Ok(permit)) => permit,
            Ok(Err(error)) => return Err(failed(error)),
            Err(_) => return Err(Error::PasswordsBusy),
        };
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let result = work(&argon2);
            drop(permit);
            result
        })
        .await
        .map_err(failed)
    }
}

fn failed(error: impl Display) -> Error {
    Error::Internal(format!("cannot hash a password: {error}"))
}

/// Normalizes a password to Unicode form NFC, as keyboards compose characters differently
/// (RFC 8265, 4.2).
fn normalize(password: &SecretString) -> SecretString {
    SecretString::from(password.expose_secret().nfc().collect::<String>())
}
