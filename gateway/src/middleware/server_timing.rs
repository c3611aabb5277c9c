//! `Server-Timing` (W3C): the durations of the phases of a request, for clients that ask by `Prefer: server-timing`
//! (RFC 7240). [`crate::pipeline`] calls it between the layers.

use std::time::{Duration, Instant};

use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
};

use crate::{message::Headers, proxy::list_contains};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// The preference, the same as the header's name.
const PREFERENCE: HeaderValue = HeaderValue::from_static("server-timing");

/// The phases of a request that have ended.
pub(crate) struct ServerTiming {
    started: Instant,
    latest: Instant,
    phases: Vec<(&'static str, Duration)>,
}

impl ServerTiming {
    /// The timing of a request with `headers` that began at `started`; `None` if the client does not ask for it.
    pub(crate) fn requested(headers: &HeaderMap, started: Instant) -> Option<Box<Self>> {
        let is_requested =
            headers.contains_key(PREFER) && list_contains(headers, &PREFER, SERVER_TIMING.as_str());
        is_requested.then(|| {
            Box::new(Self {
                started,
                latest: started,
                phases: Vec::new(),
            })
        })
    }

    /// Ends the phase `name`, which may have had an earlier part.
    pub(crate) fn end_phase(&mut self, name: &'static str) {
        let now = Instant::now();
        let duration = now - self.latest;
        self.latest = now;
        match self.phases.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += duration,
            None => self.phases.push((name, duration)),
        }
    }

    /// Adds the header to the response, beside that of the service, if it sent one.
    pub(crate) fn add_header(&self, headers: &mut Headers) {
        let total = ("total", self.started.elapsed());
        let phases = self.phases.iter().chain([&total]);
        let phases = phases.map(|(name, duration)| {
            let milliseconds = duration.as_secs_f64() * 1000.0;
            format!("{name};dur={milliseconds:.3}")
        });
        let text = phases.collect::<Vec<_>>().join(", ");
        // Names and numbers are ASCII.
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.append(SERVER_TIMING, value);
            headers.append(PREFERENCE_APPLIED, PREFERENCE);
        }
    }
}
