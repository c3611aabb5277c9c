//! The blend of models, of training and of serving alike: every part is standardized over the items that the user has
//! not interacted with, and weighed by what is known about the user ([`Shares`]).
//!
//! [`Blend`] sums up learned models. Content, taste and rules are parts that a caller scores itself and adds with
//! [`add_part`].

use std::sync::Arc;

use crate::{
    Explanation, FitError, History, Scorer, Standardization, add_standardized, content, rank::top_k,
};

/// The number of items after which learned models have half their full share beside the rules: models score a user
/// with few items mostly by popularity.
pub const LEARNED_FAMILIARITY: f32 = 0.25;
/// The weight of content if no learned model has a share.
pub const CONTENT_ALONE_WEIGHT: f32 = 1.0;

/// `items / (items + familiarity)`, the share of a personal part for a user with so many items: shrinkage towards the
/// mean of all users by the amount of evidence. 0 without items.
#[must_use]
pub fn personal_share(familiarity: f32, items: usize) -> f32 {
    if items == 0 {
        return 0.0;
    }
    let items = items as f32;
    items / (items + familiarity)
}

/// The number of items of a user's history that each family of parts can use.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    /// Items that the learned models cover.
    pub learned: usize,
    /// Items with tags.
    pub content: usize,
    /// The sum of the absolute affinities that the user states, in likes.
    pub stated: f32,
}

/// The shares of the families of parts for one user, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// The share of the learned models together.
    pub learned: f32,
    /// The share of content, and of taste as far as it follows from the history.
    pub content: f32,
    /// The share of the affinities that the user states.
    pub stated: f32,
    /// The share of the rules: what the best informed part leaves.
    pub rules: f32,
}

impl Shares {
    /// The shares that follow from `evidence`, by [`personal_share`].
    #[must_use]
    pub fn new(evidence: Evidence) -> Self {
        let learned = personal_share(LEARNED_FAMILIARITY, evidence.learned);
        let content = personal_share(content::FAMILIARITY, evidence.content);
        // Beside one like for what a user does not state.
        let stated = evidence.stated / (evidence.stated + evidence.content as f32 + 1.0);
        Self {
            learned,
            content,
            stated,
            rules: 1.0 - learned.max(content).max(stated),
        }
    }

    /// True if any part but the rules has a share.
    #[must_use]
    pub fn is_informed(&self) -> bool {
        self.learned > 0.0 || self.content > 0.0 || self.stated > 0.0
    }

    /// The share of content if that of the learned models is scaled to 1, as evaluation without rules does; 0 if learned
    /// models have none.
    #[must_use]
    pub fn relative_to_learned(&self) -> f32 {
        if self.learned == 0.0 {
            return 0.0;
        }
        self.content / self.learned
    }
}

/// A part as it was added to a sum: it contributes `scale · (its score − mean)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AppliedPart {
    /// The factor: weight times the scale of the standardization.
    pub scale: f32,
    /// The mean that is subtracted first.
    pub mean: f32,
}

impl AppliedPart {
    /// A part that contributes its own score.
    pub const IDENTITY: Self = Self {
        scale: 1.0,
        mean: 0.0,
    };
}

/// Adds `weight` times the standardized `scores` to `total`; `None` if the weight is 0.
pub fn add_part(
    total: &mut [f32],
    scores: &[f32],
    standardization: Standardization,
    weight: f32,
) -> Option<AppliedPart> {
    if weight == 0.0 {
        return None;
    }
    add_standardized(total, scores, standardization, weight);
    Some(AppliedPart {
        scale: weight * standardization.scale,
        mean: standardization.mean,
    })
}

/// A model in a blend.
#[derive(Clone)]
pub struct Part {
    /// The model.
    pub scorer: Arc<dyn Scorer>,
    /// The weight among the personal models, or among the others; 0 and up.
    pub weight: f32,
    /// True if its scores depend on the history.
    pub personal: bool,
}

/// The weighted sum of the standardized scores of several models.
///
/// For a user with `n` items the personal models together have the share `n / (n + familiarity)`, the others the rest;
/// a user without a history gets the others alone.
#[derive(Clone)]
pub struct Blend {
    parts: Vec<Part>,
    familiarity: f32,
}

impl Blend {
    /// A blend of `parts`; `familiarity` is the number of items after which personal models have half the share.
    ///
    /// # Errors
    /// [`FitError::Setting`] if there is no part, if parts have different numbers of items, or if a weight or the
    /// familiarity is negative or not finite.
    pub fn new(parts: Vec<Part>, familiarity: f32) -> Result<Self, FitError> {
        let items = parts.first().map_or(0, |part| part.scorer.items());
        let agreed = parts.iter().all(|part| part.scorer.items() == items);
        FitError::check("parts", parts.len() as f64, "1 and up, of one catalogue", {
            agreed && !parts.is_empty()
        })?;
        let weights = parts.iter().map(|part| ("weight", part.weight));
        for (name, value) in weights.chain([("familiarity", familiarity)]) {
            FitError::check(name, f64::from(value), "0 and up", value >= 0.0)?;
        }
        Ok(Self { parts, familiarity })
    }

    /// Adds `share` times the score of every item to `total`, and reports each part that has a weight: its index, and
    /// how it was applied. Costs as much as the models take to score; one buffer is allocated.
    pub fn add_scores(
        &self,
        history: History<'_>,
        share: f32,
        total: &mut [f32],
        mut report: impl FnMut(usize, AppliedPart),
    ) {
        let mut own = vec![0.0; total.len()];
        for (index, part) in self.parts.iter().enumerate() {
            let weight = share
                * share_among_learned(part.personal, self.familiarity, history.len())
                * part.weight;
            if weight == 0.0 {
                continue;
            }
            part.scorer.score(history, &mut own);
            let standardization = part.scorer.standardization(&own, history);
            if let Some(applied) = add_part(total, &own, standardization, weight) {
                report(index, applied);
            }
        }
    }
}

/// The share of a model among the learned ones for a user with so many items.
#[must_use]
pub fn share_among_learned(is_personal: bool, familiarity: f32, items: usize) -> f32 {
    let personal = personal_share(familiarity, items);
    if is_personal {
        personal
    } else {
        1.0 - personal
    }
}

impl Scorer for Blend {
    fn items(&self) -> usize {
        self.parts[0].scorer.items()
    }

    fn score(&self, history: History<'_>, scores: &mut [f32]) {
        scores.fill(0.0);
        self.add_scores(history, 1.0, scores, |_, _| {});
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        let mut all = self.explain_all(history, &[item]);
        all.pop()
            .unwrap_or_else(|| Explanation::new(history, |_, _| 0.0))
    }

    fn explain_all(&self, history: History<'_>, items: &[u32]) -> Vec<Explanation> {
        let mut total = vec![0.0; self.items()];
        let mut all = vec![Explanation::new(history, |_, _| 0.0); items.len()];
        self.add_scores(history, 1.0, &mut total, |index, applied| {
            let own = self.parts[index].scorer.explain_all(history, items);
            for (why, own) in all.iter_mut().zip(own) {
                let mut sums = why.contributions.iter_mut();
                for one in own.contributions {
                    // Both are in the order of the history.
                    if let Some(sum) = sums.find(|sum| sum.item == one.item) {
                        sum.amount += applied.scale * one.amount;
                    }
                }
            }
        });
        for (why, item) in all.iter_mut().zip(items) {
            // The remainder, so that rounding does not show in the sum.
            why.base = total[*item as usize] - why.total();
        }
        all
    }

    /// The items with the greatest `Σ weight · value / greatest value of that part`.
    fn similar(&self, item: u32, k: usize) -> Vec<(u32, f32)> {
        let mut sums = vec![0.0; self.items()];
        for part in &self.parts {
            let own = part.scorer.similar(item, k.saturating_mul(4));
            let Some((_, greatest)) = own.first() else {
                continue;
            };
            for (other, value) in &own {
                sums[*other as usize] += part.weight * value / greatest;
            }
        }
        top_k(&sums, k, |_, score| score > 0.0)
    }

    /// The similarity by the first part that has one for both items.
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
        Ease, EaseSettings, Ials, IalsSettings, Interactions, Popularity, standardize,
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
    fn a_new_user_gets_popular_items_which_give_way_as_their_history_grows() {
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
    fn parts_of_different_catalogues_and_negative_weights_and_no_part_are_refused() {
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

    #[test]
    fn shares_grow_with_evidence_and_rules_keep_the_rest() {
        let shares = |learned, content, stated| {
            Shares::new(Evidence {
                learned,
                content,
                stated,
            })
        };
        assert!(!shares(0, 0, 0.0).is_informed());
        assert_eq!(shares(0, 0, 0.0).rules, 1.0);
        assert!(shares(0, 3, 0.0).rules < 0.2 && shares(0, 10, 0.0).rules < 0.05);
        assert!(shares(10, 0, 0.0).learned > shares(1, 0, 0.0).learned);
        let informed = shares(5, 3, 0.0);
        assert_eq!(informed.rules, 1.0 - informed.learned);
        assert!(
            (informed.relative_to_learned() * informed.learned - informed.content).abs() < 1e-6
        );
        let stated = shares(0, 3, 20.0);
        assert!(stated.stated > 0.8 && stated.stated < shares(0, 0, 20.0).stated);
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_score(all in interactions()) {
            contributions_add_up(&blend(&all), &all)?;
        }
    }
}
