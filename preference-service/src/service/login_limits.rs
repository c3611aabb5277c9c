//! Limits of wrong passwords. Called by [`super::auth`]. Attempts are counted by name and client address together, so that
//! wrong passwords from elsewhere refuse nobody; they are slowed down before they are refused. By name alone they are only
//! slowed down. A known device has a count of its own (OWASP, *Slow Down Online Guessing Attacks with Device Cookies*).

use std::time::Duration;

use super::attempts::AttemptLimiter;
use crate::error::Error;

/// Wrong passwords for a name from an address before responses are delayed.
const FREE_ATTEMPTS: u64 = 3;
/// Delays double up to this one.
const MAX_DELAY: Duration = Duration::from_secs(2);

/// The limiters of login attempts.
#[derive(Clone)]
pub struct LoginLimits {
    /// Per login name, as it was written, and client address.
    pub by_name_and_address: AttemptLimiter,
    /// Per login name; delays only.
    pub by_name: AttemptLimiter,
    /// Wrong passwords per client address.
    pub by_address: AttemptLimiter,
    /// Per known device.
    pub by_device: AttemptLimiter,
    /// The first delay.
    pub delay: Duration,
}

/// An attempt at the password of a login name.
#[derive(Debug, Clone)]
pub struct Attempt {
    name: String,
    address: Option<String>,
}

impl Attempt {
    /// An attempt at `name` from `address`, if it is known. The name is as it was written, not a user: a count shared by a
    /// username and an e-mail address would reveal that they belong to the same user.
    pub fn new(name: String, address: Option<String>) -> Self {
        Self { name, address }
    }

    fn pair(&self) -> String {
        // Names cannot contain a zero byte.
        format!(
            "{}\0{}",
            self.name,
            self.address.as_deref().unwrap_or_default()
        )
    }
}

impl LoginLimits {
    /// Counts an attempt that does not come from a known device, and delays it if there were several. Call it before the
    /// attempt, so that concurrent attempts cannot exceed the limit.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] at the name from the address, or from the address.
    pub async fn admit(&self, attempt: &Attempt) -> Result<(), Error> {
        if let Some(address) = &attempt.address {
            self.by_address.check(address).await?;
        }
        let pair = self.by_name_and_address.count(&attempt.pair()).await?;
        let excess = pair.saturating_sub(FREE_ATTEMPTS);
        let excess = excess.max(self.by_name.count_beyond_limit(&attempt.name).await);
        if let Some(doublings) = excess.checked_sub(1) {
            let factor = 1_u32 << doublings.min(10);
            tokio::time::sleep((self.delay * factor).min(MAX_DELAY)).await;
        }
        Ok(())
    }

    /// Records that the password of an admitted attempt was wrong.
    pub async fn fail(&self, attempt: &Attempt) {
        if let Some(address) = &attempt.address {
            // The next attempt is refused, not this one.
            let _ = self.by_address.count(address).await;
        }
    }

    /// Forgets the attempts at a name from an address that has given the password.
    pub async fn succeed(&self, attempt: &Attempt) {
        self.by_name_and_address.reset(&attempt.pair()).await;
    }
}
