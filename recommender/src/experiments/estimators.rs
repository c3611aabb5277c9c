//! Estimators of mean outcomes from randomized data: inverse propensity, doubly robust difference, self-normalized
//! mean. Outcomes are 0 to 1; the first two come with confidence sequences.

use super::confidence_sequence::{Interval, RunningMean};

/// The mean outcome of a variant over all participants, by inverse propensity weighting: `X = 1{Z = k} Y ÷ p`,
/// as Horvitz and Thompson, *A Generalization of Sampling Without Replacement From a Finite
/// Universe*, JASA 47 (260), 1952, equation (10). It needs the outcomes of the variant and its propensity alone.
#[derive(Debug, Clone)]
pub struct InversePropensityMean {
    propensity: f64,
    weighted: RunningMean,
}

impl InversePropensityMean {
    /// For a variant that users get with probability `propensity`, above 0; `users` is the planned number of
    /// participants, `alpha` the error.
    #[must_use]
    pub fn new(propensity: f64, users: f64, alpha: f64) -> Self {
        let best_at = users * TYPICAL_VARIANCE / propensity;
        Self {
            propensity,
            weighted: RunningMean::new(0.0, 1.0 / propensity, best_at, alpha),
        }
    }

    /// Adds a participant: their outcome if they got this variant, else `None`.
    pub fn push(&mut self, outcome: Option<f64>) {
        self.weighted.push(outcome.unwrap_or(0.0) / self.propensity);
    }

    /// The estimate and its confidence sequence at error `alpha`.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> Option<Interval> {
        Some(self.weighted.interval(alpha)?.within(0.0, 1.0))
    }
}

/// The variance that boundaries are tuned for, of an outcome that one user in ten has. They are valid for any.
const TYPICAL_VARIANCE: f64 = 0.09;

/// The difference of the mean outcome between a treatment and a control, with its confidence sequence: the
/// doubly robust (augmented inverse-propensity) estimate of Robins, Rotnitzky and Zhao, *Estimation of
/// Regression Coefficients When Some Regressors Are Not Always Observed*, JASA 89 (427), 1994, as Howard
/// et al. 2021, section 4.2, Corollary 2, make it time-uniform:
///
/// `X_t = Ŷ_t(1) − Ŷ_t(0) + (Z_t − p) ÷ (p (1 − p)) · (Y_t − Ŷ_t(Z_t))`, predicted by
/// `X̂_t = Ŷ_t(1) − Ŷ_t(0)`, within ±1 ÷ min(p, 1 − p); the predictions Ŷ are the running means of the two.
/// The only assumptions are outcomes within 0..=1 and randomized assignment.
#[derive(Debug, Clone)]
pub struct TreatmentEffect {
    propensity: f64,
    treated: RunningMean,
    control: RunningMean,
    effect: RunningMean,
}

impl TreatmentEffect {
    /// For two variants of which users get the treatment with probability `propensity`, strictly between 0 and 1;
    /// `users` is the planned number of participants, `alpha` the error.
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

    /// Adds the outcome of the next user, 0 to 1.
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

    /// The number of users.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.effect.count()
    }

    /// The difference with its confidence sequence at error `alpha`; `None` before the first user.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> Option<Interval> {
        Some(self.effect.interval(alpha)?.within(-1.0, 1.0))
    }

    /// True if [`TreatmentEffect::interval`] excludes 0.
    #[must_use]
    pub fn is_decided(&self, alpha: f64) -> bool {
        self.effect.excludes(0.0, alpha)
    }
}

/// The self-normalized mean of outcomes weighted by inverse propensity.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SelfNormalizedMean {
    /// Σ y ÷ p.
    pub outcomes: f64,
    /// Σ 1 ÷ p.
    pub weights: f64,
}

impl SelfNormalizedMean {
    /// Adds an outcome that was observed with probability `propensity`, above 0.
    pub fn push(&mut self, outcome: f64, propensity: f64) {
        self.outcomes += outcome / propensity;
        self.weights += 1.0 / propensity;
    }

    /// The self-normalized estimate of the mean, Σ (y ÷ p) ÷ Σ (1 ÷ p), as Swaminathan and Joachims,
    /// *The Self-Normalized Estimator for Counterfactual Learning*, NeurIPS 2015, equation (9). `None`
    /// without an observation.
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
    use crate::experiments::confidence_sequence::Verdict;

    const ALPHA: f64 = 0.05;
    const RUNS: u64 = 100;

    /// A sequence of independent draws: true with the given probability.
    fn chance(seed: u64) -> impl FnMut(f64) -> bool {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        move |probability| (rng.next_u64() >> 11) as f64 / ((1_u64 << 53) as f64) < probability
    }

    /// Simulates an experiment that is looked at after each user: true if its interval ever excluded the true
    /// difference, and the final state.
    fn run(seed: u64, users: u64, share: f64, rates: [f64; 2]) -> (bool, TreatmentEffect) {
        let mut chance = chance(seed);
        let mut difference = TreatmentEffect::new(share, 1000.0, ALPHA);
        let mut has_missed = false;
        for _ in 0..users {
            let is_treated = chance(share);
            let outcome = chance(rates[usize::from(is_treated)]);
            difference.push(is_treated, f64::from(u8::from(outcome)));
            has_missed |= difference.effect.excludes(rates[1] - rates[0], ALPHA);
        }
        (has_missed, difference)
    }

    #[test]
    fn continuous_monitoring_misses_the_true_difference_at_most_five_times_in_a_hundred() {
        for (share, rates) in [(0.5, [0.3; 2]), (0.2, [0.05; 2]), (0.3, [0.4, 0.5])] {
            let missed = (0..RUNS)
                .filter(|seed| run(*seed, 1000, share, rates).0)
                .count();
            assert!(missed <= 5, "{missed} of {RUNS} at {share} and {rates:?}");
        }
    }

    #[test]
    fn a_known_effect_is_detected_with_its_sign() {
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
    fn intervals_of_a_mean_and_its_inverse_propensity_estimate_contain_the_truth() {
        let missed = (0..RUNS)
            .filter(|seed| {
                let mut chance = chance(3000 + seed);
                let mut mean = RunningMean::new(0.0, 1.0, 20.0, ALPHA);
                let mut propensity = InversePropensityMean::new(0.25, 400.0, ALPHA);
                (0..400).any(|_| {
                    let outcome = f64::from(u8::from(chance(0.15)));
                    let is_in = chance(0.25);
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
        fn an_interval_contains_its_estimate_and_agrees_with_the_verdict(
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
        fn the_interval_of_a_constant_shrinks_to_it(value in 0.0..=1.0_f64) {
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
    fn weights_correct_for_unequal_propensities() {
        let mut seen = SelfNormalizedMean::default();
        assert_eq!(seen.mean(), None);
        // One of four good items was shown, and all of four bad ones.
        seen.push(1.0, 0.25);
        for _ in 0..4 {
            seen.push(0.0, 1.0);
        }
        assert_eq!(seen.mean(), Some(0.5));
    }
}
