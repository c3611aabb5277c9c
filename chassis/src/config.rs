//! Settings: the defaults compiled into a service, then an optional file named by `CONFIG_FILE`,
//! then `.env` in the working directory, then the environment. A setting's environment name is its
//! key in capitals. What a setting means is documented beside its default in each service's
//! `config/default.toml`.
//!
//! An unknown key in the file is an error. The environment also has variables of others, so only an unknown name that
//! is near one of the process's settings is an error: one edit away, or two if the setting has 13 characters or more.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use config::{Config, Environment, File, FileFormat};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

/// An invalid setting, in one line that names the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value is missing or is not of its type.
    #[error("{0}")]
    Invalid(String),
    /// `CONFIG_FILE` has a key that does not exist, or the environment a name that is probably misspelt.
    #[error("unknown setting `{key}` in {place}{hint}")]
    Unknown {
        /// The key that does not exist.
        key: String,
        /// The file or the environment.
        place: String,
        /// The nearest key that does exist.
        hint: String,
    },
}

/// All settings of a process, merged, not yet typed.
#[derive(Debug, Clone)]
pub struct Settings(Config);

impl ConfigError {
    /// A setting that has no default and was not set.
    #[must_use]
    pub fn missing(key: &str) -> Self {
        Self::Invalid(format!(
            "missing setting `{key}`; set it by the environment variable {}",
            key.to_uppercase()
        ))
    }
}

impl Settings {
    /// Merges `defaults` (TOML) with the file and the environment.
    ///
    /// # Errors
    /// `ConfigError` if the file cannot be read or parsed, if it has a key that `defaults` does not have, or if the
    /// environment has a name near one of `defaults`.
    pub fn load(defaults: &str) -> Result<Self, ConfigError> {
        // Only in the working directory, unlike the library's default: a process must not read a file
        // of a parent directory by accident.
        let mut environment: HashMap<String, String> = dotenvy::from_path_iter(".env")
            .map(|pairs| pairs.filter_map(Result::ok).collect())
            .unwrap_or_default();
        environment.extend(
            std::env::vars_os().filter_map(|(key, value)| {
                Some((key.into_string().ok()?, value.into_string().ok()?))
            }),
        );
        Self::merge(defaults, &environment)
    }

    /// Merges `defaults` (TOML) with `environment`; the half of [`Settings::load`] that reads
    /// nothing from the process, for tests.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn merge(
        defaults: &str,
        environment: &HashMap<String, String>,
    ) -> Result<Self, ConfigError> {
        let defaults_only = Config::builder()
            .add_source(File::from_str(PROCESS_DEFAULTS, FileFormat::Toml))
            .add_source(File::from_str(defaults, FileFormat::Toml))
            .build()
            .map_err(|error| ConfigError::Invalid(error.to_string()))?;
        let known = keys(&defaults_only)?;
        let mut builder = Config::builder().add_source(defaults_only);
        if let Some(path) = environment.get("CONFIG_FILE") {
            let file = Config::builder()
                .add_source(File::new(path, FileFormat::Toml))
                .build()
                .map_err(|error| ConfigError::Invalid(format!("CONFIG_FILE: {error}")))?;
            if let Some(key) = keys(&file)?.difference(&known).next() {
                let hint = nearest(key, known.iter().map(String::as_str));
                return Err(unknown(key, path, hint));
            }
            builder = builder.add_source(file);
        }
        let (overrides, foreign): (HashMap<_, _>, HashMap<_, _>) = environment
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value.clone()))
            .partition(|(name, _)| known.contains(name));
        for name in foreign.keys() {
            if let Some(meant) = misspelt(name, &known) {
                let meant = meant.to_uppercase();
                let place = "the environment or .env";
                return Err(unknown(&name.to_uppercase(), place, Some(&meant)));
            }
        }
        builder
            .add_source(Environment::default().source(Some(overrides)))
            .build()
            .map(Self)
            .map_err(|error| ConfigError::Invalid(error.to_string()))
    }

    /// The settings as `T`, whose field names are keys.
    ///
    /// # Errors
    /// `ConfigError` if a value is not of its field's type; the message names key and environment variable.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        self.0
            .clone()
            .try_deserialize()
            .map_err(|error| match &error {
                config::ConfigError::Type { key: Some(key), .. }
                | config::ConfigError::At { key: Some(key), .. } => ConfigError::Invalid(format!(
                    "{error}; set it by the environment variable {}",
                    key.to_uppercase()
                )),
                _ => ConfigError::Invalid(error.to_string()),
            })
    }
}

fn keys(config: &Config) -> Result<BTreeSet<String>, ConfigError> {
    config
        .clone()
        .try_deserialize::<HashMap<String, config::Value>>()
        .map(|table| table.into_keys().collect())
        .map_err(|error| ConfigError::Invalid(error.to_string()))
}

fn unknown(key: &str, place: &str, nearest: Option<&str>) -> ConfigError {
    ConfigError::Unknown {
        key: key.to_owned(),
        place: place.to_owned(),
        hint: nearest
            .map(|name| format!(" (did you mean `{name}`?)"))
            .unwrap_or_default(),
    }
}

/// The setting in `known` that `name`, which is none of them, is probably meant to be. Two edits are too many for short
/// names: `SERVER_ROOT` and `DATABASE_SSL` belong to other programs. Three are too many for any: Kubernetes sets
/// `MOVIE_SERVICE_PORT` beside our `MOVIE_SERVICE_URL`.
fn misspelt<'a>(name: &str, known: &'a BTreeSet<String>) -> Option<&'a str> {
    // PROXY for PROXIES is one edit like any other singular.
    let singular = |name: &str| name.replace("ies", "y");
    let edits = |known: &str| {
        strsim::osa_distance(name, known)
            .min(strsim::osa_distance(&singular(name), &singular(known)))
    };
    known
        .iter()
        .map(|known| (edits(known), known.as_str()))
        .filter(|(edits, known)| *edits <= if known.len() < 13 { 1 } else { 2 })
        .min()
        .map(|(_, known)| known)
}

/// The name in `known` that is most similar to `name`, if any is similar.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| {
            (
                strsim::normalized_damerau_levenshtein(name, candidate),
                candidate,
            )
        })
        .filter(|(similarity, _)| *similarity >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Reads an optional setting; the empty string means that it is not set.
///
/// # Errors
/// Returns the error of the inner type.
pub fn empty_is_none<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

/// Reads a list of words separated by commas; blanks around them do not count.
///
/// # Errors
/// Returns an error if the setting is not text.
pub fn comma_separated<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect())
}

fn empty_secret<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok((!text.is_empty()).then(|| SecretString::from(text)))
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line, for machines.
    Json,
    /// One line of text per event, for people.
    Pretty,
}

/// The settings of every process.
#[derive(Debug, Clone, Deserialize)]
pub struct ProcessConfig {
    /// The address to listen on.
    pub server_host: IpAddr,
    /// The port to listen on; 0 picks a free one.
    pub server_port: u16,
    /// The format of log lines.
    pub log_format: LogFormat,
    /// A `tracing` filter, such as `info` or `info,sqlx=warn`.
    pub log_level: String,
    /// The time that a stopping process waits for requests in flight, in seconds.
    pub shutdown_grace_seconds: u64,
    /// The secret that callers must send in `X-Internal-Token`; `None`: not required.
    #[serde(deserialize_with = "empty_secret")]
    pub internal_token: Option<SecretString>,
    /// The PEM file with the root certificates of other services at https URLs; empty: the system's.
    pub service_tls_ca_cert_file: String,
    /// The PEM file with the certificate by which this process proves its identity to them; empty: none.
    pub service_tls_cert_file: String,
    /// The PEM file with the key of that certificate.
    pub service_tls_key_file: String,
    /// The time limit of an ordinary request, in milliseconds.
    pub request_timeout_ms: u64,
    /// The largest request body accepted, in bytes.
    pub body_limit_bytes: usize,
    /// The limit of requests in flight; one more receives 503.
    pub max_requests_in_flight: usize,
    /// The limit of open connections; one more waits to be accepted.
    pub max_connections: usize,
}

/// A shorter token can be guessed.
const MIN_INTERNAL_TOKEN_BYTES: usize = 32;

impl ProcessConfig {
    /// True if other machines can reach the process.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        !self.server_host.to_canonical().is_loopback()
    }

    /// Checks that a process which other machines can reach has an internal token that cannot be guessed.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] if the token is missing or too short.
    pub fn check_exposure(&self) -> Result<(), ConfigError> {
        let token = self.internal_token.as_ref();
        let length = token.map_or(0, |token| token.expose_secret().len());
        if !self.is_exposed() || length >= MIN_INTERNAL_TOKEN_BYTES {
            return Ok(());
        }
        Err(ConfigError::Invalid(format!(
            "INTERNAL_TOKEN must have at least {MIN_INTERNAL_TOKEN_BYTES} bytes, since other machines can reach \
             SERVER_HOST={}; `openssl rand -hex 32` prints one",
            self.server_host
        )))
    }

    /// The address and port to listen on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.server_host, self.server_port)
    }

    /// The time limit of an ordinary request.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// The time that a stopping process waits for requests in flight.
    #[must_use]
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_seconds)
    }
}

const PROCESS_DEFAULTS: &str = include_str!("../config/default.toml");

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: &str = "
        trusted_proxies = \"\"
        rate_limit_max = 100
        redis_url = \"\"
        database_url = \"\"
        movie_service_url = \"\"
        list_ttl_hours = 168
    ";

    fn merge(name: &str) -> Result<Settings, ConfigError> {
        let environment = HashMap::from([(name.to_owned(), "1".to_owned())]);
        Settings::merge(DEFAULTS, &environment)
    }

    #[test]
    fn a_misspelt_variable_is_refused_with_the_nearest_setting() {
        for (name, meant) in [
            ("TRUSTED_PROXYS", "TRUSTED_PROXIES"),
            ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
            ("RATE_LIMT_MAX", "RATE_LIMIT_MAX"),
            ("RATE_LIMITS_MAX", "RATE_LIMIT_MAX"),
            ("RATELIMIT_MAX", "RATE_LIMIT_MAX"),
            ("RAET_LIMIT_MAX", "RATE_LIMIT_MAX"),
            ("REDIS_URI", "REDIS_URL"),
            ("DATABASE_UR", "DATABASE_URL"),
            ("LIST_TTL_HOUR", "LIST_TTL_HOURS"),
            ("MOVIES_SERVICES_URL", "MOVIE_SERVICE_URL"),
            ("LOG_LEVL", "LOG_LEVEL"),
            ("server_prot", "SERVER_PORT"),
        ] {
            let error = merge(name).expect_err(name).to_string();
            let name = name.to_uppercase();
            let expected = format!(
                "unknown setting `{name}` in the environment or .env (did you mean `{meant}`?)"
            );
            assert_eq!(error, expected);
        }
    }

    #[test]
    fn variables_of_other_programs_are_ignored() {
        for name in [
            "PATH",
            "HOME",
            "HOSTNAME",
            "LANG",
            "PWD",
            "PORT",
            "URL",
            "PGHOST",
            "RUST_LOG",
            "NO_COLOR",
            // Kubernetes and Docker links.
            "KUBERNETES_SERVICE_HOST",
            "REDIS_PORT",
            "REDIS_HOST",
            "REDIS_SERVICE_PORT",
            "REDIS_PORT_6379_TCP_ADDR",
            "MOVIE_SERVICE_SERVICE_HOST",
            "MOVIE_SERVICE_SERVICE_PORT",
            "MOVIE_SERVICE_PORT",
            "MOVIE_SERVICE_PORT_8081_TCP",
            // Other software's.
            "DATABASE_SSL",
            "DATABASE_USER",
            "DATABASE_HOST",
            "DATABASE_PORT",
            "REDIS_DB",
            "REDIS_PASSWORD",
            "SERVER_ROOT",
            "SERVER_NAME",
            "SERVICE_PORT",
            "LOG_FILE",
            "LOG_DIR",
            "POSTGRES_PASSWORD",
        ] {
            merge(name).expect(name);
        }
    }
}
