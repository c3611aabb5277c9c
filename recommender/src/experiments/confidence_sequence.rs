//! Confidence sequences: intervals for the mean of bounded observations that hold simultaneously at all times, so that
//! an experiment may be looked at after every observation and stopped at any of them.
//!
//! Howard, Ramdas, McAuliffe and Sekhon, *Time-uniform, nonparametric, nonasymptotic confidence
//! sequences*, Annals of Statistics 49 (2), 2021 (arXiv:1810.08240), section 4: with `X_i` in [a, b],
//! predictions `X̂_i` in [a, b] made before `X_i` is observed, `V_t = Σ (X_i − X̂_i)²`, and u a
//! sub-exponential uniform boundary of scale b − a that is crossed with probability α,
//! P(∀t: |mean of X − mean of E\[X | past\]| < u(`V_t`) ÷ t) ≥ 1 − 2α (Theorem 4, empirical Bernstein).

mod boundary;

pub use boundary::UniformBoundary;
use serde::Serialize;

/// An estimate with its confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
}

impl Interval {
    /// The interval clamped to the range of the quantity, which a weighted estimate can exceed.
    pub(super) fn within(self, low: f64, high: f64) -> Self {
        Self {
            estimate: self.estimate.clamp(low, high),
            lower: self.lower.clamp(low, high),
            upper: self.upper.clamp(low, high),
        }
    }
}

/// The conclusion that an interval of a difference allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The whole interval is above 0.
    Better,
    /// The whole interval is below 0.
    Worse,
    /// The interval contains 0.
    Undecided,
}

impl Verdict {
    /// The conclusion from `interval`.
    #[must_use]
    pub fn of(interval: Interval) -> Self {
        if interval.lower > 0.0 {
            Self::Better
        } else if interval.upper < 0.0 {
            Self::Worse
        } else {
            Self::Undecided
        }
    }
}

/// The mean of a sequence of observations with its confidence sequence (empirical Bernstein, Theorem 4).
#[derive(Debug, Clone)]
pub struct RunningMean {
    boundary: UniformBoundary,
    /// The smallest and the greatest possible observation.
    range: (f64, f64),
    count: u64,
    sum: f64,
    /// `V_t`.
    variance: f64,
}

impl RunningMean {
    /// A mean of observations from `low` to `high`, whose interval at error `alpha` is tightest when the sum of
    /// their squared prediction errors is `best_at`, above 0.
    #[must_use]
    pub fn new(low: f64, high: f64, best_at: f64, alpha: f64) -> Self {
        Self {
            boundary: UniformBoundary::new(high - low, best_at, alpha / 2.0),
            range: (low, high),
            count: 0,
            sum: 0.0,
            variance: 0.0,
        }
    }

    /// The number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The prediction of the next observation: the mean so far, with the middle of the range as one more
    /// observation.
    #[must_use]
    pub fn prediction(&self) -> f64 {
        let middle = f64::midpoint(self.range.0, self.range.1);
        (self.sum + middle) / (self.count as f64 + 1.0)
    }

    /// Adds an observation, which must lie within the range.
    pub fn push(&mut self, observed: f64) {
        self.push_predicted(observed, self.prediction());
    }

    /// Adds an observation with its prediction from the past alone; both must lie within the range.
    pub fn push_predicted(&mut self, observed: f64, predicted: f64) {
        self.count += 1;
        self.sum += observed;
        self.variance += (observed - predicted).powi(2);
    }

    /// The mean so far, with the interval that contains its expectation at all times with probability
    /// 1 − `alpha`. `None` before the first observation.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> Option<Interval> {
        if self.count == 0 {
            return None;
        }
        let count = self.count as f64;
        let estimate = self.sum / count;
        let radius = self.boundary.at(self.variance, alpha / 2.0) / count;
        let interval = Interval {
            estimate,
            lower: estimate - radius,
            upper: estimate + radius,
        };
        Some(interval.within(self.range.0, self.range.1))
    }

    /// True if the interval at error `alpha` excludes `value`. Equivalent to comparing with
    /// [`RunningMean::interval`], without the bisection.
    #[must_use]
    pub fn excludes(&self, value: f64, alpha: f64) -> bool {
        let drift = (self.sum - self.count as f64 * value).abs();
        self.count > 0 && self.boundary.log_evidence(drift, self.variance) >= -(alpha / 2.0).ln()
    }
}
