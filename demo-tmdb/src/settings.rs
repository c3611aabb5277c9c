//! The settings of demo-tmdb, read once at start. No other module reads the environment.

use std::collections::HashMap;

use chassis::{config::ConfigError, extract::Bounded};
use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::faults::{Fault, parse_faults};

/// The defaults, which document each setting.
const DEFAULTS: &str = include_str!("../config/default.toml");

/// The validated settings.
#[derive(Debug, Deserialize)]
pub(crate) struct Settings {
    /// The address to listen on. Loopback by default: the control paths need no key.
    pub(crate) server_host: String,
    /// The port to listen on; 0 picks a free one.
    pub(crate) server_port: u16,
    /// True if sample watch providers are served.
    pub(crate) demo_providers: bool,
    /// True if every movie has a poster.
    pub(crate) demo_posters: bool,
    /// The number of generated movies to add; lists are sorted per request, which more would make slow.
    pub(crate) demo_extra_films: Bounded<0, 200_000>,
    /// The day that now_playing and upcoming are counted from.
    pub(crate) demo_today: NaiveDate,
    /// Makes faults with a probability strike the same requests in every run.
    pub(crate) demo_seed: u64,
    /// Faults that are on from the start, as JSON.
    #[serde(deserialize_with = "faults")]
    pub(crate) demo_faults: Vec<Fault>,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Returns the first setting that is invalid, and the reason.
    pub(crate) fn from_environment() -> Result<Self, ConfigError> {
        Self::parse(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Reads the settings of an `environment`, by name.
    ///
    /// # Errors
    /// Returns the first setting that is invalid, and the reason.
    pub(crate) fn parse(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let own: HashMap<String, String> = environment
            .into_iter()
            // That file is for the services; it has settings that are unknown here.
            .filter(|(name, _)| name != "CONFIG_FILE")
            // An empty value is how compose files and shells write "not set".
            .filter(|(_, value)| !value.trim().is_empty())
            .collect();
        chassis::Settings::merge(DEFAULTS, &own)?.read()
    }
}

fn faults<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Fault>, D::Error> {
    let json = String::deserialize(deserializer)?;
    parse_faults(json.as_bytes()).map_err(D::Error::custom)
}
