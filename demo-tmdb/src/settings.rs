//! The settings of demo-tmdb, read once at start. No other module reads the environment.

use std::str::FromStr;

use chrono::NaiveDate;
use thiserror::Error;

use crate::faults::{Fault, parse_faults};

/// The limit of `DEMO_EXTRA_FILMS`; lists are sorted per request, which more movies would make slow.
const MAX_EXTRA_FILMS: u32 = 200_000;

/// The validated settings.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `SERVER_HOST`: the address to listen on. Loopback unless asked: the control paths have no lock.
    pub(crate) host: String,
    /// `SERVER_PORT`: 0 picks a free one.
    pub(crate) port: u16,
    /// `DEMO_PROVIDERS`: serve synthetic watch providers.
    pub(crate) providers: bool,
    /// `DEMO_EXTRA_FILMS`: how many generated films to add.
    pub(crate) extra_films: u32,
    /// `DEMO_TODAY`: the day that now_playing and upcoming are counted from.
    pub(crate) today: NaiveDate,
    /// `DEMO_SEED`: makes faults with a probability fall the same way in every run.
    pub(crate) seed: u64,
    /// `DEMO_FAULTS`: faults that are on from the start, as JSON.
    pub(crate) faults: Vec<Fault>,
}

/// A setting that cannot be used.
#[derive(Debug, Error)]
#[error("{key}={value:?}: {reason}")]
pub(crate) struct SettingError {
    key: &'static str,
    value: String,
    reason: String,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// Returns the first setting that is invalid, and the reason.
    pub(crate) fn from_environment() -> Result<Self, SettingError> {
        Self::parse(|key| std::env::var(key).ok())
    }

    /// Reads the settings that `lookup` returns by name.
    ///
    /// # Errors
    /// Returns the first setting that is invalid, and the reason.
    pub(crate) fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        let source = Source(lookup);
        let extra_films: u32 = source.read("DEMO_EXTRA_FILMS", "0")?;
        if extra_films > MAX_EXTRA_FILMS {
            return Err(SettingError {
                key: "DEMO_EXTRA_FILMS",
                value: extra_films.to_string(),
                reason: format!("at most {MAX_EXTRA_FILMS}"),
            });
        }
        let faults = source.text("DEMO_FAULTS", "[]");
        Ok(Self {
            host: source.text("SERVER_HOST", "127.0.0.1"),
            port: source.read("SERVER_PORT", "8090")?,
            providers: source.read("DEMO_PROVIDERS", "false")?,
            extra_films,
            // In the middle of 2025 the catalogue has movies both in cinemas and still to come.
            today: source.read("DEMO_TODAY", "2025-07-15")?,
            seed: source.read("DEMO_SEED", "1")?,
            faults: parse_faults(faults.as_bytes()).map_err(|error| SettingError {
                key: "DEMO_FAULTS",
                value: faults,
                reason: error.to_string(),
            })?,
        })
    }
}

struct Source<F>(F);

impl<F: Fn(&str) -> Option<String>> Source<F> {
    fn text(&self, key: &'static str, default: &str) -> String {
        // An empty value is how compose files and shells write "not set".
        (self.0)(key)
            .filter(|value| !value.trim().is_empty())
            .unwrap_or_else(|| default.to_owned())
    }

    fn read<T: FromStr<Err: std::fmt::Display>>(
        &self,
        key: &'static str,
        default: &str,
    ) -> Result<T, SettingError> {
        let value = self.text(key, default);
        value.trim().parse().map_err(|error: T::Err| SettingError {
            key,
            reason: error.to_string(),
            value,
        })
    }
}
