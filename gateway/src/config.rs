//! The settings of the gateway. `config/default.toml` documents each of them with its default and unit.

use chassis::{ProcessConfig, Settings, config::ConfigError, redis::RedisConfig};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::{
    middleware::{
        client_ip::Networks,
        rate_limit::plans::{
            Plans, QuotaSetting, RolePlans, RouteLimits, UserPlans, optional_quota,
        },
    },
    response::Coding,
};

/// The defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// RFC 7518, 3.2.
const MIN_SECRET_BYTES: usize = 32;

/// The way in which callers are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthMode {
    /// By access tokens and API keys.
    Jwt,
    /// Any token is an administrator's; for development.
    Mock,
}

/// The requests that are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLogMode {
    /// Every request.
    All,
    /// Those with a 5xx status, and slow ones.
    Errors,
    /// None.
    None,
}

/// Content codings in the order of preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codings(pub(crate) Vec<Coding>);

impl<'de> Deserialize<'de> for Codings {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::{Error, IntoDeserializer};
        let mut codings = Vec::new();
        for word in chassis::config::comma_separated(deserializer)? {
            let coding = Coding::deserialize(word.as_str().into_deserializer());
            let coding =
                coding.map_err(|error: serde::de::value::Error| D::Error::custom(error))?;
            if codings.contains(&coding) {
                return Err(D::Error::custom(format!("`{word}` occurs twice")));
            }
            codings.push(coding);
        }
        Ok(Self(codings))
    }
}

/// The rate limits while Redis is unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutRedis {
    /// Each gateway has its share of a limit.
    Share,
    /// No request is refused.
    Open,
}

/// The settings of the gateway, by their names in `config/default.toml`.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "config/default.toml documents each setting")]
pub struct Config {
    pub worker_threads: usize,
    pub shutdown_delay_ms: u64,
    pub share_port: bool,
    pub access_log: AccessLogMode,
    pub access_log_slow_ms: u64,
    pub access_log_sample_percent: f64,
    pub tls_certificate_file: String,
    pub tls_key_file: String,
    pub hsts_seconds: u64,
    pub head_timeout_ms: u64,
    pub keep_alive_timeout_ms: u64,
    pub head_limit_bytes: usize,
    pub target_limit_bytes: usize,
    pub strict_line_ends: bool,
    pub compression: Codings,
    pub compression_min_bytes: u64,
    pub compression_level: u32,
    pub import_body_limit_bytes: usize,
    pub client_stall_timeout_ms: u64,
    pub max_connections_per_client: usize,
    pub max_requests_in_flight_per_client: usize,
    pub max_websockets: usize,
    pub max_websockets_per_client: usize,
    pub websocket_idle_seconds: u64,
    pub body_grace_ms: u64,
    pub body_min_bytes_per_second: u64,
    pub trusted_proxies: Networks,
    pub metrics_networks: Networks,
    #[serde(deserialize_with = "chassis::config::comma_separated")]
    pub cors_origins: Vec<String>,
    pub auth_mode: AuthMode,
    pub allow_mock_beyond_loopback: bool,
    pub jwt_secret: SecretString,
    #[serde(deserialize_with = "chassis::config::empty_is_none")]
    pub jwks_url: Option<Url>,
    pub jwks_timeout_ms: u64,
    pub jwks_refresh_seconds: u64,
    pub jwks_pause_seconds: u64,
    pub key_cache_seconds: u64,
    pub revocation_refresh_seconds: u64,
    pub jwt_issuer: String,
    pub jwt_audience: String,
    pub jwt_leeway_seconds: u64,
    /// The Redis of the rate limit; `None`: each gateway counts alone.
    #[serde(skip)]
    pub redis: Option<RedisConfig>,
    pub rate_limit_max: u64,
    pub rate_limit_window_seconds: u64,
    pub rate_limit_entries: usize,
    pub rate_limit_without_redis: WithoutRedis,
    pub rate_limit_gateways: u64,
    pub plans: Plans,
    pub role_plans: RolePlans,
    pub user_plans: UserPlans,
    #[serde(deserialize_with = "optional_quota")]
    pub api_key_limit: Option<QuotaSetting>,
    pub route_limits: RouteLimits,
    #[serde(deserialize_with = "instances")]
    pub movie_service_url: Vec<Url>,
    #[serde(deserialize_with = "instances")]
    pub user_preference_service_url: Vec<Url>,
    #[serde(deserialize_with = "instances")]
    pub recommendation_service_url: Vec<Url>,
    /// The path of the file; empty: none.
    pub routes_file: String,
    pub upstream_connect_timeout_ms: u64,
    pub upstream_stall_timeout_ms: u64,
    pub upstream_idle_connections: usize,
    pub upstream_idle_ms: u64,
    pub upstream_failures_to_skip: u32,
    pub upstream_skip_ms: u64,
    pub upstream_probe_after_ms: u64,
    pub upstream_probe_timeout_ms: u64,
    pub sync_timeout_ms: u64,
    pub cache_max_bytes: u64,
    pub cache_entry_max_bytes: u64,
}

impl Config {
    /// Reads and validates the settings.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the environment variable if a value is missing, malformed, or out of
    /// its range.
    pub fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let mut config: Self = settings.read()?;
        config.redis = RedisConfig::read(settings)?;
        let invalid = |reason: &str| Err(ConfigError::Invalid(reason.to_owned()));
        let has_secret = !config.jwt_secret.expose_secret().is_empty();
        if config.auth_mode == AuthMode::Jwt && (has_secret || config.jwks_url.is_none()) {
            config.require_secret()?;
        }
        let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        if !config.jwks_url.as_ref().is_none_or(is_http) {
            return invalid("JWKS_URL must be an http or https URL, or empty");
        }
        if config.rate_limit_max == 0 || config.rate_limit_window_seconds == 0 {
            return invalid("RATE_LIMIT_MAX and RATE_LIMIT_WINDOW_SECONDS must be at least 1");
        }
        if config.rate_limit_entries == 0 || config.rate_limit_gateways == 0 {
            return invalid("RATE_LIMIT_ENTRIES and RATE_LIMIT_GATEWAYS must be at least 1");
        }
        if config.max_connections_per_client == 0 || config.max_requests_in_flight_per_client == 0 {
            return invalid(
                "MAX_CONNECTIONS_PER_CLIENT and MAX_REQUESTS_IN_FLIGHT_PER_CLIENT must be at least 1",
            );
        }
        if config.max_websockets_per_client == 0 || config.websocket_idle_seconds == 0 {
            return invalid(
                "MAX_WEBSOCKETS_PER_CLIENT and WEBSOCKET_IDLE_SECONDS must be at least 1",
            );
        }
        if !(1..=9).contains(&config.compression_level) {
            return invalid("COMPRESSION_LEVEL must be 1 to 9");
        }
        if !(0.0..=100.0).contains(&config.access_log_sample_percent) {
            return invalid("ACCESS_LOG_SAMPLE_PERCENT must be 0 to 100");
        }
        if config.head_limit_bytes < 8192 {
            return invalid("HEAD_LIMIT_BYTES must be at least 8192");
        }
        Ok(config)
    }

    /// Checks that tokens can be signed with the secret.
    ///
    /// # Errors
    /// Returns [`ConfigError::Invalid`] if the secret is missing or too short.
    pub fn require_secret(&self) -> Result<(), ConfigError> {
        if self.jwt_secret.expose_secret().len() >= MIN_SECRET_BYTES {
            return Ok(());
        }
        Err(ConfigError::Invalid(format!(
            "JWT_SECRET must have at least {MIN_SECRET_BYTES} bytes, or be empty where JWKS_URL is set (for \
             development, AUTH_MODE=mock needs neither)"
        )))
    }

    /// The number of threads that serve requests, at least 1.
    pub fn threads(&self) -> usize {
        match self.worker_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

/// All settings of the process.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The settings of every process.
    pub process: ProcessConfig,
    /// The settings of the gateway.
    pub own: Config,
}

impl GatewayConfig {
    /// Checks that other machines cannot use a gateway that verifies nothing.
    ///
    /// # Errors
    /// Returns [`ConfigError::Invalid`] if they can and the settings do not permit it.
    pub fn check_exposure(&self) -> Result<(), ConfigError> {
        let is_permitted = self.own.allow_mock_beyond_loopback;
        if self.own.auth_mode == AuthMode::Jwt || is_permitted || !self.process.is_exposed() {
            return Ok(());
        }
        Err(ConfigError::Invalid(format!(
            "AUTH_MODE=mock makes everyone an administrator, and other machines can reach SERVER_HOST={}; use \
             AUTH_MODE=jwt, or set ALLOW_MOCK_BEYOND_LOOPBACK=true on a network that only you can reach",
            self.process.server_host
        )))
    }
}

/// The instances of one service: at least one `http` or `https` URL without a path.
fn instances<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Url>, D::Error> {
    use serde::de::Error;
    let words = chassis::config::comma_separated(deserializer)?;
    let urls = words.iter().map(|word| origin(word));
    let urls = urls
        .collect::<Result<Vec<_>, _>>()
        .map_err(D::Error::custom)?;
    if urls.is_empty() {
        return Err(D::Error::custom("at least one instance is required"));
    }
    Ok(urls)
}

/// The URL of an instance: `http` or `https`, without a path.
///
/// # Errors
/// Returns the reason why `text` is none.
pub(crate) fn origin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}`: {error}"))?;
    let is_origin = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.path() == "/"
        && url.query().is_none();
    is_origin
        .then_some(url)
        .ok_or_else(|| format!("`{text}` must be http(s)://host:port, without a path"))
}
