//! The settings of recommendation-service; what each means stands in `config/default.toml`.

use std::path::PathBuf;

use recommender::experiments::thompson::Exploration;
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
    /// For how many hours lists are kept.
    pub list_ttl_hours: u32,
    /// How many lists are kept.
    pub lists_at_most: u32,
    /// After how many days what a user did weighs half; 0: never.
    pub taste_half_life_days: u32,
    /// The share of a list's places that films are shown in to learn about them, 0 to 0.5.
    pub exploration_share: f64,
    /// How many places at the top of a list never are.
    pub exploration_protected: usize,
    /// For how long what users do with a film that they were shown is counted for it, in hours.
    pub exploration_window_hours: u16,
    /// Whether films are compared by what they are about.
    pub content_model: bool,
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
    /// How much is explored.
    ///
    /// # Errors
    /// A share that cannot be one.
    pub fn exploration(&self) -> anyhow::Result<Exploration> {
        anyhow::ensure!(
            (0.0..=Exploration::MAX_SHARE).contains(&self.exploration_share),
            "EXPLORATION_SHARE is {}, but must be a number from 0 to {}",
            self.exploration_share,
            Exploration::MAX_SHARE
        );
        Ok(Exploration {
            share: self.exploration_share,
            protected: self.exploration_protected,
        })
    }

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
        assert_eq!(config.exploration().expect("valid").share, 0.0);
    }

    #[test]
    fn a_share_that_cannot_be_one_is_refused_by_name() {
        for share in ["0.51", "-0.1", "nan", "inf"] {
            let environment = HashMap::from([("EXPLORATION_SHARE".to_owned(), share.to_owned())]);
            let config: Config = Settings::merge(DEFAULTS, &environment)
                .and_then(|settings| settings.read())
                .expect("a number");
            let error = config.exploration().expect_err(share).to_string();
            assert!(error.contains("EXPLORATION_SHARE"), "{error}");
        }
    }
}
