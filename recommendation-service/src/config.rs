//! The settings of recommendation-service; what each means stands in `config/default.toml`.

use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// The defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The settings of recommendation-service.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The service's own database.
    pub database_url: SecretString,
    /// Connections to it at most.
    pub database_max_connections: u32,
    /// The service whose films are recommended.
    pub movie_service_url: Url,
    /// The service that knows the users.
    pub user_preference_service_url: Url,
    /// Where the live model is kept for a quick start; empty: nowhere.
    pub model_cache_directory: String,
    /// How many versions of the models are kept.
    pub model_versions_kept: i64,
    /// How often models are trained, in hours; 0: never by itself.
    pub training_interval_hours: u32,
    /// Memory that training may take, MiB.
    pub training_memory_mib: u64,
}

impl Config {
    /// Where the live model is kept for a quick start.
    #[must_use]
    pub fn model_directory(&self) -> Option<PathBuf> {
        let directory = self.model_cache_directory.trim();
        (!directory.is_empty()).then(|| PathBuf::from(directory))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chassis::Settings;

    use super::*;

    #[test]
    fn the_defaults_are_complete_and_the_environment_wins() {
        let name = "USER_PREFERENCE_SERVICE_URL".to_owned();
        let environment = HashMap::from([(name, "http://other:1".to_owned())]);
        let config: Config = Settings::merge(DEFAULTS, &environment)
            .and_then(|settings| settings.read())
            .expect("complete");
        assert_eq!(
            config.user_preference_service_url.as_str(),
            "http://other:1/"
        );
        assert_eq!(config.movie_service_url.port(), Some(8081));
    }
}
