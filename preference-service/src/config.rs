//! The settings of preference-service; what each means stands in `config/default.toml`.

use std::time::Duration;

use chassis::{config::ConfigError, redis::Redis};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::{models::HalfLife, service::writer::WriterOptions};

/// The defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The settings of preference-service.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The service's own database.
    pub database_url: SecretString,
    /// Connections to it at most.
    pub database_max_connections: u32,
    /// How long change records are kept, in hours.
    pub change_retention_hours: u64,
    /// How long the answers to requests with an `Idempotency-Key` are kept, in hours.
    pub idempotency_retention_hours: u64,
    /// Where movie-service is.
    pub movie_service_url: Url,
    /// The time limit of a question to movie-service, in milliseconds.
    pub movie_service_timeout_ms: u64,
    /// After how many days what a user did weighs half in their taste; 0: it keeps its weight.
    pub taste_half_life_days: u32,
    /// Transactions of the writer under way at once.
    pub writer_lanes: usize,
    /// Commands in one of them at most.
    pub writer_batch: usize,
    /// Commands that wait for it at most.
    pub writer_queue: usize,
    /// The same of bulk work.
    pub writer_bulk_queue: usize,
    /// How large the files of an import may be together, in bytes.
    pub import_body_limit_bytes: usize,
    /// How many rows they may have.
    pub import_most_rows: usize,
    /// How many films are fetched from TMDB for one import.
    pub import_most_fetches: i32,
    /// How long a worker may be silent before it is taken for dead, in seconds.
    pub import_lease_seconds: u64,
    /// How long an import waits for what is away, in seconds.
    pub import_patience_seconds: u64,
    /// How long imports that ended are remembered, in days.
    pub import_retention_days: i32,
    /// Where attempts to log in are counted; empty: nowhere but here.
    pub redis_url: SecretString,
    /// How long Redis may take to answer before it is taken for away, in milliseconds.
    pub redis_timeout_ms: u64,
    /// The memory of one password's hash, in KiB.
    pub argon2_memory_kib: u32,
    /// How often it is gone over.
    pub argon2_iterations: u32,
    /// In how many lanes.
    pub argon2_parallelism: u32,
    /// Hashes under way at once.
    pub argon2_at_once: usize,
    /// How long one more waits, in milliseconds.
    pub argon2_wait_ms: u64,
    /// Attempts to log in with one name in one window.
    pub login_attempts_per_account: u64,
    /// The same from one client address.
    pub login_attempts_per_address: u64,
    /// The length of that window, in seconds.
    pub login_window_seconds: u64,
    /// Users that may sign up from one client address in one window.
    pub sign_ups_per_address: u64,
    /// The length of that window, in seconds.
    pub sign_up_window_seconds: u64,
    /// What access tokens say in `iss`.
    pub jwt_issuer: String,
    /// What access tokens say in `aud`.
    pub jwt_audience: String,
    /// How long an access token is valid, in seconds.
    pub access_ttl_seconds: u32,
    /// How long a login lasts without being used, in seconds.
    pub refresh_ttl_seconds: u32,
    /// What private signing keys are encrypted with; empty: nothing.
    pub signing_key_secret: SecretString,
    /// From publishing a signing key until it signs, in seconds.
    pub signing_key_delay_seconds: u32,
}

impl Config {
    /// How long change records are kept.
    #[must_use]
    pub fn change_retention(&self) -> Duration {
        Duration::from_secs(self.change_retention_hours.saturating_mul(3600))
    }

    /// How long the answers to requests with an `Idempotency-Key` are kept.
    #[must_use]
    pub fn idempotency_retention(&self) -> Duration {
        Duration::from_secs(self.idempotency_retention_hours.saturating_mul(3600))
    }

    /// Redis, if it is configured.
    ///
    /// # Errors
    /// A URL that is not one of Redis.
    pub fn redis(&self) -> Result<Option<Redis>, ConfigError> {
        if self.redis_url.expose_secret().is_empty() {
            return Ok(None);
        }
        let timeout = Duration::from_millis(self.redis_timeout_ms);
        Redis::lazy(&self.redis_url, timeout)
            .map(Some)
            .map_err(|_| {
                let what = "REDIS_URL must be a URL such as redis://127.0.0.1:6379/2, or empty";
                ConfigError::Invalid(what.to_owned())
            })
    }

    /// How fast what users did loses weight in their taste.
    #[must_use]
    pub fn taste_half_life(&self) -> HalfLife {
        HalfLife {
            days: f64::from(self.taste_half_life_days),
        }
    }

    /// How what users do is stored.
    #[must_use]
    pub fn writer(&self) -> WriterOptions {
        WriterOptions {
            lanes: self.writer_lanes,
            batch: self.writer_batch,
            queue: self.writer_queue,
            bulk_queue: self.writer_bulk_queue,
        }
    }

    /// The time limit of a question to movie-service.
    #[must_use]
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
    fn the_defaults_are_complete_and_the_environment_wins() {
        let defaults: Config = Settings::merge(DEFAULTS, &HashMap::new())
            .and_then(|settings| settings.read())
            .expect("complete");
        assert_eq!(
            defaults.movie_service_timeout(),
            Duration::from_millis(2000)
        );
        assert_eq!(defaults.change_retention(), Duration::from_secs(168 * 3600));
        let config = read("MOVIE_SERVICE_URL", "http://films:81").expect("valid");
        assert_eq!(config.movie_service_url.as_str(), "http://films:81/");
        let config = read("DATABASE_MAX_CONNECTIONS", "3").expect("valid");
        assert_eq!(config.database_max_connections, 3);
    }

    #[test]
    fn a_value_of_another_type_is_named_with_its_variable() {
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
