//! The settings of recommendation-service; `config/default.toml` documents each.

use std::{path::PathBuf, time::Duration};

use chassis::config::empty_is_none;
use recommender::experiments::thompson::Exploration;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use crate::{language::DisplayLanguages, words::llm::LlmSettings};

/// The defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The settings of recommendation-service.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The service's own database.
    pub database_url: SecretString,
    /// The size of its connection pools together.
    pub database_max_connections: u32,
    /// The longest wait of a request for a lock of a table or row, in milliseconds; 0 for no limit of its own.
    pub database_lock_timeout_ms: u64,
    /// The URL of movie-service.
    pub movie_service_url: Url,
    /// The URL of preference-service.
    pub user_preference_service_url: Url,
    /// The languages of titles, genres and reasons, the catalogue's own first.
    pub catalogue_languages: DisplayLanguages,
    /// The time to live of lists, in hours.
    pub list_ttl_hours: u32,
    /// The number of lists that are stored.
    pub lists_at_most: u32,
    /// The half-life of interactions in days; 0 for none.
    pub taste_half_life_days: u32,
    /// The share of positions that explore, 0 to 0.5.
    pub exploration_share: f64,
    /// The number of first positions that never explore.
    pub exploration_protected: usize,
    /// The window within which outcomes of an explored movie count, in hours.
    pub exploration_window_hours: u16,
    /// True if movies are compared by content.
    pub content_model: bool,
    /// The directory in which the live model is cached; empty for none.
    pub model_cache_directory: String,
    /// The number of model versions that are stored.
    pub model_versions_kept: i64,
    /// The interval of training in hours; 0 for none.
    pub training_interval_hours: u32,
    /// The memory of training, MiB.
    pub training_memory_mib: u64,
    /// The base URL of a language model that reads messages in words; `None` for the parser alone.
    #[serde(deserialize_with = "empty_is_none")]
    pub llm_url: Option<Url>,
    /// Its key; empty for none.
    pub llm_api_key: SecretString,
    /// The name of the model.
    pub llm_model: String,
    /// The time limit of a call of it, in milliseconds.
    pub llm_timeout_ms: u64,
}

impl Config {
    /// The settings of exploration.
    ///
    /// # Errors
    /// Returns an error if the share is out of range.
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

    /// The settings of the language model, if there is one; its calls end before `request_timeout` does.
    ///
    /// # Errors
    /// Returns an error if there is one without a name, or with too much time.
    pub fn language_model(&self, request_timeout: Duration) -> anyhow::Result<Option<LlmSettings>> {
        let Some(url) = self.llm_url.clone() else {
            return Ok(None);
        };
        anyhow::ensure!(
            matches!(url.scheme(), "http" | "https"),
            "LLM_URL must be a URL such as http://127.0.0.1:11434/v1"
        );
        anyhow::ensure!(
            !self.llm_model.is_empty(),
            "LLM_URL needs LLM_MODEL, the name of a model"
        );
        let timeout = Duration::from_millis(self.llm_timeout_ms);
        anyhow::ensure!(
            !timeout.is_zero() && timeout < request_timeout,
            "LLM_TIMEOUT_MS must be above 0 and below REQUEST_TIMEOUT_MS"
        );
        Ok(Some(LlmSettings {
            url,
            key: self.llm_api_key.clone(),
            model: self.llm_model.clone(),
            timeout,
        }))
    }

    /// The directory in which the live model is cached.
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
    fn the_catalogues_language_comes_first_and_each_once() {
        for (languages, others) in [
            ("en,ko", Some(&["ko"][..])),
            ("en-US, ko_KR,ja", Some(&["ko", "ja"])),
            ("ko", Some(&[])),
            ("", None),
            ("en,ko,ko-KR", None),
            ("en,korean", None),
            ("en,aa,ab,ac,ad,ae,af,ag,ah,ai", None),
        ] {
            let given = languages.to_owned();
            let environment = HashMap::from([("CATALOGUE_LANGUAGES".to_owned(), given)]);
            let config = Settings::merge(DEFAULTS, &environment)
                .and_then(|settings| settings.read::<Config>())
                .map(|config| config.catalogue_languages.others());
            assert_eq!(
                config.ok().as_deref(),
                others
                    .map(|all| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>())
                    .as_deref(),
                "{languages}"
            );
        }
    }

    #[test]
    fn an_invalid_share_is_refused_by_the_name_of_its_setting() {
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
