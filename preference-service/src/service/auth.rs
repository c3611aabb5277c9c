//! Logging in: a password becomes an access token, which is short and verified without us, and a
//! refresh token, which is long, used once, and remembered.
//!
//! Whether a name exists is told to nobody: the answer and the work are the same.

use std::net::IpAddr;

use chrono::Utc;
use secrecy::SecretString;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use super::{
    attempts::{Attempts, TooMany, client_subject},
    passwords::{HashError, Passwords, Verdict},
    signing::{PublicKey, SigningError, SigningKeys},
};
use crate::{
    config::Config,
    models::{NoRandomness, RefreshToken, Role, User, UserId, login_key},
    repository::{
        tokens::{self, Rotation},
        users,
    },
};

/// Refresh tokens that were shown twice (counter).
pub const REFRESH_REUSED_TOTAL: &str = "refresh_reused_total";

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// There is no such user, or it is not their password, or they have none.
    #[error("wrong name or password")]
    WrongCredentials,
    /// The refresh token is none, has expired, or was used before.
    #[error("invalid refresh token")]
    InvalidRefreshToken,
    /// There were too many attempts.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The password could not be checked.
    #[error(transparent)]
    Password(#[from] HashError),
    /// There is nothing to sign with.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// There is nothing to make a token of.
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    /// Postgres failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// What somebody gets who has logged in.
#[derive(Debug)]
pub struct Login {
    /// A JWT.
    pub access_token: String,
    /// How long it is valid, in seconds.
    pub expires_in: u32,
    /// What the next tokens are got with, once.
    pub refresh_token: String,
    /// Who it is.
    pub user: User,
}

/// What an access token says.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    role: Role,
    iat: i64,
    exp: i64,
    jti: Uuid,
}

/// Logins; cheap to clone.
#[derive(Clone)]
pub struct Auth {
    pool: PgPool,
    passwords: Passwords,
    keys: SigningKeys,
    by_account: Attempts,
    by_address: Attempts,
    issuer: String,
    audience: String,
    access_ttl_seconds: u32,
    refresh_ttl_seconds: u32,
}

impl Auth {
    /// Of the users in `pool`; `by_account` and `by_address` count attempts.
    #[must_use]
    pub fn new(
        pool: PgPool,
        passwords: Passwords,
        keys: SigningKeys,
        (by_account, by_address): (Attempts, Attempts),
        config: &Config,
    ) -> Self {
        Self {
            pool,
            passwords,
            keys,
            by_account,
            by_address,
            issuer: config.jwt_issuer.clone(),
            audience: config.jwt_audience.clone(),
            access_ttl_seconds: config.access_ttl_seconds,
            refresh_ttl_seconds: config.refresh_ttl_seconds,
        }
    }

    /// Tokens for whoever has this name, or address, and password. `client` is where they ask from, as
    /// far as that is known.
    ///
    /// Attempts are counted by the name that was written, not by the user who has it: that a name and
    /// an address are the same user's is nobody's business.
    ///
    /// # Errors
    /// There are none, or too many attempts; or what is needed for it is not there.
    pub async fn log_in(
        &self,
        name: &str,
        password: &SecretString,
        client: Option<IpAddr>,
    ) -> Result<Login, AuthError> {
        let client = client.map(client_subject);
        if let Some(client) = &client {
            self.by_address.take(client).await?;
        }
        let key = login_key(name);
        // Names that cannot be are counted together.
        let subject = key.clone().unwrap_or_default();
        self.by_account.take(&subject).await?;
        let found = match &key {
            Some(key) => users::find_login(&self.pool, key).await?,
            None => None,
        };
        let (user, known) = match found {
            Some((user, known)) => (Some(user), known),
            None => (None, None),
        };
        let verdict = self.passwords.check(password, known.as_deref()).await?;
        let (Verdict::Right { outdated }, Some(user), Some(known)) = (verdict, user, known) else {
            return Err(AuthError::WrongCredentials);
        };
        let known = if outdated {
            self.rehash(user.id, password, known).await?
        } else {
            known
        };
        let token = RefreshToken::first()?;
        let ttl = self.refresh_ttl_seconds;
        if !tokens::create(&self.pool, user.id, &known, &token, ttl).await? {
            return Err(AuthError::WrongCredentials);
        }
        self.by_account.forgive(&subject).await;
        self.issue(user, &token).await
    }

    /// New tokens for a refresh token, which is then used up.
    ///
    /// # Errors
    /// It was used up before, in which case its whole login ends, or is none; or what is needed for it
    /// is not there.
    pub async fn refresh(&self, shown: &str) -> Result<Login, AuthError> {
        let shown = RefreshToken::parse(shown).ok_or(AuthError::InvalidRefreshToken)?;
        let next = RefreshToken::next(shown.family())?;
        let ttl = self.refresh_ttl_seconds;
        match tokens::rotate(&self.pool, &shown, &next.hash(), ttl).await? {
            Rotation::Rotated(user) => self.issue(user, &next).await,
            Rotation::Reused(user_id) => {
                metrics::counter!(REFRESH_REUSED_TOTAL).increment(1);
                tracing::warn!(%user_id, "a refresh token was shown twice; its login has ended");
                Err(AuthError::InvalidRefreshToken)
            }
            Rotation::Unknown => Err(AuthError::InvalidRefreshToken),
        }
    }

    /// Ends the login that a refresh token belongs to, if there is one.
    ///
    /// # Errors
    /// Postgres's.
    pub async fn log_out(&self, shown: &str) -> sqlx::Result<()> {
        match RefreshToken::parse(shown) {
            Some(shown) => tokens::end(&self.pool, &shown).await,
            None => Ok(()),
        }
    }

    /// What tokens are verified with.
    ///
    /// # Errors
    /// The keys cannot be read.
    pub async fn published_keys(&self) -> Result<Vec<PublicKey>, SigningError> {
        self.keys.published().await
    }

    /// Hashes a password as new ones are hashed; the hash that is stored now. A machine that is busy
    /// does it the next time.
    async fn rehash(
        &self,
        id: UserId,
        password: &SecretString,
        known: String,
    ) -> Result<String, AuthError> {
        let new = match self.passwords.hash(password).await {
            Ok(new) => new,
            Err(HashError::Busy) => return Ok(known),
            Err(error) => return Err(error.into()),
        };
        if users::replace_hash(&self.pool, id, &known, &new).await? {
            return Ok(new);
        }
        // Somebody was faster, with the same password or with another.
        let known = users::find_password(&self.pool, id).await?.flatten();
        match (
            self.passwords.check(password, known.as_deref()).await?,
            known,
        ) {
            (Verdict::Right { .. }, Some(known)) => Ok(known),
            _ => Err(AuthError::WrongCredentials),
        }
    }

    async fn issue(&self, user: User, refresh_token: &RefreshToken) -> Result<Login, AuthError> {
        let now = Utc::now().timestamp();
        let access_token = self
            .keys
            .sign(&Claims {
                iss: &self.issuer,
                aud: &self.audience,
                sub: user.id.to_string(),
                role: user.role,
                iat: now,
                exp: now + i64::from(self.access_ttl_seconds),
                jti: Uuid::new_v4(),
            })
            .await?;
        Ok(Login {
            access_token,
            expires_in: self.access_ttl_seconds,
            refresh_token: refresh_token.reveal(),
            user,
        })
    }
}
