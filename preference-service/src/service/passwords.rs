//! Passwords: hashed with argon2id (RFC 9106), off the threads that serve requests, a few at a time,
//! since each takes memory and time on purpose. One more waits a while, and is then refused.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version,
    password_hash::phc::PasswordHash,
};
use chassis::config::ConfigError;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OnceCell, Semaphore};
use unicode_normalization::UnicodeNormalization;

use crate::config::Config;

/// Why a password could not be hashed or checked.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// As many as may be under way are, and have been for a while.
    #[error("too many passwords are being checked")]
    Busy,
    /// No randomness to be had, or the process is stopping.
    #[error("cannot hash a password: {0}")]
    Failed(String),
}

/// What a check brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is another password, or there is none.
    Wrong,
    /// It is the password.
    Right {
        /// Whether its hash was made with other parameters than a new one would be.
        outdated: bool,
    },
}

/// Hashes and checks passwords; cheap to clone.
#[derive(Clone)]
pub struct Passwords {
    argon2: Argon2<'static>,
    slots: Arc<Semaphore>,
    wait: Duration,
    /// Checked where there is nothing to check, so that it takes as long.
    dummy: Arc<OnceCell<String>>,
}

impl Passwords {
    /// As the settings say.
    ///
    /// # Errors
    /// Parameters that argon2 does not have, or no hash at once.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let params = Params::new(
            config.argon2_memory_kib,
            config.argon2_iterations,
            config.argon2_parallelism,
            // As the hashes that are read back say it.
            Some(Params::DEFAULT_OUTPUT_LEN),
        )
        .map_err(|error| {
            ConfigError::Invalid(format!(
                "ARGON2_MEMORY_KIB, ARGON2_ITERATIONS, ARGON2_PARALLELISM: {error}"
            ))
        })?;
        if config.argon2_at_once == 0 {
            let what = "ARGON2_AT_ONCE must be at least 1";
            return Err(ConfigError::Invalid(what.to_owned()));
        }
        Ok(Self {
            argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params),
            slots: Arc::new(Semaphore::new(config.argon2_at_once)),
            wait: Duration::from_millis(config.argon2_wait_ms),
            dummy: Arc::default(),
        })
    }

    /// The hash of `password` with a salt of its own, in PHC's string form.
    ///
    /// # Errors
    /// Too many are under way, or it fails.
    pub async fn hash(&self, password: &SecretString) -> Result<String, HashError> {
        let password = prepared(password);
        self.run(move |argon2| hash(argon2, &password)).await?
    }

    /// Whether `password` is the one whose hash is `known`. With no hash it is wrong, and takes as long.
    ///
    /// # Errors
    /// Too many are under way, or it fails.
    pub async fn check(
        &self,
        password: &SecretString,
        known: Option<&str>,
    ) -> Result<Verdict, HashError> {
        let exists = known.is_some();
        let known = match known {
            Some(known) => known.to_owned(),
            None => self.dummy().await?,
        };
        let password = prepared(password);
        self.run(move |argon2| {
            let parsed =
                PasswordHash::new(&known).map_err(|error| HashError::Failed(error.to_string()))?;
            let right = argon2
                .verify_password(password.expose_secret().as_bytes(), &parsed)
                .is_ok();
            if !right || !exists {
                return Ok(Verdict::Wrong);
            }
            let outdated = parsed.algorithm.as_str() != Algorithm::Argon2id.as_str()
                || Params::try_from(&parsed).ok().as_ref() != Some(argon2.params());
            Ok(Verdict::Right { outdated })
        })
        .await?
    }

    async fn dummy(&self) -> Result<String, HashError> {
        let nobodys = SecretString::from("nobody has this password");
        let make = || self.hash(&nobodys);
        self.dummy.get_or_try_init(make).await.cloned()
    }

    /// Runs `work` once there is room for it, on a thread that may be kept busy. The room is given back
    /// when the work is done, even where nobody waits for it any more.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Argon2<'static>) -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let slot = tokio::time::timeout(self.wait, Arc::clone(&self.slots).acquire_owned());
        let slot = match slot.await {
            Ok(Ok(slot)) => slot,
            Ok(Err(error)) => return Err(HashError::Failed(error.to_string())),
            Err(_) => return Err(HashError::Busy),
        };
        let argon2 = self.argon2.clone();
        tokio::task::spawn_blocking(move || {
            let done = work(&argon2);
            drop(slot);
            done
        })
        .await
        .map_err(|error| HashError::Failed(error.to_string()))
    }
}

/// The same characters are the same password, however a keyboard composes them (RFC 8265, 4.2).
fn prepared(password: &SecretString) -> SecretString {
    SecretString::from(password.expose_secret().nfc().collect::<String>())
}

fn hash(argon2: &Argon2<'_>, password: &SecretString) -> Result<String, HashError> {
    argon2
        .hash_password(password.expose_secret().as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| HashError::Failed(error.to_string()))
}
