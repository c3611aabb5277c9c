//! The settings of recommendation-service; what each means stands in `config/default.toml`.

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
