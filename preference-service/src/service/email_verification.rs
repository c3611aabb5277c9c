//! Verification of e-mail addresses by a link. Called by the service of users and the handlers of verification. A new address
//! takes effect when its link is opened; an account whose first address is not verified within a day is erased, so that nobody
//! keeps a name or the address of another.

use std::time::Duration;

use chassis::{config::ConfigError, feed::outbox::Outbox, shutdown::Shutdown};
use sqlx::PgPool;
use url::Url;

use super::{attempts::AttemptLimiter, mail::Mailer};
use crate::{
    config::Config,
    error::Error,
    models::{SecretHash, UniqueText, UserId, random_secret},
    repository::{email_verifications, erasure},
};

/// The interval at which unverified accounts are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);
/// Accounts that are erased at once.
const EXPIRY_BATCH: i64 = 100;

/// Verifies addresses; cheap to clone.
#[derive(Clone)]
pub struct EmailVerification {
    pool: PgPool,
    mailer: Mailer,
    /// The mails of a user in a window.
    mails: AttemptLimiter,
    base: Url,
    /// False if addresses take effect without verification.
    pub is_required: bool,
}

impl EmailVerification {
    /// Verification by links to `config.public_url`; `mails` limits them per user. Starts the erasure of accounts that were not
    /// verified in time.
    ///
    /// # Errors
    /// As [`Mailer::new`].
    pub fn start(
        pool: PgPool,
        outbox: Outbox,
        mails: AttemptLimiter,
        config: &Config,
        shutdown: &Shutdown,
    ) -> Result<Self, ConfigError> {
        let is_required = config.requires_verification();
        if is_required {
            shutdown.spawn(expire(pool.clone(), outbox, shutdown.clone()));
        }
        Ok(Self {
            pool,
            mailer: Mailer::new(config, shutdown)?,
            mails,
            base: config.public_url.clone(),
            is_required,
        })
    }

    /// Sends a link that verifies `email` for the user.
    ///
    /// # Errors
    /// `TooManyAttempts` if the user requested too many.
    #[tracing::instrument(name = "service.email_verification.request", level = "debug", skip_all, fields(%user_id))]
    pub async fn request(&self, user_id: UserId, email: &UniqueText) -> Result<(), Error> {
        self.mails.acquire(&user_id.to_string()).await?;
        let token = random_secret();
        let hash = SecretHash::of(token.as_bytes());
        email_verifications::store(&self.pool, user_id, email, &hash).await?;
        let mut link = self.base.clone();
        link.set_path("/api/v1/auth/verify-email");
        link.set_query(Some(&format!("token={token}")));
        self.mailer.send(
            &email.text,
            "Verify your e-mail address",
            "Open this link within a day to verify the address. If you did not request it, ignore this mail.",
            link.as_str(),
        );
        Ok(())
    }

    /// Sends the link again that the user waits for.
    ///
    /// # Errors
    /// `AlreadyVerified` if there is none; `TooManyAttempts`; `UserNotFound`.
    #[tracing::instrument(name = "service.email_verification.request_again", level = "debug", skip_all, fields(%user_id))]
    pub async fn request_again(&self, user_id: UserId) -> Result<(), Error> {
        let waiting = email_verifications::find(&self.pool, user_id).await?;
        let email = waiting.ok_or(Error::UserNotFound)?;
        let email = email.ok_or(Error::AlreadyVerified)?;
        self.request(user_id, &email).await
    }

    /// Makes the address of a link take effect.
    ///
    /// # Errors
    /// `VerificationNotFound` if the link is unknown, used or has expired; `EmailTaken` if another user has the address by now.
    #[tracing::instrument(name = "service.email_verification.verify", level = "debug", skip_all)]
    pub async fn verify(&self, token: &str) -> Result<(), Error> {
        let hash = SecretHash::of(token.as_bytes());
        let is_verified = email_verifications::verify(&self.pool, &hash).await?;
        is_verified.then_some(()).ok_or(Error::VerificationNotFound)
    }
}

/// Erases accounts that were not verified in time, until the shutdown.
async fn expire(pool: PgPool, outbox: Outbox, shutdown: Shutdown) {
    loop {
        match expire_once(&pool).await {
            Ok(0) => {}
            Ok(erased) => {
                tracing::info!(erased, "erased accounts whose address was not verified");
                outbox.notify_readers();
            }
            Err(error) => tracing::debug!(%error, "cannot erase unverified accounts"),
        }
        if shutdown.sleep(EXPIRY_INTERVAL).await {
            return;
        }
    }
}

/// Erases the accounts that have been unverified for a day; returns their number.
async fn expire_once(pool: &PgPool) -> sqlx::Result<usize> {
    let mut erased = 0;
    loop {
        let expired = email_verifications::list_expired(pool, EXPIRY_BATCH).await?;
        if expired.is_empty() {
            return Ok(erased);
        }
        for id in expired {
            erasure::erase(pool, id).await?;
            erased += 1;
        }
    }
}
