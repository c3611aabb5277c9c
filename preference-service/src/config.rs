//! The settings of preference-service; `config/default.toml` documents each with its default.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::{
    models::{ApiKeyLimits, HalfLife},
    service::writer::WriterOptions,
};

/// The contents of `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The way in which the gateway authenticates callers; the setting of the same name has to be the same there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// By access tokens and API keys: an account needs a password.
    Jwt,
    /// Any token is an administrator's; for development.
    Mock,
}

/// The settings of preference-service.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The URL of the service's own Postgres database.
    pub database_url: SecretString,
    /// The size of the connection pools together.
    pub database_max_connections: u32,
    /// The way in which the gateway authenticates callers.
    pub auth_mode: AuthMode,
    /// True if addresses have to be verified, with [`AuthMode::Jwt`].
    pub email_verification: bool,
    /// The URL at which clients reach the gateway, for links in mails.
    pub public_url: Url,
    /// The URL of the SMTP server; empty: mail goes to the log.
    pub smtp_url: SecretString,
    /// The sender of mail.
    pub mail_from: String,
    /// The longest wait of a request for a lock of a table or row, in milliseconds; 0 for no limit of its own.
    pub database_lock_timeout_ms: u64,
    /// The retention of change records, in hours.
    pub change_retention_hours: u64,
    /// The retention of responses to requests with an `Idempotency-Key`, in hours.
    pub idempotency_retention_hours: u64,
    /// The base URL of movie-service.
    pub movie_service_url: Url,
    /// The time limit of a request to movie-service, in milliseconds.
    pub movie_service_timeout_ms: u64,
    /// The half-life of an interaction's weight in the taste profile, in days; 0 for no decay.
    pub taste_half_life_days: u32,
    /// Concurrent transactions of the writer.
    pub writer_lanes: usize,
    /// Commands per transaction.
    pub writer_batch: usize,
    /// Commands that may wait for the writer.
    pub writer_queue: usize,
    /// Commands of bulk work that may wait for the writer.
    pub writer_bulk_queue: usize,
    /// The largest body of an import, in bytes.
    pub import_body_limit_bytes: usize,
    /// The largest number of rows of an import.
    pub import_most_rows: usize,
    /// The number of movies that are fetched from TMDB for one import.
    pub import_most_fetches: i32,
    /// The lease of an import job, in seconds.
    pub import_lease_seconds: u64,
    /// The time for which an import retries while a dependency is unavailable, in seconds.
    pub import_patience_seconds: u64,
    /// The retention of ended imports, in days.
    pub import_retention_days: i32,
    /// The memory parameter of argon2, in KiB.
    pub argon2_memory_kib: u32,
    /// The time parameter of argon2, in passes.
    pub argon2_iterations: u32,
    /// The parallelism parameter of argon2, in lanes.
    pub argon2_parallelism: u32,
    /// Concurrent hashes.
    pub argon2_at_once: usize,
    /// The time that another hash waits before it is refused, in milliseconds.
    pub argon2_wait_ms: u64,
    /// Login attempts per username, client address and window.
    pub login_attempts_per_account: u64,
    /// Wrong passwords per client address and window.
    pub login_attempts_per_address: u64,
    /// The delay of a login after the third wrong password, in milliseconds; it doubles with each further one.
    pub login_delay_ms: u64,
    /// The length of the window of login attempts, in seconds.
    pub login_window_seconds: u64,
    /// Sign-ups per client address and window.
    pub sign_ups_per_address: u64,
    /// The length of the window of sign-ups, in seconds.
    pub sign_up_window_seconds: u64,
    /// The login providers, as a JSON array.
    pub oidc_providers: SecretString,
    /// Logins by a provider that one client address may begin in a window of login attempts.
    pub oidc_logins_per_address: u64,
    /// The claim `iss` of access tokens.
    pub jwt_issuer: String,
    /// The claim `aud` of access tokens.
    pub jwt_audience: String,
    /// The lifetime of an access token, in seconds.
    pub access_ttl_seconds: u32,
    /// The lifetime of a login without use, in seconds.
    pub refresh_ttl_seconds: u32,
    /// The validity of an API key whose request does not state it, in days.
    pub api_key_default_days: u32,
    /// The longest validity of an API key, in days.
    pub api_key_max_days: u32,
    /// True if API keys may have no end.
    pub api_keys_without_end: bool,
    /// The secret that private signing keys are encrypted with; empty for no encryption.
    pub signing_key_secret: SecretString,
    /// The time between the publication of a signing key and its use, in seconds.
    pub signing_key_delay_seconds: u32,
}

impl Config {
    /// True if addresses have to be verified.
    pub fn requires_verification(&self) -> bool {
        self.email_verification && self.auth_mode == AuthMode::Jwt
    }

    /// The limits of the validity of API keys.
    pub fn api_key_limits(&self) -> ApiKeyLimits {
        ApiKeyLimits {
            default_days: self.api_key_default_days.min(self.api_key_max_days),
            max_days: self.api_key_max_days,
            may_be_unlimited: self.api_keys_without_end,
        }
    }

    /// The retention of change records.
    pub fn change_retention(&self) -> Duration {
        Duration::from_secs(self.change_retention_hours.saturating_mul(3600))
    }

    /// The retention of responses to requests with an `Idempotency-Key`.
    pub fn idempotency_retention(&self) -> Duration {
        Duration::from_secs(self.idempotency_retention_hours.saturating_mul(3600))
    }

    /// The half-life of weights in the taste profile.
    pub fn taste_half_life(&self) -> HalfLife {
        HalfLife {
            days: f64::from(self.taste_half_life_days),
        }
    }

    /// The options of the writer.
    pub fn writer(&self) -> WriterOptions {
        WriterOptions {
            lanes: self.writer_lanes,
            batch: self.writer_batch,
            queue: self.writer_queue,
            bulk_queue: self.writer_bulk_queue,
        }
    }

    /// The time limit of a request to movie-service.
    pub fn movie_service_timeout(&self) -> Duration {
        Duration::from_millis(self.movie_service_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chassis::{Settings, config::ConfigError};

    use super::*;

    fn read(name: &str, value: &str) -> Result<Config, ConfigError> {
        let environment = HashMap::from([(name.to_owned(), value.to_owned())]);
        Settings::merge(DEFAULTS, &environment)?.read()
    }

    #[test]
    fn an_invalid_value_is_reported_with_its_variable() {
        for name in [
            "MOVIE_SERVICE_TIMEOUT_MS",
            "CHANGE_RETENTION_HOURS",
            "DATABASE_MAX_CONNECTIONS",
            "MOVIE_SERVICE_URL",
            "ARGON2_MEMORY_KIB",
            "LOGIN_WINDOW_SECONDS",
            "ACCESS_TTL_SECONDS",
        ] {
            let error = read(name, "many").expect_err(name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
