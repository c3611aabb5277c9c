//! A uniform boundary: a sum of bounded, centred terms crosses it at any time with at most a given probability.
//!
//! Howard, Ramdas, McAuliffe and Sekhon, *Time-uniform, nonparametric, nonasymptotic confidence
//! sequences*, Annals of Statistics 49 (2), 2021 (arXiv:1810.08240): the gamma-exponential mixture,
//! Proposition 9, a sub-exponential uniform boundary. With m(s, v) a mixture over a gamma density of
//! exp{λs − ψ(λ)v}, which is a supermartingale, Ville's inequality gives
//! P(∃t: `S_t` ≥ M(`V_t`)) ≤ α for M(v) = sup{s: m(s, v) < 1/α}.

use statrs::function::gamma::{gamma_lr, ln_gamma};

/// Steps of the bisection; an interval of 2⁻⁵⁰ of its width is as small as a double resolves.
const BISECTION_STEPS: usize = 50;

/// The gamma-exponential mixture boundary of a sum whose terms have a range of at most `scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UniformBoundary {
    scale: f64,
    /// ρ ÷ scale².
    shape: f64,
    /// The logarithm of the factors of m(s, v) that depend on neither s nor v.
    leading: f64,
}

impl UniformBoundary {
    /// The boundary for terms with a range of `scale`, tightest if the variance process is `best_at` and the
    /// one-sided error `alpha`; it is valid everywhere. ρ is chosen by the paper's tuning rule for the normal
    /// mixture: ρ = v ÷ (2 log(1/2α) + log(1 + 2 log(1/2α))).
    ///
    /// All three must be above 0, and `alpha` below one half.
    #[must_use]
    pub fn new(scale: f64, best_at: f64, alpha: f64) -> Self {
        let odds = -2.0 * (2.0 * alpha).ln();
        let rho = best_at / (odds + odds.ln_1p());
        let shape = rho / (scale * scale);
        Self {
            scale,
            shape,
            leading: shape * shape.ln() - ln_gamma(shape) - gamma_lr(shape, shape).ln(),
        }
    }

    /// log m(s, v): the log evidence of a sum of `sum`, 0 and up, at the variance process `variance` against zero
    /// drift. Without drift it ever reaches log(1/α) with a probability of at most α.
    #[must_use]
    pub fn log_evidence(&self, sum: f64, variance: f64) -> f64 {
        let squared = self.scale * self.scale;
        let shape = variance / squared + self.shape;
        let moved = (self.scale * sum + variance) / squared;
        let rate = moved + self.shape;
        self.leading + ln_gamma(shape) + gamma_lr(shape, rate).ln() - shape * rate.ln() + moved
    }

    /// M(v): the sum at which the log evidence reaches log(1/`alpha`). 50 bisection steps.
    #[must_use]
    pub fn at(&self, variance: f64, alpha: f64) -> f64 {
        let threshold = -alpha.ln();
        let mut high = self.scale.max(variance);
        while self.log_evidence(high, variance) < threshold {
            high *= 2.0;
        }
        let mut low = 0.0;
        for _ in 0..BISECTION_STEPS {
            let middle = f64::midpoint(low, high);
            if self.log_evidence(middle, variance) < threshold {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The first row is the test vector of the authors' own implementation; the others were computed
    /// from the formula with another library's special functions.
    #[test]
    fn the_boundary_matches_reference_values() {
        for (scale, best_at, best_alpha, variance, alpha, expected) in REFERENCE {
            let boundary = UniformBoundary::new(scale, best_at, best_alpha);
            let found = boundary.at(variance, alpha);
            assert!(
                (found - expected).abs() < 1e-4 * expected,
                "{variance} {alpha}: {found}, not {expected}"
            );
        }
        let evidence = UniformBoundary::new(2.0, 100.0, 0.05).log_evidence(10.0, 100.0);
        assert!((evidence + 0.249_016_5).abs() < 1e-6, "{evidence}");
    }

    const REFERENCE: [(f64, f64, f64, f64, f64, f64); 6] = [
        (2.0, 100.0, 0.05, 100.0, 0.05, 33.020_17),
        (4.0, 800.0, 0.025, 0.5, 0.025, 33.95121),
        (4.0, 800.0, 0.025, 4000.0, 0.025, 215.20050),
        (4.0, 800.0, 0.025, 250000.0, 0.025, 1892.37363),
        (20.0, 300.0, 0.0125, 50.0, 0.0125, 112.95101),
        (1.0, 50.0, 0.025, 9000.0, 0.001, 430.25348),
    ];

    proptest! {
        #[test]
        fn the_boundary_grows_with_variance_and_with_less_error(
            scale in 0.5..20.0_f64, variance in 0.0..1e5_f64, more in 0.1..1e4_f64, alpha in 1e-4..0.2_f64,
        ) {
            let boundary = UniformBoundary::new(scale, 500.0, 0.025);
            let line = boundary.at(variance, alpha);
            prop_assert!(line.is_finite() && line > 0.0);
            prop_assert!(boundary.at(variance + more, alpha) > line);
            prop_assert!(boundary.at(variance, alpha / 2.0) > line);
        }
    }
}
