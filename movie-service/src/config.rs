//! The settings of movie-service; `config/default.toml` documents each.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// The default settings.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// TMDB's terms: data must be refreshed within six months.
const MAX_UNREFRESHED_DAYS: i32 = 180;

/// The settings of movie-service.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The service's own database.
    pub database_url: SecretString,
    /// Connections of the pool.
    pub database_max_connections: u32,
    /// Retention of change records, in hours.
    pub change_retention_hours: u64,
    /// The Redis shared by replicas; optional.
    pub redis_url: SecretString,
    /// Days after which a movie is stale: served, but refreshed in the background.
    pub movie_stale_threshold_days: i64,
    /// Memory of cached movies, in bytes.
    pub movie_cache_bytes: u64,
    /// Memory of cached list pages, in bytes; 0 disables the cache.
    pub movie_list_cache_bytes: u64,
    /// Lifetime of a movie in Redis, in seconds.
    pub movie_cache_ttl_seconds: u64,
    /// Lifetime of an id that TMDB does not have in the negative cache, in seconds.
    pub negative_cache_seconds: u64,
    /// The URL of preference-service.
    pub user_preference_service_url: Url,
    /// The URL of recommendation-service.
    pub recommendation_service_url: Url,
    /// The time limit of included fields from other services, in milliseconds.
    pub include_timeout_ms: u64,
    /// Requests to TMDB per second for movies that the catalogue does not have.
    pub hydration_rate_per_second: f64,
    /// True if movies with TMDB's adult-content flag are stored.
    pub include_adult: bool,
    /// The largest import that is answered when it is done; a larger one is answered with a job.
    pub import_at_once_most: usize,
    /// The lease of a job's worker, in seconds.
    pub job_lease_seconds: u64,
    /// The interval of looking for jobs without a worker, in seconds.
    pub job_poll_seconds: u64,
    /// The longest wait of a job while TMDB is down, in seconds.
    pub job_patience_seconds: u64,
    /// Retention of ended jobs, in days.
    pub job_retention_days: i32,
    /// The interval of the warm pool, in seconds; 0 disables it.
    pub warm_pool_interval_seconds: u64,
    /// Movies in the warm pool.
    pub warm_pool_size: u32,
    /// Days after which a movie that is not read is refreshed; 0 disables it.
    pub movie_refresh_days: i32,
    /// The interval of these refreshes, in seconds.
    pub movie_refresh_interval_seconds: u64,
    /// Movies per refresh.
    pub movie_refresh_batch: u32,
}

impl Config {
    /// Checks the settings against TMDB's terms.
    ///
    /// # Errors
    /// Names the invalid setting and its range.
    pub fn check(&self) -> anyhow::Result<()> {
        let max = MAX_UNREFRESHED_DAYS - 1;
        anyhow::ensure!(
            (0..=max).contains(&self.movie_refresh_days),
            "MOVIE_REFRESH_DAYS must be 1 to {max}, by TMDB's terms, or 0 to disable refreshes, but is {}",
            self.movie_refresh_days
        );
        Ok(())
    }

    /// Retention of change records.
    pub fn change_retention(&self) -> Duration {
        Duration::from_secs(self.change_retention_hours * 3600)
    }
}

/// The settings of the TMDB client, apart from [`Config`] since serde does not parse numbers in flattened structs.
#[derive(Debug, Clone, Deserialize)]
pub struct TmdbConfig {
    /// The base URL, including the version.
    pub tmdb_base_url: Url,
    /// The key; empty if there is none.
    pub tmdb_api_key: SecretString,
    /// The time limit of one attempt, in milliseconds.
    pub tmdb_api_timeout: u64,
    /// Requests per second.
    pub tmdb_rate_limit_per_second: f64,
    /// Concurrent requests.
    pub tmdb_max_concurrency: usize,
    /// Retries of a failed request.
    pub tmdb_max_retries: u32,
    /// The base of exponential backoff, in milliseconds.
    pub tmdb_retry_base_ms: u64,
    /// Consecutive failures that open the circuit breaker.
    pub tmdb_breaker_failures: u32,
    /// The time that it stays open, in seconds.
    pub tmdb_breaker_open_seconds: u64,
    /// The language of titles and overviews.
    pub tmdb_language: String,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use chassis::Settings;

    use super::*;

    #[test]
    fn defaults_are_complete_and_the_environment_overrides_them() {
        let defaults = Settings::merge(DEFAULTS, &HashMap::new()).expect("defaults");
        let _: Config = defaults.read().expect("complete");
        let tmdb: TmdbConfig = defaults.read().expect("complete");
        assert_eq!(tmdb.tmdb_rate_limit_per_second, 40.0);
        let environment = HashMap::from([("TMDB_MAX_CONCURRENCY".to_owned(), "3".to_owned())]);
        let tmdb: TmdbConfig = Settings::merge(DEFAULTS, &environment)
            .and_then(|settings| settings.read())
            .expect("valid");
        assert_eq!(tmdb.tmdb_max_concurrency, 3);
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

    #[test]
    fn a_mistyped_value_is_named_with_its_variable() {
        let environment = HashMap::from([("TMDB_MAX_RETRIES".to_owned(), "many".to_owned())]);
        let error = Settings::merge(DEFAULTS, &environment)
            .and_then(|settings| settings.read::<TmdbConfig>())
            .expect_err("not a number");
        assert!(error.to_string().contains("TMDB_MAX_RETRIES"), "{error}");
    }
}
