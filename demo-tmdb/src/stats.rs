//! Call counts, with which a test proves how a client behaves, such as that it keeps to its rate limit.
//! Only calls of TMDB's paths count; control paths and health checks do not.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::Serialize;

/// The number of seconds that are counted one by one.
const SECONDS_KEPT: usize = 120;
const ONE_SECOND: Duration = Duration::from_secs(1);

/// Counts since the start or the last reset.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Stats {
    total: u64,
    by_kind: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<String, u64>,
    by_fault: BTreeMap<&'static str, u64>,
    in_flight: u64,
    max_in_flight: u64,
    /// The seconds in which calls came, oldest first.
    per_second: VecDeque<Second>,
    /// The times of the calls of the last second, for the busiest second with any start.
    #[serde(skip)]
    last_second: VecDeque<Instant>,
    max_in_one_second: usize,
}

/// A second since the epoch, with its number of calls.
#[derive(Debug, Serialize)]
struct Second {
    second: u64,
    calls: u64,
}

impl Stats {
    /// Counts the start of a call.
    pub(crate) fn begin(&mut self, kind: &'static str) {
        self.total += 1;
        *self.by_kind.entry(kind).or_default() += 1;
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);

        let second = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        match self.per_second.back_mut() {
            // A clock that was set back must not make the list grow or lose its order.
            Some(last) if last.second >= second => last.calls += 1,
            _ => self.per_second.push_back(Second { second, calls: 1 }),
        }
        while self.per_second.len() > SECONDS_KEPT {
            self.per_second.pop_front();
        }

        let now = Instant::now();
        self.last_second.push_back(now);
        let is_past = |then: &mut Instant| now.duration_since(*then) >= ONE_SECOND;
        while self.last_second.pop_front_if(is_past).is_some() {}
        self.max_in_one_second = self.max_in_one_second.max(self.last_second.len());
    }

    /// Counts a fault that struck a call.
    pub(crate) fn fault(&mut self, name: &'static str) {
        *self.by_fault.entry(name).or_default() += 1;
    }

    /// Counts the end of a call: a status, `reset`, or `abandoned` by its client.
    pub(crate) fn end(&mut self, status: String) {
        *self.by_status.entry(status).or_default() += 1;
        // After a reset, calls that began before it still end.
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Resets all counts but that of the calls in flight.
    pub(crate) fn reset(&mut self) {
        let in_flight = self.in_flight;
        *self = Self {
            in_flight,
            max_in_flight: in_flight,
            ..Self::default()
        };
    }
}

/// The kind of a path, for the counts: the path without its ids.
pub(crate) fn path_kind(path: &str) -> &'static str {
    let path = path
        .trim_start_matches('/')
        .strip_prefix("3/")
        .unwrap_or(path);
    let segments: Vec<&str> = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    match segments[..] {
        ["configuration"] => "configuration",
        ["genre", "movie", "list"] => "genres",
        ["discover", "movie"] => "discover",
        ["search", "movie"] => "search",
        ["trending", "movie", _] => "trending",
        ["movie", "popular"] => "popular",
        ["movie", "top_rated"] => "top_rated",
        ["movie", "now_playing"] => "now_playing",
        ["movie", "upcoming"] => "upcoming",
        ["movie", "changes"] => "changes",
        ["movie", _] => "movie",
        ["movie", _, ..] => "movie_part",
        ["t", "p", _, _] => "image",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_flight_survives_a_reset() {
        let mut stats = Stats::default();
        stats.begin("movie");
        stats.begin("movie");
        stats.end("200".to_owned());
        stats.reset();
        assert_eq!((stats.total, stats.max_in_flight), (0, 1));
        stats.end("200".to_owned());
        assert_eq!(stats.in_flight, 0);
    }
}
