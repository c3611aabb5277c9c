//! Every setting of demo-tmdb, read from the environment once, at start. Nothing else here reads the environment.

use std::str::FromStr;

use chrono::NaiveDate;
use thiserror::Error;

use crate::faults::{Fault, parse_faults};

/// More than this would need another way of sorting, and no test of ours asks for it.
const MAX_EXTRA_FILMS: u32 = 200_000;

/// What the environment says.
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
    /// Names the setting that is wrong and why.
    pub(crate) fn load() -> Result<Self, SettingError> {
        let extra_films: u32 = read("DEMO_EXTRA_FILMS", "0")?;
        if extra_films > MAX_EXTRA_FILMS {
            return Err(SettingError {
                key: "DEMO_EXTRA_FILMS",
                value: extra_films.to_string(),
                reason: format!("at most {MAX_EXTRA_FILMS}"),
            });
        }
        let faults = text("DEMO_FAULTS", "[]");
        Ok(Self {
            host: text("SERVER_HOST", "127.0.0.1"),
            port: read("SERVER_PORT", "8090")?,
            providers: read("DEMO_PROVIDERS", "false")?,
            extra_films,
            // In the middle of 2025 the catalogue has films both in cinemas and still to come.
            today: read("DEMO_TODAY", "2025-07-15")?,
            seed: read("DEMO_SEED", "1")?,
            faults: parse_faults(faults.as_bytes()).map_err(|error| SettingError {
                key: "DEMO_FAULTS",
                value: faults,
                reason: error.to_string(),
            })?,
        })
    }
}

fn text(key: &'static str, default: &str) -> String {
    // An empty value is how compose files and shells say "not set".
    std::env::var(key)
        .ok()
        .filter(|value| !value.trim().is_empty())
        .unwrap_or_else(|| default.to_owned())
}

fn read<T>(key: &'static str, default: &str) -> Result<T, SettingError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    let value = text(key, default);
    value.trim().parse().map_err(|error: T::Err| SettingError {
        key,
        reason: error.to_string(),
        value,
    })
}
