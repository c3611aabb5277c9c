//! Exploration by Thompson sampling: a small share of the positions of a list shows items that the ranking would not
//! show there, each drawn with the probability that it is the best of the pool.
//!
//! Thompson, *On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of
//! Two Samples*, Biometrika 25, 1933, with Beta posteriors as Chapelle and Li, *An Empirical Evaluation
//! of Thompson Sampling*, NIPS 2011, algorithm 2. The probability that an item is the best of a pool has no
//! closed form. So the pool is sampled a number of times for a list, and items are drawn by how often each was
//! the best: given those samples, that frequency is the exact propensity. A share of the draws is uniform over
//! the pool, so that no propensity is 0 and weights by its inverse are unbiased.

use std::collections::HashSet;

use rand_chacha::rand_core::RngCore;
use rand_distr::Distribution;
use serde::{Deserialize, Serialize};

/// The Beta posterior of the probability that an impression of an item leads to an outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BetaPosterior {
    /// Outcomes, prior and observed; above 0.
    pub outcomes: f64,
    /// Impressions without an outcome, prior and observed; above 0.
    pub others: f64,
}

impl BetaPosterior {
    /// The expected probability.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.outcomes / (self.outcomes + self.others)
    }
}

/// The prior of an item without impressions: the mean rate of all items times twice the popularity of the item.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// The share of impressions with an outcome over all items, 0 to 0.45.
    rate: f64,
}

/// The number of impressions that the prior weighs as much as.
const PRIOR_STRENGTH: f64 = 20.0;
/// The prior of the mean rate of all items: one outcome in fifty impressions.
const PRIOR_OUTCOMES: f64 = 2.0;
const PRIOR_IMPRESSIONS: f64 = 100.0;
/// The smallest factor of the mean rate in the prior of an item.
const MIN_SHARE: f64 = 0.1;

impl Prior {
    /// The prior from the impressions and outcomes of all items.
    #[must_use]
    pub fn of(impressions: f64, outcomes: f64) -> Self {
        let rate = (outcomes + PRIOR_OUTCOMES) / (impressions + PRIOR_IMPRESSIONS);
        Self {
            rate: rate.min(0.45),
        }
    }

    /// The posterior of an item with this `popularity`, its quantile from 0 to 1, and so many `impressions` and
    /// `outcomes`.
    #[must_use]
    pub fn posterior(self, popularity: f64, impressions: f64, outcomes: f64) -> BetaPosterior {
        let share = (2.0 * popularity.clamp(0.0, 1.0)).max(MIN_SHARE);
        let mean = self.rate * share;
        BetaPosterior {
            outcomes: PRIOR_STRENGTH * mean + outcomes,
            others: PRIOR_STRENGTH * (1.0 - mean) + (impressions - outcomes).max(0.0),
        }
    }
}

/// An item that may be shown for exploration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The identifier of the item.
    pub id: i64,
    /// The posterior of its outcome probability.
    pub posterior: BetaPosterior,
}

/// The amount of exploration in a list; by default none.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Exploration {
    /// The probability that a position is explored, 0 to [`Exploration::MAX_SHARE`].
    pub share: f64,
    /// The number of positions at the top that are never explored.
    pub protected: usize,
}

impl Exploration {
    /// The largest share of explored positions.
    pub const MAX_SHARE: f64 = 0.5;
    /// The largest number of candidates that are sampled from.
    pub const MAX_POOL: usize = 64;
}

/// A position of a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// The identifier of the item.
    pub id: i64,
    /// The probability that this item is shown here, given the items above.
    pub propensity: f64,
    /// True if it is shown for exploration.
    pub is_explored: bool,
}

/// Samples of the pool for a list.
const SAMPLES: usize = 64;
/// The share of the draws that is uniform over the pool.
const UNIFORM_SHARE: f64 = 0.1;

/// The list `ranked`, of which each position below the protected ones is given to an item of `candidates` with
/// probability `share`. `candidates` are items that may be shown to the user, best first; those that are in
/// `ranked` or above in the list are skipped, and at most [`Exploration::MAX_POOL`] are sampled from.
///
/// The item that is replaced is left out, so that the other positions do not depend on the draw.
#[must_use]
pub fn explore<R: RngCore>(
    ranked: &[i64],
    candidates: &[Candidate],
    exploration: Exploration,
    rng: &mut R,
) -> Vec<Slot> {
    let share = exploration.share.clamp(0.0, Exploration::MAX_SHARE);
    let shown: HashSet<i64> = ranked.iter().copied().collect();
    let mut pool: Vec<Candidate> = candidates
        .iter()
        .filter(|candidate| !shown.contains(&candidate.id))
        .take(Exploration::MAX_POOL)
        .copied()
        .collect();
    let mut samples: Option<Samples> = None;
    let place = |(position, id): (usize, &i64)| {
        let kept = |propensity| Slot {
            id: *id,
            propensity,
            is_explored: false,
        };
        if position < exploration.protected || pool.is_empty() || share == 0.0 {
            return kept(1.0);
        }
        if fraction(rng) >= share {
            return kept(1.0 - share);
        }
        let samples = samples.get_or_insert_with(|| Samples::of(&pool, rng));
        let (index, propensity) = samples.draw(fraction(rng));
        samples.remove(index);
        Slot {
            id: pool.remove(index).id,
            propensity: share * propensity,
            is_explored: true,
        }
    };
    ranked.iter().enumerate().map(place).collect()
}

/// Draws from the posteriors of a pool: a row per sample, a value per candidate.
struct Samples(Vec<Vec<f64>>);

impl Samples {
    fn of<R: RngCore>(pool: &[Candidate], rng: &mut R) -> Self {
        let world = |_| {
            pool.iter()
                .map(|candidate| sample(candidate.posterior, rng))
                .collect()
        };
        Self((0..SAMPLES).map(world).collect())
    }

    /// The candidate that `position`, 0 to 1, falls to if each covers its propensity, and that propensity.
    fn draw(&self, position: f64) -> (usize, f64) {
        let count = self.0.first().map_or(0, Vec::len);
        let mut best = vec![0_u32; count];
        for world in &self.0 {
            let worths = world.iter().enumerate();
            if let Some((winner, _)) = worths.max_by(|(_, one), (_, two)| one.total_cmp(two)) {
                best[winner] += 1;
            }
        }
        let even = 1.0 / count as f64;
        let propensities: Vec<f64> = best
            .iter()
            .map(|wins| {
                (1.0 - UNIFORM_SHARE) * f64::from(*wins) / SAMPLES as f64 + UNIFORM_SHARE * even
            })
            .collect();
        super::assignment::pick(&propensities, position)
            .map_or((0, even), |(index, _)| (index, propensities[index]))
    }

    /// Removes a candidate from the pool.
    fn remove(&mut self, index: usize) {
        for world in &mut self.0 {
            world.remove(index);
        }
    }
}

/// A draw from `posterior`; its mean if it is no Beta distribution.
fn sample<R: RngCore>(posterior: BetaPosterior, rng: &mut R) -> f64 {
    rand_distr::Beta::new(posterior.outcomes, posterior.others)
        .map_or_else(|_| posterior.mean(), |beta| beta.sample(rng))
}

fn fraction<R: RngCore>(rng: &mut R) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;

    fn candidates(ids: impl Iterator<Item = i64>) -> Vec<Candidate> {
        let prior = Prior::of(1000.0, 50.0);
        ids.map(|id| Candidate {
            id,
            posterior: prior.posterior(0.5, (id % 7) as f64 * 10.0, (id % 3) as f64),
        })
        .collect()
    }

    proptest! {
        #[test]
        fn a_list_keeps_its_length_and_its_top_and_never_repeats_an_item(
            seed: u64, length in 0..30_i64, pool in 0..40_i64,
            share in prop_oneof![Just(0.0), 0.0..1.0_f64], protected in 0..6_usize,
        ) {
            let ranked: Vec<i64> = (1..=length).collect();
            // Some candidates are in the list.
            let candidates = candidates(length / 2..length + pool);
            let exploration = Exploration { share, protected };
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let list = explore(&ranked, &candidates, exploration, &mut rng);
            prop_assert_eq!(list.len(), ranked.len());
            let mut ids: Vec<i64> = list.iter().map(|slot| slot.id).collect();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), ranked.len());
            for (position, slot) in list.iter().enumerate() {
                prop_assert!(slot.propensity > 0.0 && slot.propensity <= 1.0);
                prop_assert_eq!(slot.is_explored, slot.id != ranked[position]);
                prop_assert!(!slot.is_explored || position >= protected);
                prop_assert!(share > 0.0 || slot.propensity == 1.0);
                prop_assert!(!slot.is_explored || candidates.iter().any(|one| one.id == slot.id));
            }
        }
    }

    /// The sum of 1 ÷ propensity over the lists that show an item is the number of lists.
    #[test]
    fn propensities_are_the_frequencies_of_items() {
        let candidates = candidates(10..16);
        let exploration = Exploration {
            share: 0.4,
            protected: 0,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let lists = 5000;
        let mut first: HashMap<i64, f64> = HashMap::new();
        // At the second position, given that the first is explored: items above it cannot be drawn.
        let (mut second, mut explored) = (0.0, 0.0);
        for _ in 0..lists {
            let list = explore(&[1, 2], &candidates, exploration, &mut rng);
            *first.entry(list[0].id).or_default() += 1.0 / list[0].propensity;
            if list[0].is_explored {
                explored += 1.0;
                if list[1].is_explored {
                    second += 1.0 / list[1].propensity;
                }
            }
        }
        assert_eq!(first.len(), 7, "the ranked item and each of the pool");
        for (id, weight) in first {
            let share = weight / f64::from(lists);
            assert!((share - 1.0).abs() < 0.2, "{id}: {share}");
        }
        let others: f64 = second / explored;
        assert!((others - 5.0).abs() < 0.5, "five are left: {others}");
    }

    #[test]
    fn successful_items_are_drawn_more_often_and_unknown_ones_still() {
        let prior = Prior::of(10_000.0, 500.0);
        let pool = [
            (1, prior.posterior(0.5, 500.0, 50.0)),
            (2, prior.posterior(0.5, 500.0, 5.0)),
            (3, prior.posterior(0.5, 0.0, 0.0)),
        ]
        .map(|(id, posterior)| Candidate { id, posterior });
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut shown = [0; 3];
        for _ in 0..2000 {
            let samples = Samples::of(&pool, &mut rng);
            shown[samples.draw(fraction(&mut rng)).0] += 1;
        }
        assert!(shown[0] > shown[2] && shown[2] > shown[1], "{shown:?}");
        assert!(shown[2] > 200, "{shown:?}");
    }

    #[test]
    fn a_prior_is_the_mean_rate_scaled_by_popularity() {
        let prior = Prior::of(0.0, 0.0);
        let mean = |popularity| prior.posterior(popularity, 0.0, 0.0).mean();
        assert!((mean(0.5) - 0.02).abs() < 1e-12);
        assert!((mean(1.0) - 0.04).abs() < 1e-12);
        assert!((mean(0.0) - 0.002).abs() < 1e-12);
        // No posterior is certain, even if every impression had an outcome.
        let sure = Prior::of(1e9, 1e9).posterior(1.0, 10.0, 10.0);
        assert!(sure.others > 0.0 && sure.mean() < 1.0);
    }
}
