//! The settings of movie-service; `config/default.toml` documents each.

use std::{path::PathBuf, time::Duration};

use chassis::{config::comma_separated, language::Language};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer, de};
use url::Url;

/// The default settings.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// TMDB's terms: data must be refreshed within six months.
const MAX_UNREFRESHED_DAYS: i32 = 180;

/// The settings of movie-service.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    pub(crate) database_url: SecretString,
    pub(crate) database_max_connections: u32,
    pub(crate) database_lock_timeout_ms: u64,
    pub(crate) change_retention_hours: u64,
    pub(crate) movie_stale_threshold_days: i64,
    pub(crate) movie_cache_bytes: u64,
    pub(crate) movie_list_cache_bytes: u64,
    pub(crate) movie_cache_ttl_seconds: u64,
    pub(crate) search_index_dir: PathBuf,
    pub(crate) search_popular_floor: i64,
    pub(crate) negative_cache_seconds: u64,
    pub(crate) image_cache_dir: PathBuf,
    pub(crate) image_cache_bytes: u64,
    pub(crate) tmdb_image_base_url: Url,
    pub(crate) user_preference_service_url: Url,
    pub(crate) recommendation_service_url: Url,
    pub(crate) include_timeout_ms: u64,
    pub(crate) hydration_rate_per_second: f64,
    pub(crate) include_adult: bool,
    pub(crate) import_at_once_most: usize,
    pub(crate) job_lease_seconds: u64,
    pub(crate) job_poll_seconds: u64,
    pub(crate) job_patience_seconds: u64,
    pub(crate) job_retention_days: i32,
    pub(crate) warm_pool_interval_seconds: u64,
    pub(crate) warm_pool_size: u32,
    pub(crate) movie_refresh_days: i32,
    pub(crate) movie_refresh_interval_seconds: u64,
    pub(crate) movie_refresh_batch: u32,
}

impl Config {
    /// Checks the settings against TMDB's terms.
    pub fn check(&self) -> anyhow::Result<()> {
        let max = MAX_UNREFRESHED_DAYS - 1;
        anyhow::ensure!(
            (0..=max).contains(&self.movie_refresh_days),
            "MOVIE_REFRESH_DAYS must be 1 to {max}, by TMDB's terms, or 0 to disable refreshes, but is {}",
            self.movie_refresh_days
        );
        Ok(())
    }

    /// The directory of the search index; `None` keeps it in memory.
    pub fn search_directory(&self) -> Option<PathBuf> {
        Some(self.search_index_dir.clone()).filter(|path| !path.as_os_str().is_empty())
    }

    /// The directory of images; `None` serves none.
    pub fn image_directory(&self) -> Option<PathBuf> {
        Some(self.image_cache_dir.clone()).filter(|path| !path.as_os_str().is_empty())
    }

    /// Retention of change records.
    pub fn change_retention(&self) -> Duration {
        Duration::from_secs(self.change_retention_hours * 3600)
    }
}

/// The settings of the TMDB client, apart from [`Config`] since serde does not parse numbers in flattened structs.
#[derive(Debug, Clone, Deserialize)]
pub struct TmdbConfig {
    pub(crate) tmdb_base_url: Url,
    pub(crate) tmdb_api_key: SecretString,
    pub(crate) tmdb_api_timeout: u64,
    pub(crate) tmdb_rate_limit_per_second: f64,
    pub(crate) tmdb_max_concurrency: usize,
    pub(crate) tmdb_max_retries: u32,
    pub(crate) tmdb_retry_base_ms: u64,
    pub(crate) tmdb_breaker_failures: u32,
    pub(crate) tmdb_breaker_open_seconds: u64,
    pub(crate) tmdb_language: Language,
    #[serde(deserialize_with = "languages")]
    pub(crate) tmdb_languages: Vec<Language>,
}

/// Reads languages, separated by commas, each of one region, since names are kept by language.
fn languages<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Language>, D::Error> {
    let mut languages: Vec<Language> = Vec::new();
    for tag in comma_separated(deserializer)? {
        let language: Language = tag.parse().map_err(de::Error::custom)?;
        if languages.iter().any(|known| known.matches(language)) {
            return Err(de::Error::custom("must name each language once"));
        }
        languages.push(language);
    }
    Ok(languages)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chassis::Settings;

    use super::*;

    #[test]
    fn each_language_is_named_once() {
        for (languages, expected) in [
            ("", Some("[]")),
            ("ko_kr, ja", Some("[ko-KR, ja]")),
            ("zh-CN,zh-TW", None),
            ("Korean", None),
        ] {
            let environment = HashMap::from([("TMDB_LANGUAGES".to_owned(), languages.to_owned())]);
            let settings = Settings::merge(DEFAULTS, &environment).expect("known settings");
            let config = settings.read::<TmdbConfig>();
            let read = config.map(|config| format!("{:?}", config.tmdb_languages));
            assert_eq!(read.ok().as_deref(), expected, "{languages}");
        }
    }

    #[test]
    fn refresh_days_stay_within_tmdbs_terms() {
        for (days, fits) in [("0", true), ("179", true), ("180", false), ("-1", false)] {
            let environment = HashMap::from([("MOVIE_REFRESH_DAYS".to_owned(), days.to_owned())]);
            let config: Config = Settings::merge(DEFAULTS, &environment)
                .and_then(|settings| settings.read())
                .expect("valid");
            assert_eq!(config.check().is_ok(), fits, "{days}");
        }
    }
}
