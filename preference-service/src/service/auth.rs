//! Password logins: a password is exchanged for an access token, a short-lived JWT that is verified
//! without this service, and a refresh token, which is long-lived and valid for one use. Called by the
//! handlers of `/api/v1/auth`. Neither response nor timing may reveal whether a username exists.

use std::net::IpAddr;

use chassis::clock::Clock;
use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    attempts::client_subject,
    login_limits::{Attempt, LoginLimits},
    passwords::{Passwords, Verdict},
    signing::{PublicKey, SigningKeys},
};
use crate::{
    config::Config,
    error::Error,
    models::{RefreshToken, Role, SecretHash, User, UserId, login_key, random_secret},
    repository::{
        admin, devices,
        tokens::{self, LoginProof, Rotation},
        users,
    },
};

/// Counter: refresh tokens that were presented after their use.
pub const REFRESH_REUSED_TOTAL: &str = "refresh_reused_total";

/// The tokens of a login.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoginResponse, example = json!({
    "access_token": "eyJhbGciOiJFZERTQSIs…",
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_token": "2yv0…64 characters…Qk",
    "user": {
        "id": 1,
        "username": "anna",
        "email": "anna@example.org",
        "role": "user",
        "created_at": "2026-02-13T08:15:42.123456Z"
    }
}))]
pub struct Login {
    /// A JWT, signed with a key of `/.well-known/jwks.json`. Send it as `Authorization: Bearer …`.
    pub access_token: String,
    /// The token type, `Bearer`.
    pub token_type: &'static str,
    /// The lifetime of the access token, in seconds.
    pub expires_in: u32,
    /// The token for `POST /api/v1/auth/refresh`, valid for one use.
    pub refresh_token: String,
    /// The user who logged in.
    pub user: User,
}

/// The claims of an access token.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: String,
    role: Role,
    iat: i64,
    exp: i64,
    /// The time of the login, which refreshing keeps.
    auth_time: i64,
    jti: Uuid,
}

/// The sender of a login.
#[derive(Debug, Clone, Default)]
pub struct LoginClient {
    /// The client's address, if it is known.
    pub address: Option<IpAddr>,
    /// The secret of the device's cookie, if it has one.
    pub device: Option<String>,
}

/// The result of a login: its tokens, and the secret by which the device is known from now on.
#[derive(Debug)]
pub struct LoggedIn {
    /// The tokens.
    pub login: Login,
    /// The secret of the device's cookie.
    pub device: String,
}

/// Issues and refreshes tokens; cheap to clone.
#[derive(Clone)]
pub struct Auth {
    pool: PgPool,
    passwords: Passwords,
    keys: SigningKeys,
    limits: LoginLimits,
    clock: Clock,
    issuer: String,
    audience: String,
    access_ttl_seconds: u32,
    refresh_ttl_seconds: u32,
}

impl Auth {
    /// Logins of the users in `pool`.
    pub fn new(
        pool: PgPool,
        passwords: Passwords,
        keys: SigningKeys,
        limits: LoginLimits,
        clock: Clock,
        config: &Config,
    ) -> Self {
        Self {
            pool,
            passwords,
            keys,
            limits,
            clock,
            issuer: config.jwt_issuer.clone(),
            audience: config.jwt_audience.clone(),
            access_ttl_seconds: config.access_ttl_seconds,
            refresh_ttl_seconds: config.refresh_ttl_seconds,
        }
    }

    /// Issues tokens for a username or e-mail address and its password.
    ///
    /// # Errors
    /// `Suspended` if the password is right; `InvalidCredentials` if the user does not exist, has no password, or has another; `TooManyAttempts`;
    /// `PasswordsBusy` if the password could not be verified in time.
    #[tracing::instrument(name = "service.auth.log_in", level = "debug", skip_all)]
    pub async fn log_in(
        &self,
        name: &str,
        password: &SecretString,
        client: LoginClient,
    ) -> Result<LoggedIn, Error> {
        let key = login_key(name);
        let found = match &key {
            Some(key) => users::find_login(&self.pool, key).await?,
            None => None,
        };
        let (user, stored_hash) = found.unzip();
        let stored_hash = stored_hash.flatten();
        let device = self.known_device(user.as_ref(), client.device).await?;
        // Names that no user can have share one counter.
        let attempt = Attempt::new(key.unwrap_or_default(), client.address.map(client_subject));
        if device.is_none() {
            self.limits.admit(&attempt).await?;
        }
        let verdict = self
            .passwords
            .verify(password, stored_hash.as_deref())
            .await?;
        let (Verdict::Match { is_outdated }, Some(user), Some(mut hash)) =
            (verdict, user, stored_hash)
        else {
            if device.is_none() {
                self.limits.fail(&attempt).await;
            }
            return Err(Error::InvalidCredentials);
        };
        if let Some(suspension) = admin::find_suspension(&self.pool, user.id).await? {
            return Err(Error::Suspended(suspension));
        }
        if is_outdated {
            hash = self.rehash(user.id, password, hash).await?;
        }
        let user_id = user.id;
        let login = self.begin(user, LoginProof::Password(&hash)).await?;
        // The success on a known device says nothing about the attempts of others at its address.
        if device.is_none() {
            self.limits.succeed(&attempt).await;
        }
        let device = device.unwrap_or_else(random_secret);
        let hash = SecretHash::of(device.as_bytes());
        devices::store(&self.pool, user_id, &hash).await?;
        Ok(LoggedIn { login, device })
    }

    /// Issues tokens for a user who logged in by an external identity.
    ///
    /// # Errors
    /// `Suspended`; `InvalidCredentials` if the identity is no longer the user's.
    #[tracing::instrument(name = "service.auth.log_in_by_identity", level = "debug", skip_all)]
    pub async fn log_in_by_identity(&self, user: User, identity: i64) -> Result<Login, Error> {
        if let Some(suspension) = admin::find_suspension(&self.pool, user.id).await? {
            return Err(Error::Suspended(suspension));
        }
        self.begin(user, LoginProof::Identity(identity)).await
    }

    /// Issues tokens for a device whose login its user has just approved.
    ///
    /// # Errors
    /// `InvalidCredentials` if the user is suspended or gone.
    #[tracing::instrument(name = "service.auth.log_in_device", level = "debug", skip_all)]
    pub async fn log_in_device(&self, user: User) -> Result<Login, Error> {
        self.begin(user, LoginProof::Approval).await
    }

    /// The claim `iss` of access tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Stores a login that was proved, and issues its tokens.
    async fn begin(&self, user: User, proof: LoginProof<'_>) -> Result<Login, Error> {
        let token = RefreshToken::first();
        let ttl = self.refresh_ttl_seconds;
        if !tokens::create(&self.pool, user.id, proof, &token, ttl).await? {
            return Err(Error::InvalidCredentials);
        }
        let now = self.clock.now();
        self.issue(user, &token, now).await
    }

    /// Returns the secret of a device on which `user` has logged in before. One that sends too many wrong passwords becomes
    /// unknown.
    async fn known_device(
        &self,
        user: Option<&User>,
        secret: Option<String>,
    ) -> Result<Option<String>, Error> {
        let (Some(user), Some(secret)) = (user, secret) else {
            return Ok(None);
        };
        let hash = SecretHash::of(secret.as_bytes());
        if !devices::exists(&self.pool, user.id, &hash).await? {
            return Ok(None);
        }
        if self.limits.by_device.acquire(&secret).await.is_err() {
            devices::delete(&self.pool, user.id, &hash).await?;
            return Ok(None);
        }
        Ok(Some(secret))
    }

    /// Exchanges a refresh token for new tokens. A token that was used before ends its login
    /// (RFC 9700, 4.14.2).
    ///
    /// # Errors
    /// `InvalidRefreshToken` if it is invalid, expired or already used.
    #[tracing::instrument(name = "service.auth.refresh", level = "debug", skip_all)]
    pub async fn refresh(&self, presented: &str) -> Result<Login, Error> {
        let presented = RefreshToken::parse(presented).ok_or(Error::InvalidRefreshToken)?;
        let next = RefreshToken::next(presented.family);
        let ttl = self.refresh_ttl_seconds;
        match tokens::rotate(&self.pool, &presented, &next.hash(), ttl).await? {
            Rotation::Rotated(user, logged_in_at) => self.issue(user, &next, logged_in_at).await,
            Rotation::Reused(user_id) => {
                metrics::counter!(REFRESH_REUSED_TOTAL).increment(1);
                tracing::warn!(%user_id, "a refresh token was reused; its login has ended");
                Err(Error::InvalidRefreshToken)
            }
            Rotation::Unknown => Err(Error::InvalidRefreshToken),
        }
    }

    /// Ends the login that a refresh token belongs to; an invalid token is ignored.
    #[tracing::instrument(name = "service.auth.log_out", level = "debug", skip_all)]
    pub async fn log_out(&self, presented: &str) -> sqlx::Result<()> {
        match RefreshToken::parse(presented) {
            Some(presented) => tokens::delete(&self.pool, &presented).await,
            None => Ok(()),
        }
    }

    /// The lifetime of a login without use, in seconds.
    pub fn refresh_ttl_seconds(&self) -> u32 {
        self.refresh_ttl_seconds
    }

    /// Lists the public keys that access tokens are verified with.
    pub async fn public_keys(&self) -> Result<Vec<PublicKey>, Error> {
        self.keys.published().await
    }

    /// Replaces a hash with outdated parameters; returns the hash that is stored afterwards. While the
    /// machine is busy, the hash stays until the next login.
    async fn rehash(
        &self,
        id: UserId,
        password: &SecretString,
        stored: String,
    ) -> Result<String, Error> {
        let new = match self.passwords.hash(password).await {
            Ok(new) => new,
            Err(Error::PasswordsBusy) => return Ok(stored),
            Err(error) => return Err(error),
        };
        if users::replace_password_hash(&self.pool, id, &stored, &new).await? {
            return Ok(new);
        }
        // A concurrent request replaced it, by a hash of the same password or of another.
        let stored = users::find_password_hash(&self.pool, id).await?.flatten();
        let verdict = self.passwords.verify(password, stored.as_deref()).await?;
        match (verdict, stored) {
            (Verdict::Match { .. }, Some(stored)) => Ok(stored),
            _ => Err(Error::InvalidCredentials),
        }
    }

    async fn issue(
        &self,
        user: User,
        refresh_token: &RefreshToken,
        logged_in_at: DateTime<Utc>,
    ) -> Result<Login, Error> {
        let now = self.clock.now().timestamp();
        let access_token = self
            .keys
            .sign(&Claims {
                iss: &self.issuer,
                aud: &self.audience,
                sub: user.id.to_string(),
                role: user.role,
                iat: now,
                exp: now + i64::from(self.access_ttl_seconds),
                auth_time: logged_in_at.timestamp(),
                jti: Uuid::new_v4(),
            })
            .await?;
        Ok(Login {
            access_token,
            token_type: "Bearer",
            expires_in: self.access_ttl_seconds,
            refresh_token: refresh_token.reveal(),
            user,
        })
    }
}
