//! Faults on demand: the active faults, and the choice of those that affect the next request. How a fault is
//! played out over a connection is in [`crate::handler`] and [`crate::server`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use crate::catalogue::stable_number;

/// The longest delay of a response; `hang` is for more.
const MAX_LATENCY_MS: u64 = 600_000;

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A late response; combines with any other fault.
    Latency,
    /// 429, with or without `Retry-After`.
    RateLimited,
    /// A 5xx of the given status.
    Status,
    /// The connection ends in the middle of the body.
    Truncated,
    /// A whole response whose JSON breaks off.
    Malformed,
    /// The connection is reset before any response.
    Reset,
    /// 200 with a page of HTML.
    Nonsense,
    /// The whole body and 16 MiB of zeros behind it.
    Oversized,
    /// No response, ever.
    Hang,
}

impl Kind {
    /// The name in control bodies and counts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::RateLimited => "rate_limited",
            Self::Status => "status",
            Self::Truncated => "truncated",
            Self::Malformed => "malformed",
            Self::Reset => "reset",
            Self::Nonsense => "nonsense",
            Self::Oversized => "oversized",
            Self::Hang => "hang",
        }
    }
}

/// A fault, as in a control body.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// The probability that it strikes, 0 to 1.
    #[serde(default = "always")]
    probability: f64,
    /// The number of requests it strikes; unlimited if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// Only requests whose path and query contain this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// `latency`: milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ms: Option<u64>,
    /// `latency`: up to so many milliseconds more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    jitter_ms: Option<u64>,
    /// `rate_limited`: seconds in `Retry-After`; no such header where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
    /// `status`: 500 to 599.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
}

fn always() -> f64 {
    1.0
}

/// A control body that does not describe a fault.
#[derive(Debug, Error)]
pub(crate) enum FaultError {
    #[error("not a fault: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("not a fault: {0}")]
    Unreadable(#[from] serde_path_to_error::Error<serde_json::Error>),
    #[error("{field} {problem}")]
    Field {
        field: &'static str,
        problem: &'static str,
    },
}

/// Reads one fault, or a list of them.
///
/// # Errors
/// `FaultError` if the JSON is invalid, has an unknown field, or a field that the kind does not use.
pub(crate) fn parse_faults(json: &[u8]) -> Result<Vec<Fault>, FaultError> {
    let faults: Vec<Fault> = match serde_json::from_slice(json)? {
        Value::Array(items) => items
            .into_iter()
            .map(serde_json::from_value)
            .collect::<Result<_, _>>()?,
        one => vec![serde_path_to_error::deserialize(one)?],
    };
    faults.iter().try_for_each(Fault::check)?;
    Ok(faults)
}

impl Fault {
    fn check(&self) -> Result<(), FaultError> {
        let wrong = |field, problem| Err(FaultError::Field { field, problem });
        if !(0.0..=1.0).contains(&self.probability) {
            return wrong("probability", "must be from 0 to 1");
        }
        if self.kind != Kind::Latency && (self.ms.is_some() || self.jitter_ms.is_some()) {
            return wrong("ms, jitter_ms", "are for latency only");
        }
        if self.kind != Kind::RateLimited && self.retry_after.is_some() {
            return wrong("retry_after", "is for rate_limited only");
        }
        match (self.kind, self.status) {
            (Kind::Status, Some(500..=599)) => {}
            (Kind::Status, _) => return wrong("status", "is needed, from 500 to 599"),
            (_, Some(_)) => return wrong("status", "is for status only"),
            (_, None) => {}
        }
        if self.kind == Kind::Latency && self.ms.is_none() && self.jitter_ms.is_none() {
            return wrong("ms", "or jitter_ms is needed");
        }
        if [self.ms, self.jitter_ms]
            .into_iter()
            .flatten()
            .any(|ms| ms > MAX_LATENCY_MS)
        {
            return wrong("ms, jitter_ms", "must be at most 600000");
        }
        Ok(())
    }
}

/// The effect of the faults on one request.
#[derive(Debug, Default)]
pub(crate) struct Strike {
    /// The delay before the outcome.
    pub(crate) delay: Duration,
    /// The failure after the delay, if any.
    pub(crate) outcome: Option<Fault>,
    /// True if a latency fault struck, even one of 0 ms.
    pub(crate) delayed: bool,
}

/// One fault that is on.
#[derive(Debug, Serialize)]
pub(crate) struct ActiveFault {
    /// For `DELETE /__faults/{id}`.
    pub(crate) id: u64,
    #[serde(flatten)]
    fault: Fault,
    /// The number of requests it has struck.
    struck: u64,
}

/// The faults that are on, oldest first.
#[derive(Debug)]
pub(crate) struct FaultSet {
    active: Vec<ActiveFault>,
    next_id: u64,
    seed: u64,
    rolls: i64,
}

impl FaultSet {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            active: Vec::new(),
            next_id: 1,
            seed,
            rolls: 0,
        }
    }

    pub(crate) fn active(&self) -> &[ActiveFault] {
        &self.active
    }

    /// Switches faults on; they come after those that are on already. Returns their ids.
    pub(crate) fn add(&mut self, faults: Vec<Fault>) -> Vec<u64> {
        let first = self.next_id;
        for fault in faults {
            self.active.push(ActiveFault {
                id: self.next_id,
                fault,
                struck: 0,
            });
            self.next_id += 1;
        }
        (first..self.next_id).collect()
    }

    /// Switches a fault off; false if there is none with that id.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|fault| fault.id != id);
        self.active.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// The effect on the next request: all latencies that strike add up, and of the others the first that
    /// strikes decides. Spent faults stay listed, so that a test can see that they struck.
    pub(crate) fn strike(&mut self, path_and_query: &str) -> Strike {
        let mut strike = Strike::default();
        for index in 0..self.active.len() {
            let fault = &self.active[index].fault;
            let spent = fault
                .count
                .is_some_and(|count| self.active[index].struck >= count);
            let elsewhere = fault
                .path
                .as_deref()
                .is_some_and(|path| !path_and_query.contains(path));
            let decided = strike.outcome.is_some() && fault.kind != Kind::Latency;
            if spent || elsewhere || decided {
                continue;
            }
            let fault = fault.clone();
            if fault.probability < 1.0 && self.roll() >= fault.probability {
                continue;
            }
            self.active[index].struck += 1;
            if fault.kind == Kind::Latency {
                let jitter = self.roll() * fault.jitter_ms.unwrap_or(0) as f64;
                strike.delay += Duration::from_millis(fault.ms.unwrap_or(0) + jitter as u64);
                strike.delayed = true;
            } else {
                strike.outcome = Some(fault);
            }
        }
        strike
    }

    /// Uniform in [0, 1).
    fn roll(&mut self) -> f64 {
        self.rolls += 1;
        (stable_number(self.rolls, self.seed) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(json: &str) -> FaultSet {
        let mut set = FaultSet::new(1);
        set.add(parse_faults(json.as_bytes()).expect("a good fault"));
        set
    }

    fn outcome(strike: &Strike) -> Option<(Kind, Option<u16>)> {
        let fault = strike.outcome.as_ref()?;
        Some((fault.kind, fault.status))
    }

    #[test]
    fn a_path_limits_and_does_not_spend_the_count() {
        let mut set = set(r#"{"kind":"status","status":503,"count":1,"path":"/discover"}"#);
        let outcomes = [
            "/3/movie/11",
            "/3/discover/movie?page=2",
            "/3/discover/movie?page=2",
        ]
        .map(|path| outcome(&set.strike(path)));
        assert_eq!(outcomes, [None, Some((Kind::Status, Some(503))), None]);
    }

    #[test]
    fn latency_adds_up_and_goes_with_another_fault() {
        let mut set = set(
            r#"[{"kind":"latency","ms":20},{"kind":"hang"},{"kind":"reset"},{"kind":"latency","ms":5,"jitter_ms":10}]"#,
        );
        let strike = set.strike("/3");
        assert_eq!(outcome(&strike), Some((Kind::Hang, None)));
        assert!((25..35).contains(&strike.delay.as_millis()), "{strike:?}");
    }

    #[test]
    fn a_probability_is_kept_over_many_requests() {
        let mut set = set(r#"{"kind":"reset","probability":0.25}"#);
        let struck = (0..10_000)
            .filter(|_| set.strike("/3").outcome.is_some())
            .count();
        assert!((2_300..2_700).contains(&struck), "{struck}");
    }

    #[test]
    fn a_wrong_body_says_what_is_wrong() {
        for (json, message) in [
            ("{", "not a fault"),
            (r#"{"kind":"reset","colour":1}"#, "unknown field `colour`"),
            (r#"{"kind":"explode"}"#, "unknown variant `explode`"),
            (r#"{"kind":"reset","probability":1.5}"#, "probability"),
            (r#"{"kind":"status"}"#, "status"),
            (r#"{"kind":"status","status":404}"#, "status"),
            (r#"{"kind":"hang","retry_after":3}"#, "retry_after"),
            (r#"{"kind":"latency"}"#, "ms"),
        ] {
            let error = parse_faults(json.as_bytes()).expect_err(json).to_string();
            assert!(error.contains(message), "{json}: {error}");
        }
    }
}
