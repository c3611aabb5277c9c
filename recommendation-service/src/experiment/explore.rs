//! Exploration: over a small share of a list's places, films that it would not have shown, drawn as
//! likely as they are to be the best of them.
//!
//! Thompson, *On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of
//! Two Samples*, Biometrika 25, 1933, with Beta posteriors as Chapelle and Li, *An Empirical Evaluation
//! of Thompson Sampling*, NIPS 2011, algorithm 2. The chance of a film to be the best of a pool has no
//! closed form. So the pool is sampled a number of times for a list, and films drawn by how often each was
//! the best: given those samples, that frequency is the exact propensity. A part of the draws is even over
//! the pool, so that no film's propensity is 0 and weights by its inverse are unbiased.

use std::collections::HashSet;

use rand_chacha::rand_core::RngCore;
use rand_distr::Distribution;
use serde::{Deserialize, Serialize};

/// What is believed of the probability that a film that is shown leads to an outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beta {
    /// Outcomes, as the prior and what was seen have them; above 0.
    pub outcomes: f64,
    /// Impressions without one, likewise; above 0.
    pub others: f64,
}

impl Beta {
    /// The expected probability.
    #[must_use]
    pub fn mean(self) -> f64 {
        self.outcomes / (self.outcomes + self.others)
    }
}

/// What is believed of a film before it was shown: as much of the mean rate of all as its popularity
/// says, from none of it to twice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// The share of impressions with an outcome, of all films together; within 0..1.
    rate: f64,
}

/// How many impressions the prior is worth.
const PRIOR_STRENGTH: f64 = 20.0;
/// What is believed of all films while nothing was shown: one outcome in fifty impressions, twice.
const FIRST_OUTCOMES: f64 = 2.0;
const FIRST_IMPRESSIONS: f64 = 100.0;
/// The least share of the mean rate that is believed of a film.
const LEAST_SHARE: f64 = 0.1;

impl Prior {
    /// From what all films together had.
    #[must_use]
    pub fn of(impressions: f64, outcomes: f64) -> Self {
        let rate = (outcomes + FIRST_OUTCOMES) / (impressions + FIRST_IMPRESSIONS);
        Self {
            rate: rate.min(0.45),
        }
    }

    /// What is believed of a film with this `popularity`, 0 to 1 among its likes, that had `outcomes`
    /// in so many `impressions`.
    #[must_use]
    pub fn posterior(self, popularity: f64, impressions: f64, outcomes: f64) -> Beta {
        let share = (2.0 * popularity.clamp(0.0, 1.0)).max(LEAST_SHARE);
        let mean = self.rate * share;
        Beta {
            outcomes: PRIOR_STRENGTH * mean + outcomes,
            others: PRIOR_STRENGTH * (1.0 - mean) + (impressions - outcomes).max(0.0),
        }
    }
}

/// A film that may be shown to learn about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// TMDB's id.
    pub id: i64,
    /// What is believed of it.
    pub belief: Beta,
}

/// How much is explored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exploration {
    /// The chance of a place to be explored, 0 to [`Exploration::MOST`].
    pub share: f64,
    /// How many places at the top are never.
    pub protected: usize,
}

impl Exploration {
    /// The largest share: a list stays the recommender's.
    pub const MOST: f64 = 0.5;
    /// How many films are sampled from at most.
    pub const POOL: usize = 64;

    /// Nothing is explored.
    #[must_use]
    pub fn off() -> Self {
        Self {
            share: 0.0,
            protected: 0,
        }
    }
}

/// A place of a list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// The film.
    pub id: i64,
    /// The chance that it, and no other, stands here, given what stands above.
    pub propensity: f64,
    /// Whether it stands here to learn about it.
    pub is_explored: bool,
}

/// How often the pool is sampled for a list.
const SAMPLES: usize = 64;
/// Which part of the draws is even over the pool.
const EVEN: f64 = 0.1;

/// The list `ranked`, of which each place below the protected ones is with probability `share` given
/// to a film of `candidates` instead. `candidates` are films that the user may be shown, best first; of
/// those, films that are in `ranked` or above in the list are passed over, and at most
/// [`Exploration::POOL`] are sampled from.
///
/// The film that makes place is left out, so that the other places do not depend on it.
#[must_use]
pub fn explore<R: RngCore>(
    ranked: &[i64],
    candidates: &[Candidate],
    exploration: Exploration,
    rng: &mut R,
) -> Vec<Slot> {
    let share = exploration.share.clamp(0.0, Exploration::MOST);
    let shown: HashSet<i64> = ranked.iter().copied().collect();
    let mut pool: Vec<Candidate> = candidates
        .iter()
        .filter(|candidate| !shown.contains(&candidate.id))
        .take(Exploration::POOL)
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

/// What each film of a pool is worth, in each of a number of possible worlds.
struct Samples(Vec<Vec<f64>>);

impl Samples {
    fn of<R: RngCore>(pool: &[Candidate], rng: &mut R) -> Self {
        let world = |_| {
            pool.iter()
                .map(|candidate| sample(candidate.belief, rng))
                .collect()
        };
        Self((0..SAMPLES).map(world).collect())
    }

    /// The film at `place`, 0 to 1, where each has as much of it as its chance, and that chance.
    fn draw(&self, place: f64) -> (usize, f64) {
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
            .map(|wins| (1.0 - EVEN) * f64::from(*wins) / SAMPLES as f64 + EVEN * even)
            .collect();
        super::pick(&propensities, place)
            .map_or((0, even), |(index, _)| (index, propensities[index]))
    }

    /// Takes a film out of the pool.
    fn remove(&mut self, index: usize) {
        for world in &mut self.0 {
            world.remove(index);
        }
    }
}

/// A draw from `belief`; its mean where that is none of a Beta distribution.
fn sample<R: RngCore>(belief: Beta, rng: &mut R) -> f64 {
    rand_distr::Beta::new(belief.outcomes, belief.others)
        .map_or_else(|_| belief.mean(), |beta| beta.sample(rng))
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
            belief: prior.posterior(0.5, (id % 7) as f64 * 10.0, (id % 3) as f64),
        })
        .collect()
    }

    proptest! {
        #[test]
        fn a_list_keeps_its_length_its_top_and_never_repeats_a_film(
            seed: u64, length in 0..30_i64, pool in 0..40_i64, share in 0.0..1.0_f64, protected in 0..6_usize,
        ) {
            let ranked: Vec<i64> = (1..=length).collect();
            // Some candidates are in the list already.
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
                prop_assert!(!slot.is_explored || candidates.iter().any(|one| one.id == slot.id));
            }
        }
    }

    #[test]
    fn nothing_changes_where_nothing_is_explored() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let list = explore(&[3, 1, 2], &candidates(4..9), Exploration::off(), &mut rng);
        let expected = [3, 1, 2].map(|id| Slot {
            id,
            propensity: 1.0,
            is_explored: false,
        });
        assert_eq!(list, expected);
    }

    /// Weights by the inverse of what is logged give back what each film is worth: the sum of 1 ÷ p
    /// over the lists that show it is the number of lists.
    #[test]
    fn propensities_are_how_often_films_are_shown() {
        let candidates = candidates(10..16);
        let exploration = Exploration {
            share: 0.4,
            protected: 0,
        };
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let lists = 5000;
        let mut first: HashMap<i64, f64> = HashMap::new();
        // In the second place, given that the first is explored: films that stand above cannot.
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
        assert_eq!(first.len(), 7, "the ranked film and each of the pool");
        for (id, weight) in first {
            let share = weight / f64::from(lists);
            assert!((share - 1.0).abs() < 0.2, "{id}: {share}");
        }
        let others: f64 = second / explored;
        assert!((others - 5.0).abs() < 0.5, "five are left: {others}");
    }

    #[test]
    fn what_did_well_is_shown_more_often_and_what_is_unknown_still() {
        let prior = Prior::of(10_000.0, 500.0);
        let pool = [
            (1, prior.posterior(0.5, 500.0, 50.0)),
            (2, prior.posterior(0.5, 500.0, 5.0)),
            (3, prior.posterior(0.5, 0.0, 0.0)),
        ]
        .map(|(id, belief)| Candidate { id, belief });
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
    fn a_prior_is_the_rate_of_all_by_popularity() {
        let prior = Prior::of(0.0, 0.0);
        let mean = |popularity| prior.posterior(popularity, 0.0, 0.0).mean();
        assert!((mean(0.5) - 0.02).abs() < 1e-12);
        assert!((mean(1.0) - 0.04).abs() < 1e-12);
        assert!((mean(0.0) - 0.002).abs() < 1e-12);
        // Not even where everything led to an outcome is anything certain.
        let sure = Prior::of(1e9, 1e9).posterior(1.0, 10.0, 10.0);
        assert!(sure.others > 0.0 && sure.mean() < 1.0);
    }
}
