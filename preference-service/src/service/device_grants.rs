//! Device authorization (RFC 8628): a television or a command line shows a code, and its user approves it in a browser. Called
//! by the handlers of `/api/v1/auth/device` and of the token endpoint. Approving requires proof: the device gets a login of its
//! own, which outlasts an access token that may be stolen.

use std::net::IpAddr;

use chassis::clock::Clock;
use sqlx::PgPool;
use url::Url;

use super::{
    attempts::{AttemptLimiter, client_subject},
    auth::{Auth, Login},
    confirmation::{Confirmation, Requester},
};
use crate::{
    error::Error,
    models::{DeviceCodes, DevicePoll, GRANT_TTL_SECONDS, POLL_INTERVAL_SECONDS, UserCode, UserId},
    repository::{device_grants, users},
};

/// Random user codes that are tried; two devices get the same one almost never.
const MAX_CODE_TRIES: usize = 3;

/// A new request of a device.
#[derive(Debug)]
pub struct DeviceAuthorization {
    /// The secret with which the device polls.
    pub device_code: String,
    /// The code that a person types.
    pub user_code: String,
    /// The page at which they type it.
    pub verification_uri: Url,
    /// The same with the code.
    pub verification_uri_complete: Url,
    /// The validity, in seconds.
    pub expires_in: u32,
    /// The least time between two polls, in seconds.
    pub interval: u32,
}

/// A device that a user has been shown, or has decided on.
#[derive(Debug)]
pub struct ShownDevice {
    /// The name of the program, as it states it.
    pub client_id: String,
    /// The remaining validity, in seconds.
    pub expires_in: i64,
}

/// The result of a poll without an error of the service.
#[derive(Debug)]
pub enum PollResult {
    /// The tokens of a new login.
    LoggedIn(Box<Login>),
    /// The reason why there are none; never [`DevicePoll::Approved`].
    Not(DevicePoll),
}

/// Device authorization; cheap to clone.
#[derive(Clone)]
pub struct DeviceGrants {
    /// The database.
    pub pool: PgPool,
    /// Issues tokens.
    pub auth: Auth,
    /// Checks the proof of approvals.
    pub confirmation: Confirmation,
    /// Requests per client address.
    pub starts: AttemptLimiter,
    /// User codes that a user may try.
    pub tries: AttemptLimiter,
    /// The URL at which people reach the page.
    pub public_url: Url,
    /// The time of day.
    pub clock: Clock,
}

impl DeviceGrants {
    /// Begins a request of the program `client_id`.
    ///
    /// # Errors
    /// `TooManyAttempts` of the client.
    #[tracing::instrument(name = "service.device_grants.begin", level = "debug", skip_all)]
    pub async fn begin(
        &self,
        client_id: &str,
        client: Option<IpAddr>,
    ) -> Result<DeviceAuthorization, Error> {
        if let Some(client) = client {
            self.starts.acquire(&client_subject(client)).await?;
        }
        for _ in 0..MAX_CODE_TRIES {
            let codes = DeviceCodes::generate();
            if !device_grants::create(&self.pool, &codes, client_id).await? {
                continue;
            }
            let user_code = codes.user_code.shown();
            let page = |fragment: &str| {
                let mut url = self.public_url.clone();
                url.set_path("/");
                url.set_fragment(Some(fragment));
                url
            };
            return Ok(DeviceAuthorization {
                verification_uri: page("/device"),
                verification_uri_complete: page(&format!("/device?code={user_code}")),
                device_code: codes.device_code,
                user_code,
                expires_in: GRANT_TTL_SECONDS,
                interval: POLL_INTERVAL_SECONDS,
            });
        }
        Err(Error::Internal("no user code was free".to_owned()))
    }

    /// Shows a user the device that waits with `code`.
    ///
    /// # Errors
    /// `UserCodeNotFound` if the code is unknown, decided or has expired; `TooManyAttempts` at codes.
    #[tracing::instrument(name = "service.device_grants.show", level = "debug", skip_all)]
    pub async fn show(&self, code: &str, user_id: UserId) -> Result<ShownDevice, Error> {
        let code = self.parse(code, user_id).await?;
        let waiting = device_grants::find_waiting(&self.pool, &code).await?;
        let waiting = waiting.ok_or(Error::UserCodeNotFound)?;
        Ok(self.shown(waiting.client_id, waiting.expires_at))
    }

    /// Approves or refuses the device that waits with `code`. An approval requires proof.
    ///
    /// # Errors
    /// As [`DeviceGrants::show`] and [`Confirmation::confirm`].
    #[tracing::instrument(name = "service.device_grants.decide", level = "debug", skip_all)]
    pub async fn decide(
        &self,
        code: &str,
        user_id: UserId,
        is_approved: bool,
        requester: &Requester<'_>,
    ) -> Result<ShownDevice, Error> {
        if is_approved {
            self.confirmation.confirm(requester).await?;
        }
        let code = self.parse(code, user_id).await?;
        let decided = device_grants::decide(&self.pool, &code, user_id, is_approved).await?;
        let decided = decided.ok_or(Error::UserCodeNotFound)?;
        self.tries.reset(&user_id.to_string()).await;
        Ok(self.shown(decided.client_id, decided.expires_at))
    }

    /// Polls with a device code; the first poll after an approval logs the device in.
    #[tracing::instrument(name = "service.device_grants.poll", level = "debug", skip_all)]
    pub async fn poll(&self, device_code: &str, client_id: &str) -> Result<PollResult, Error> {
        let result = device_grants::poll(&self.pool, device_code, client_id).await?;
        let DevicePoll::Approved(user_id) = result else {
            return Ok(PollResult::Not(result));
        };
        let Some(user) = users::find(&self.pool, user_id).await? else {
            return Ok(PollResult::Not(DevicePoll::Denied));
        };
        match self.auth.log_in_device(user).await {
            Ok(login) => Ok(PollResult::LoggedIn(Box::new(login))),
            // Suspended since the approval.
            Err(Error::InvalidCredentials) => Ok(PollResult::Not(DevicePoll::Denied)),
            Err(error) => Err(error),
        }
    }

    async fn parse(&self, code: &str, user_id: UserId) -> Result<UserCode, Error> {
        self.tries.acquire(&user_id.to_string()).await?;
        UserCode::parse(code).ok_or(Error::UserCodeNotFound)
    }

    fn shown(&self, client_id: String, expires_at: chrono::DateTime<chrono::Utc>) -> ShownDevice {
        let rest = expires_at - self.clock.now();
        ShownDevice {
            client_id,
            expires_in: rest.num_seconds().max(0),
        }
    }
}
