//! The settings of preference-service; what each means stands in `config/default.toml`.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

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
    /// Where movie-service is.
    pub movie_service_url: Url,
    /// The time limit of a question to movie-service, in milliseconds.
    pub movie_service_timeout_ms: u64,
}

impl Config {
    /// How long change records are kept.
    #[must_use]
    pub fn change_retention(&self) -> Duration {
        Duration::from_secs(self.change_retention_hours.saturating_mul(3600))
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
        ] {
            let error = read(name, "many").expect_err(name);
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
