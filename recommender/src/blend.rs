//! Several models as one.

use std::sync::Arc;

use crate::{
    Contribution, Explanation, FitError, History, Scorer, add_standardized, rank::top_k,
    standardize,
};

/// A model in a blend.
#[derive(Clone)]
pub struct Part {
    /// The model.
    pub scorer: Arc<dyn Scorer>,
    /// Its weight among its like.
    pub weight: f32,
    /// Whether it goes by what the user did; if not, it says the same to everybody.
    pub personal: bool,
}

/// The weighted sum of models' scores, each standardized over the films that the user has not dealt
/// with (see [`standardize`]).
///
/// How much is known of a user decides whom to listen to: for one with `n` films the personal parts
/// together have the share `n / (n + familiarity)`, the others the rest; somebody new gets these
/// alone. That is the shrinkage of an estimate towards the mean of all, by how much evidence there is.
#[derive(Clone)]
pub struct Blend {
    parts: Vec<Part>,
    familiarity: f32,
}

impl Blend {
    /// A blend of `parts`; `familiarity` is the number of films after which personal parts have half
    /// the say.
    ///
    /// # Errors
    /// No part, parts over different catalogues, or numbers below 0.
    pub fn new(parts: Vec<Part>, familiarity: f32) -> Result<Self, FitError> {
        let items = parts.first().map_or(0, |part| part.scorer.items());
        let agreed = parts.iter().all(|part| part.scorer.items() == items);
        FitError::check("parts", parts.len() as f64, "1 and up, of one catalogue", {
            agreed && !parts.is_empty()
        })?;
        for part in &parts {
            FitError::check(
                "weight",
                f64::from(part.weight),
                "0 and up",
                part.weight >= 0.0,
            )?;
        }
        FitError::check(
            "familiarity",
            f64::from(familiarity),
            "0 and up",
            familiarity >= 0.0,
        )?;
        Ok(Self { parts, familiarity })
    }

    fn weights(&self, history: History<'_>) -> impl Iterator<Item = (&Part, f32)> {
        let personal = personal_share(self.familiarity, history.len());
        self.parts.iter().map(move |part| {
            let share = if part.personal {
                personal
            } else {
                1.0 - personal
            };
            (part, share * part.weight)
        })
    }
}

/// After how many films learned models have half their say beside the rules; what they say to somebody of
/// few films is mostly what is popular.
pub const LEARNED_FAMILIARITY: f32 = 0.25;

/// The share of personal parts for a user with `films` films.
#[must_use]
pub fn personal_share(familiarity: f32, films: usize) -> f32 {
    if films == 0 {
        return 0.0;
    }
    let films = films as f32;
    films / (films + familiarity)
}

impl Scorer for Blend {
    fn items(&self) -> usize {
        self.parts[0].scorer.items()
    }

    fn score(&self, history: History<'_>, scores: &mut [f32]) {
        scores.fill(0.0);
        let mut own = vec![0.0; scores.len()];
        for (part, weight) in self.weights(history) {
            if weight > 0.0 {
                part.scorer.score(history, &mut own);
                add_standardized(scores, &own, standardize(&own, history), weight);
            }
        }
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        let mut own = vec![0.0; self.items()];
        let mut explanation = Explanation {
            base: 0.0,
            contributions: history
                .iter()
                .map(|(item, _)| Contribution { item, amount: 0.0 })
                .collect(),
        };
        for (part, weight) in self.weights(history) {
            if weight == 0.0 {
                continue;
            }
            part.scorer.score(history, &mut own);
            let standard = standardize(&own, history);
            let scale = weight * standard.scale;
            let why = part.scorer.explain(history, item);
            // What rounding has left between the part's score and its explanation would be stretched by
            // the scale; it stays in the base, so that the whole adds up.
            let rounding = own[item as usize] - why.total();
            explanation.base += scale * (why.base + rounding - standard.mean);
            let mut sums = explanation.contributions.iter_mut();
            for one in why.contributions {
                // Both follow the history.
                if let Some(sum) = sums.find(|sum| sum.item == one.item) {
                    sum.amount += scale * one.amount;
                }
            }
        }
        explanation
    }

    /// What the parts find similar, by `Σ weight · value / that part's greatest value`.
    fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        let mut sums = vec![0.0; self.items()];
        for part in &self.parts {
            let own = part.scorer.similar(item, places.saturating_mul(4));
            let Some((_, greatest)) = own.first() else {
                continue;
            };
            for (other, value) in &own {
                sums[*other as usize] += part.weight * value / greatest;
            }
        }
        top_k(&sums, places, |_, score| score > 0.0)
    }

    /// By the first part that places both films.
    fn similarity(&self, one: u32, other: u32) -> Option<f32> {
        self.parts
            .iter()
            .find_map(|part| part.scorer.similarity(one, other))
    }
}

#[cfg(all(test, feature = "learners"))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Ease, EaseSettings, Ials, IalsSettings, Interactions, Popularity,
        testing::{contributions_add_up, interactions, tastes},
    };

    fn blend(all: &Interactions) -> Blend {
        let settings = IalsSettings {
            dimensions: 4,
            ..IalsSettings::default()
        };
        let part = |scorer: Arc<dyn Scorer>, weight, personal| Part {
            scorer,
            weight,
            personal,
        };
        let parts = vec![
            part(Arc::new(Popularity::fit(all)), 1.0, false),
            part(
                Arc::new(Ease::fit(all, &EaseSettings::default()).expect("fits")),
                0.6,
                true,
            ),
            part(
                Arc::new(Ials::fit(all, &settings).expect("fits")),
                0.4,
                true,
            ),
        ];
        Blend::new(parts, 2.0).expect("sound")
    }

    #[test]
    fn somebody_new_gets_what_is_popular_and_it_gives_way_as_they_go_on() {
        let all = tastes(80, 40);
        let blend = blend(&all);
        let mut popular = vec![0.0; 40];
        Popularity::fit(&all).score(all.history(0), &mut popular);
        let mut scores = vec![0.0; 40];
        let agreement = |items: &[u32], scores: &mut [f32]| {
            let history = History {
                items,
                weights: &[1.0; 8][..items.len()],
            };
            blend.score(history, scores);
            let mut like_popularity = vec![0.0; 40];
            add_standardized(
                &mut like_popularity,
                &popular,
                standardize(&popular, history),
                1.0,
            );
            let mut own = vec![0.0; 40];
            add_standardized(&mut own, scores, standardize(scores, history), 1.0);
            own.iter()
                .zip(&like_popularity)
                .map(|(a, b)| a * b)
                .sum::<f32>()
                / 40.0
        };
        let new = agreement(&[], &mut scores);
        let after_one = agreement(&[0], &mut scores);
        let after_eight = agreement(&[0, 2, 4, 6, 8, 10, 12, 14], &mut scores);
        assert!((new - 1.0).abs() < 1e-4, "{new}");
        assert!(
            new > after_one && after_one > after_eight,
            "{new} {after_one} {after_eight}"
        );
    }

    #[test]
    fn parts_of_different_catalogues_weights_below_0_and_no_part_are_refused() {
        let part = |films, weight| Part {
            scorer: Arc::new(Popularity::fit(&tastes(4, films))),
            weight,
            personal: false,
        };
        assert!(Blend::new(Vec::new(), 1.0).is_err());
        assert!(Blend::new(vec![part(3, 1.0), part(4, 1.0)], 1.0).is_err());
        assert!(Blend::new(vec![part(3, -1.0)], 1.0).is_err());
        assert!(Blend::new(vec![part(3, f32::NAN)], 1.0).is_err());
        assert!(Blend::new(vec![part(3, 1.0)], -1.0).is_err());
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_score(all in interactions()) {
            contributions_add_up(&blend(&all), &all)?;
        }
    }
}
