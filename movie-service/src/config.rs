//! The settings of movie-service; what each means stands in `config/default.toml`.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

/// The defaults, compiled in.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// TMDB's terms: nothing is kept for longer than six months without asking again.
const LONGEST_UNREFRESHED_DAYS: i32 = 180;

/// The settings of movie-service.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// The service's own database.
    pub database_url: SecretString,
    /// Connections to it at most.
    pub database_max_connections: u32,
    /// How long change records are kept, in hours.
    pub change_retention_hours: u64,
    /// The Redis that replicas share; never needed.
    pub redis_url: SecretString,
    /// After how many days a film is served as stale while it is asked for again.
    pub movie_stale_threshold_days: i64,
    /// How much memory films may take in the process, in bytes.
    pub movie_cache_bytes: u64,
    /// How much memory answered pages of lists may take, in bytes; 0: none is kept.
    pub movie_list_cache_bytes: u64,
    /// For how many seconds Redis keeps a film.
    pub movie_cache_ttl_seconds: u64,
    /// For how many seconds it is remembered that TMDB does not know an id.
    pub negative_cache_seconds: u64,
    /// Where preference-service is.
    pub user_preference_service_url: Url,
    /// Where recommendation-service is.
    pub recommendation_service_url: Url,
    /// How long a film waits for what another service is to say of it, in milliseconds.
    pub include_timeout_ms: u64,
    /// Films never seen before that are asked for at TMDB, a second at most.
    pub hydration_rate_per_second: f64,
    /// Whether pornography is admitted.
    pub include_adult: bool,
    /// Imports of more films than this answer with a job.
    pub import_at_once_most: usize,
    /// For how many seconds a job is a worker's without a sign of life.
    pub job_lease_seconds: u64,
    /// Every so many seconds a replica looks for jobs that nobody works on.
    pub job_poll_seconds: u64,
    /// For how many seconds a job waits for a TMDB that is down.
    pub job_patience_seconds: u64,
    /// For how many days jobs that have ended are remembered.
    pub job_retention_days: i32,
    /// How many seconds lie between two runs of the warm pool; 0: there are none.
    pub warm_pool_interval_seconds: u64,
    /// How many films the warm pool has at most.
    pub warm_pool_size: u32,
    /// After how many days a film is asked for again though nobody looks at it; 0: never.
    pub movie_refresh_days: i32,
    /// How many seconds lie between two rounds of that.
    pub movie_refresh_interval_seconds: u64,
    /// How many films a round has at most.
    pub movie_refresh_batch: u32,
}

impl Config {
    /// Whether the settings agree with each other and with TMDB's terms.
    ///
    /// # Errors
    /// What is wrong, and how to mend it.
    pub fn check(&self) -> anyhow::Result<()> {
        let most = LONGEST_UNREFRESHED_DAYS - 1;
        anyhow::ensure!(
            (0..=most).contains(&self.movie_refresh_days),
            "MOVIE_REFRESH_DAYS must be 1 to {most}, as TMDB's terms ask, or 0 for never, but is {}",
            self.movie_refresh_days
        );
        Ok(())
    }

    /// How long change records are kept.
    #[must_use]
    pub fn change_retention(&self) -> Duration {
        Duration::from_secs(self.change_retention_hours * 3600)
    }
}

/// TMDB and how to treat it; read apart from [`Config`], since serde cannot turn text into numbers
/// within a flattened struct.
#[derive(Debug, Clone, Deserialize)]
pub struct TmdbConfig {
    /// Where it is, up to and with the version.
    pub tmdb_base_url: Url,
    /// The key; empty: none.
    pub tmdb_api_key: SecretString,
    /// The time limit of one call, in milliseconds.
    pub tmdb_api_timeout: u64,
    /// Calls a second at most.
    pub tmdb_rate_limit_per_second: f64,
    /// Calls under way at once at most.
    pub tmdb_max_concurrency: usize,
    /// Further tries after a failed one.
    pub tmdb_max_retries: u32,
    /// The base of the pause between tries, in milliseconds.
    pub tmdb_retry_base_ms: u64,
    /// Failures one after another that open the breaker.
    pub tmdb_breaker_failures: u32,
    /// For how many seconds it stays open.
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
    fn the_defaults_are_complete_and_the_environment_wins() {
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
    fn films_are_refreshed_within_the_time_that_tmdb_gives() {
        for (days, fits) in [("0", true), ("179", true), ("180", false), ("-1", false)] {
            let environment = HashMap::from([("MOVIE_REFRESH_DAYS".to_owned(), days.to_owned())]);
            let config: Config = Settings::merge(DEFAULTS, &environment)
                .and_then(|settings| settings.read())
                .expect("valid");
            assert_eq!(config.check().is_ok(), fits, "{days}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_named_with_its_variable() {
        let environment = HashMap::from([("TMDB_MAX_RETRIES".to_owned(), "many".to_owned())]);
        let error = Settings::merge(DEFAULTS, &environment)
            .and_then(|settings| settings.read::<TmdbConfig>())
            .expect_err("not a number");
        assert!(error.to_string().contains("TMDB_MAX_RETRIES"), "{error}");
    }
}
