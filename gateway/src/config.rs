//! The settings of the gateway; what each means stands in `config/default.toml`.

use std::time::Duration;

use chassis::{ProcessConfig, Settings, config::ConfigError};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::client_ip::Networks;

/// The defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The shortest secret that HS256 tokens may be signed with, in bytes (RFC 7518, 3.2).
const SECRET_BYTES: usize = 32;

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// By a signed token.
    Jwt,
    /// By any token at all; for development.
    Mock,
}

/// Which requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// Every request.
    All,
    /// Those that failed by our fault or an upstream's, and slow ones.
    Errors,
    /// None.
    None,
}

/// The settings of the gateway.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// Threads that serve requests; 0: one for each core.
    pub worker_threads: usize,
    /// Between turning not ready and closing the listeners, in milliseconds.
    pub shutdown_delay_ms: u64,
    /// Which requests are logged.
    pub access_log: AccessLog,
    /// From how many milliseconds on a request counts as slow.
    pub access_log_slow_ms: u64,
    /// How long a client may take to send a request head, in milliseconds.
    pub head_timeout_ms: u64,
    /// The largest request head, in bytes.
    pub head_limit_bytes: usize,
    /// The longest path with its query, in bytes.
    pub target_limit_bytes: usize,
    /// The largest body of an import of a user's history, in bytes.
    pub import_body_limit_bytes: usize,
    /// How long a client may take nothing of an answer, in milliseconds.
    pub client_stall_timeout_ms: u64,
    /// Whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Networks,
    /// Who may read `/metrics` without a token.
    pub metrics_networks: Networks,
    /// Origins whose pages may call the API.
    #[serde(deserialize_with = "chassis::config::comma_separated")]
    pub cors_origins: Vec<String>,
    /// How callers prove who they are.
    pub auth_mode: AuthMode,
    /// What tokens are signed with; empty: with none that we share.
    pub jwt_secret: SecretString,
    /// Where the public keys are that tokens are signed with; none: there are no such tokens.
    #[serde(deserialize_with = "chassis::config::empty_is_none")]
    pub jwks_url: Option<Url>,
    /// How long fetching them may take, in milliseconds.
    pub jwks_timeout_ms: u64,
    /// How often they are fetched without any reason, in seconds.
    pub jwks_refresh_seconds: u64,
    /// At least, between two fetches, in seconds.
    pub jwks_pause_seconds: u64,
    /// How long it is remembered whose an API key is, in seconds.
    pub key_cache_seconds: u64,
    /// What a token must say in `iss`.
    pub jwt_issuer: String,
    /// What a token must say in `aud`.
    pub jwt_audience: String,
    /// How far the clocks of issuer and gateway may be apart, in seconds.
    pub jwt_leeway_seconds: u64,
    /// Where the counts of the rate limit live; empty: nowhere but here.
    pub redis_url: SecretString,
    /// How long Redis may take to answer before it is taken for away, in milliseconds.
    pub redis_timeout_ms: u64,
    /// Requests of one client in one window.
    pub rate_limit_max: u64,
    /// The length of a window, in seconds.
    pub rate_limit_window_seconds: u64,
    /// Clients remembered at most.
    pub rate_limit_entries: usize,
    /// The instances of movie-service.
    pub movie_service_url: Instances,
    /// The instances of preference-service.
    pub user_preference_service_url: Instances,
    /// The instances of recommendation-service.
    pub recommendation_service_url: Instances,
    /// How long a connect to an upstream may take, in milliseconds.
    pub upstream_connect_timeout_ms: u64,
    /// How long an upstream may pause within the body of an answer, in milliseconds.
    pub upstream_stall_timeout_ms: u64,
    /// Idle connections kept to one instance by one thread.
    pub upstream_idle_connections: usize,
    /// How long an idle connection is kept, in milliseconds.
    pub upstream_idle_ms: u64,
    /// Failed connects in a row after which an instance is passed over.
    pub upstream_failures_to_skip: u32,
    /// For how many milliseconds it is.
    pub upstream_skip_ms: u64,
    /// The time limit of a sync, in milliseconds.
    pub sync_timeout_ms: u64,
}

impl Config {
    /// How long Redis may take to answer.
    #[must_use]
    pub fn redis_timeout(&self) -> Duration {
        Duration::from_millis(self.redis_timeout_ms)
    }

    /// Reads and checks the settings.
    ///
    /// # Errors
    /// A value that is missing, not of its type, or that cannot work; the message names the
    /// environment variable.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let config: Self = settings.read()?;
        let wrong = |what: &str| Err(ConfigError::Invalid(what.to_owned()));
        let no_secret = config.jwt_secret.expose_secret().is_empty();
        if config.auth_mode == AuthMode::Jwt && !(no_secret && config.jwks_url.is_some()) {
            config.require_secret()?;
        }
        let by_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !config.jwks_url.as_ref().is_none_or(by_http) {
            return wrong("JWKS_URL must be an http or https URL, or empty");
        }
        if config.rate_limit_max == 0 || config.rate_limit_window_seconds == 0 {
            return wrong("RATE_LIMIT_MAX and RATE_LIMIT_WINDOW_SECONDS must be at least 1");
        }
        if config.rate_limit_entries == 0 {
            return wrong("RATE_LIMIT_ENTRIES must be at least 1");
        }
        let redis = config.redis_url.expose_secret();
        if !redis.is_empty() && redis::Client::open(redis).is_err() {
            return wrong("REDIS_URL must be a URL such as redis://127.0.0.1:6379/0, or empty");
        }
        if config.head_limit_bytes < 8192 {
            return wrong("HEAD_LIMIT_BYTES must be at least 8192");
        }
        Ok(config)
    }

    /// Makes sure that tokens can be signed and verified safely.
    ///
    /// # Errors
    /// A secret that is missing or too short.
    pub fn require_secret(&self) -> Result<(), ConfigError> {
        if self.jwt_secret.expose_secret().len() >= SECRET_BYTES {
            return Ok(());
        }
        Err(ConfigError::Invalid(format!(
            "JWT_SECRET must have at least {SECRET_BYTES} bytes, or be empty where JWKS_URL is set (for \
             development, AUTH_MODE=mock needs neither)"
        )))
    }

    /// How many threads serve requests.
    #[must_use]
    pub fn threads(&self) -> usize {
        match self.worker_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// The length of a rate-limit window.
    #[must_use]
    pub fn rate_limit_window(&self) -> Duration {
        Duration::from_secs(self.rate_limit_window_seconds)
    }
}

/// All settings that the gateway reads: its own and those of every process.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Settings of every process.
    pub process: ProcessConfig,
    /// The gateway's own.
    pub own: Config,
}

/// The instances of one service: at least one `http` URL.
#[derive(Debug, Clone)]
pub struct Instances(Vec<Url>);

impl Instances {
    /// The URLs, at least one.
    #[must_use]
    pub fn urls(&self) -> &[Url] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Instances {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let words = chassis::config::comma_separated(deserializer)?;
        let urls = words
            .iter()
            .map(|word| {
                let url = Url::parse(word)
                    .map_err(|error| D::Error::custom(format!("`{word}`: {error}")))?;
                let plain = url.scheme() == "http"
                    && url.has_host()
                    && url.path() == "/"
                    && url.query().is_none();
                if plain {
                    Ok(url)
                } else {
                    Err(D::Error::custom(format!(
                        "`{word}` must be http://host:port, without a path"
                    )))
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        if urls.is_empty() {
            return Err(D::Error::custom("names no instance"));
        }
        Ok(Self(urls))
    }
}
