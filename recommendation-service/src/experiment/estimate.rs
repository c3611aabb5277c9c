//! What may be said at any time about the means of bounded outcomes, and about their difference.
//!
//! Howard, Ramdas, McAuliffe and Sekhon, *Time-uniform, nonparametric, nonasymptotic confidence
//! sequences*, Annals of Statistics 49 (2), 2021 (arXiv:1810.08240), section 4: with `X_i` in [a, b],
//! predictions `X̂_i` in [a, b] made before `X_i` is seen, `V_t = Σ (X_i − X̂_i)²`, and u a
//! sub-exponential uniform boundary of scale b − a that is crossed with probability α,
//! P(∀t: |mean of X − mean of E[X | past]| < u(`V_t`) ÷ t) ≥ 1 − 2α (Theorem 4, empirical Bernstein).
//!
//! So one may look as often as one likes, and stop when one likes what one sees.

use serde::Serialize;
use utoipa::ToSchema;

use super::boundary::Boundary;

/// An estimate, and between what the truth lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct Interval {
    /// The estimate.
    pub estimate: f64,
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

impl Interval {
    /// The same of a quantity that cannot leave `low`..=`high`, as its weighted estimate can.
    fn within(self, low: f64, high: f64) -> Self {
        Self {
            estimate: self.estimate.clamp(low, high),
            lower: self.lower.clamp(low, high),
            upper: self.upper.clamp(low, high),
        }
    }
}

/// What an interval of a difference says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of it is above 0.
    Better,
    /// All of it is below 0.
    Worse,
    /// 0 is in it.
    Undecided,
}

impl Verdict {
    /// What `interval` says.
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

/// The mean of observations that come one after the other, with its confidence sequence
/// (empirical Bernstein, Theorem 4).
#[derive(Debug, Clone)]
pub struct RunningMean {
    boundary: Boundary,
    /// Below and above it nothing can be observed, or meant.
    range: (f64, f64),
    count: u64,
    sum: f64,
    /// `V_t`.
    variance: f64,
}

impl RunningMean {
    /// A mean of observations from `low` to `high`, whose interval at error `alpha` is tightest where
    /// the sum of their squared surprises is `best_at`.
    #[must_use]
    pub fn new(low: f64, high: f64, best_at: f64, alpha: f64) -> Self {
        Self {
            boundary: Boundary::new(high - low, best_at, alpha / 2.0),
            range: (low, high),
            count: 0,
            sum: 0.0,
            variance: 0.0,
        }
    }

    /// How many observations there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What the next observation may be expected to be: the mean so far, begun with the middle of the
    /// range as if that had been seen once.
    #[must_use]
    pub fn prediction(&self) -> f64 {
        let middle = f64::midpoint(self.range.0, self.range.1);
        (self.sum + middle) / (self.count as f64 + 1.0)
    }

    /// Takes an observation, which lies within the range.
    pub fn push(&mut self, observed: f64) {
        self.push_predicted(observed, self.prediction());
    }

    /// Takes an observation that was predicted from the past alone; both lie within the range.
    pub fn push_predicted(&mut self, observed: f64, predicted: f64) {
        self.count += 1;
        self.sum += observed;
        self.variance += (observed - predicted).powi(2);
    }

    /// The mean so far, and the interval that holds its expectation at all times with probability
    /// 1 − `alpha`. None before the first observation.
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

    /// Whether the interval at error `alpha` has all of it on one side of `value`. The same as asking
    /// [`RunningMean::interval`], without looking for its ends.
    #[must_use]
    pub fn excludes(&self, value: f64, alpha: f64) -> bool {
        let drift = (self.sum - self.count as f64 * value).abs();
        self.count > 0 && self.boundary.evidence(drift, self.variance) >= -(alpha / 2.0).ln()
    }
}

/// The mean outcome of a variant over all who take part, by inverse propensity: `X = 1{Z = k} Y ÷ p`,
/// as Horvitz and Thompson, *A Generalization of Sampling Without Replacement From a Finite
/// Universe*, JASA 47 (260), 1952, equation (10). It needs no outcome but those of the variant and how
/// likely users were to get it; outcomes are 0 to 1.
#[derive(Debug, Clone)]
pub struct Propensity {
    propensity: f64,
    weighted: RunningMean,
}

impl Propensity {
    /// For a variant that users get with probability `propensity`, above 0; `users` is about how many
    /// the experiment plans with, `alpha` the error.
    #[must_use]
    pub fn new(propensity: f64, users: f64, alpha: f64) -> Self {
        let best_at = users * TYPICAL_VARIANCE / propensity;
        Self {
            propensity,
            weighted: RunningMean::new(0.0, 1.0 / propensity, best_at, alpha),
        }
    }

    /// Takes a user who got this variant, with their outcome, or another: none.
    pub fn push(&mut self, outcome: Option<f64>) {
        self.weighted.push(outcome.unwrap_or(0.0) / self.propensity);
    }

    /// The estimate and its confidence sequence at error `alpha`.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> Option<Interval> {
        Some(self.weighted.interval(alpha)?.within(0.0, 1.0))
    }
}

/// The variance that boundaries are tuned for: of outcomes that a tenth of the users have. They are
/// valid for any.
const TYPICAL_VARIANCE: f64 = 0.09;

/// What a treatment changes in the mean outcome against a control, with its confidence sequence: the
/// doubly robust (augmented inverse-propensity) estimate of Robins, Rotnitzky and Zhao, *Estimation of
/// Regression Coefficients When Some Regressors Are Not Always Observed*, JASA 89 (427), 1994, as Howard
/// et al. 2021, section 4.2, Corollary 2, make it time-uniform:
///
/// `X_t = Ŷ_t(1) − Ŷ_t(0) + (Z_t − p) ÷ (p (1 − p)) · (Y_t − Ŷ_t(Z_t))`, predicted by
/// `X̂_t = Ŷ_t(1) − Ŷ_t(0)`, within ±1 ÷ min(p, 1 − p); the predictions Ŷ are the running means of the two.
/// Nothing is assumed of outcomes but that they lie in 0..=1, and of users but that chance dealt them out.
#[derive(Debug, Clone)]
pub struct Difference {
    propensity: f64,
    treated: RunningMean,
    control: RunningMean,
    effect: RunningMean,
}

impl Difference {
    /// Between two variants of which users get the treated one with probability `propensity`, strictly
    /// between 0 and 1; `users` is about how many the experiment plans with, `alpha` the error.
    #[must_use]
    pub fn new(propensity: f64, users: f64, alpha: f64) -> Self {
        let range = 1.0 / propensity.min(1.0 - propensity);
        let best_at = users * TYPICAL_VARIANCE / (propensity * (1.0 - propensity));
        let mean = |share: f64| RunningMean::new(0.0, 1.0, users * share * TYPICAL_VARIANCE, alpha);
        Self {
            propensity,
            treated: mean(propensity),
            control: mean(1.0 - propensity),
            effect: RunningMean::new(-range, range, best_at, alpha),
        }
    }

    /// Takes the next user's outcome, 0 to 1.
    pub fn push(&mut self, is_treated: bool, outcome: f64) {
        let (treated, control) = (self.treated.prediction(), self.control.prediction());
        let predicted = treated - control;
        let correction = if is_treated {
            (outcome - treated) / self.propensity
        } else {
            (control - outcome) / (1.0 - self.propensity)
        };
        self.effect
            .push_predicted(predicted + correction, predicted);
        if is_treated {
            self.treated.push(outcome);
        } else {
            self.control.push(outcome);
        }
    }

    /// How many users there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.effect.count()
    }

    /// The difference and its confidence sequence at error `alpha`; none before the first user.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> Option<Interval> {
        Some(self.effect.interval(alpha)?.within(-1.0, 1.0))
    }

    /// Whether [`Difference::interval`] leaves 0 out.
    #[must_use]
    pub fn is_decided(&self, alpha: f64) -> bool {
        self.effect.excludes(0.0, alpha)
    }
}

/// Outcomes weighted by how unlikely it was to see them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weighted {
    /// Σ y ÷ p.
    pub outcomes: f64,
    /// Σ 1 ÷ p.
    pub weights: f64,
}

impl Weighted {
    /// Takes what was seen with probability `propensity`.
    pub fn push(&mut self, outcome: f64, propensity: f64) {
        self.outcomes += outcome / propensity;
        self.weights += 1.0 / propensity;
    }

    /// The self-normalized estimate of the mean, Σ (y ÷ p) ÷ Σ (1 ÷ p), as Swaminathan and Joachims,
    /// *The Self-Normalized Estimator for Counterfactual Learning*, NeurIPS 2015, equation (9). None
    /// where nothing was seen.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.weights > 0.0).then(|| self.outcomes / self.weights)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::{
        ChaCha8Rng,
        rand_core::{RngCore, SeedableRng},
    };

    use super::*;

    const ALPHA: f64 = 0.05;
    const RUNS: u64 = 100;

    struct Chance(ChaCha8Rng);

    impl Chance {
        fn seeded(seed: u64) -> Self {
            Self(ChaCha8Rng::seed_from_u64(seed))
        }

        fn below(&mut self, probability: f64) -> bool {
            (self.0.next_u64() >> 11) as f64 / ((1_u64 << 53) as f64) < probability
        }
    }

    /// Deals users out and looks after each of them; after how many 0 was left out first, and the end.
    fn run(seed: u64, users: u64, share: f64, rates: [f64; 2]) -> (Option<u64>, Difference) {
        let mut chance = Chance::seeded(seed);
        let mut difference = Difference::new(share, 1000.0, ALPHA);
        let mut decided = None;
        for user in 1..=users {
            let is_treated = chance.below(share);
            let outcome = chance.below(rates[usize::from(is_treated)]);
            difference.push(is_treated, f64::from(u8::from(outcome)));
            if decided.is_none() && difference.is_decided(ALPHA) {
                decided = Some(user);
            }
        }
        (decided, difference)
    }

    #[test]
    fn without_an_effect_looking_all_the_time_calls_at_most_five_in_a_hundred() {
        for (share, rate) in [(0.5, 0.3), (0.2, 0.05)] {
            let called = (0..RUNS)
                .filter(|seed| run(*seed, 1000, share, [rate; 2]).0.is_some())
                .count();
            assert!(called <= 5, "{called} of {RUNS} at {share} and {rate}");
        }
    }

    #[test]
    fn a_known_effect_is_called_and_in_its_direction() {
        for (rates, expected) in [
            ([0.2, 0.35], Verdict::Better),
            ([0.35, 0.2], Verdict::Worse),
        ] {
            let right = (0..20)
                .filter(|seed| {
                    let (_, difference) = run(1000 + seed, 2500, 0.5, rates);
                    let interval = difference.interval(ALPHA).expect("users");
                    Verdict::of(interval) == expected
                })
                .count();
            assert!(right >= 19, "{right} of 20");
        }
    }

    #[test]
    fn the_interval_holds_the_true_difference_at_every_look() {
        let missed = (0..RUNS)
            .filter(|seed| {
                let mut chance = Chance::seeded(2000 + seed);
                let mut difference = Difference::new(0.3, 400.0, ALPHA);
                (0..400).any(|_| {
                    let is_treated = chance.below(0.3);
                    let outcome = chance.below(if is_treated { 0.5 } else { 0.4 });
                    difference.push(is_treated, f64::from(u8::from(outcome)));
                    difference.effect.excludes(0.1, ALPHA)
                })
            })
            .count();
        assert!(missed <= 5, "{missed} of {RUNS}");
    }

    #[test]
    fn a_mean_and_its_inverse_propensity_estimate_hold_the_truth() {
        let missed = (0..RUNS)
            .filter(|seed| {
                let mut chance = Chance::seeded(3000 + seed);
                let mut mean = RunningMean::new(0.0, 1.0, 20.0, ALPHA);
                let mut propensity = Propensity::new(0.25, 400.0, ALPHA);
                (0..400).any(|_| {
                    let outcome = f64::from(u8::from(chance.below(0.15)));
                    let is_in = chance.below(0.25);
                    propensity.push(is_in.then_some(outcome));
                    if is_in {
                        mean.push(outcome);
                    }
                    mean.excludes(0.15, ALPHA / 2.0)
                        || propensity.weighted.excludes(0.15, ALPHA / 2.0)
                })
            })
            .count();
        assert!(missed <= 5, "{missed} of {RUNS}");
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_estimate_and_agrees_with_the_verdict(
            seed: u64, share in 0.1..0.9_f64, rates in [0.0..1.0_f64, 0.0..1.0], users in 1..300_u64,
        ) {
            let (_, difference) = run(seed, users, share, rates);
            let interval = difference.interval(ALPHA).expect("users");
            prop_assert_eq!(difference.count(), users);
            prop_assert!(interval.lower >= -1.0 && interval.upper <= 1.0);
            prop_assert!(interval.lower <= interval.estimate && interval.estimate <= interval.upper);
            prop_assert_eq!(difference.is_decided(ALPHA), Verdict::of(interval) != Verdict::Undecided);
        }

        #[test]
        fn a_mean_that_cannot_be_anything_else_is_found(value in 0.0..=1.0_f64) {
            let mut mean = RunningMean::new(0.0, 1.0, 1.0, ALPHA);
            for _ in 0..2000 {
                mean.push(value);
            }
            let interval = mean.interval(ALPHA).expect("pushed");
            prop_assert!((interval.estimate - value).abs() < 1e-9);
            prop_assert!(interval.upper - interval.lower < 0.02, "{interval:?}");
        }
    }

    #[test]
    fn weights_undo_what_chance_showed_more_often() {
        let mut seen = Weighted::default();
        assert_eq!(seen.mean(), None);
        // Of four good films one was shown, of four bad ones all.
        seen.push(1.0, 0.25);
        for _ in 0..4 {
            seen.push(0.0, 1.0);
        }
        assert_eq!(seen.mean(), Some(0.5));
    }
}
