//! The trait that all models implement: from the history of one user to a score for each item, with an exact explanation.

use crate::{History, Standardization, standardize};

/// The explanation of the score of one item: a base and contributions that add up to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The part of the score that does not depend on the history.
    pub base: f32,
    /// The contribution of each item of the history, in its order.
    pub contributions: Vec<Contribution>,
}

/// The contribution of one item of a history to a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contribution {
    /// The column of the item.
    pub item: u32,
    /// The amount; below 0 if it lowers the score.
    pub amount: f32,
}

impl Explanation {
    /// An explanation without a base, in which each item of `history` with its weight contributes `amount`.
    #[must_use]
    pub fn new(history: History<'_>, mut amount: impl FnMut(u32, f32) -> f32) -> Self {
        let contribution = |(item, weight)| Contribution {
            item,
            amount: amount(item, weight),
        };
        Self {
            base: 0.0,
            contributions: history.iter().map(contribution).collect(),
        }
    }

    /// The score that is explained, up to rounding.
    #[must_use]
    pub fn total(&self) -> f32 {
        let contributed: f32 = self.contributions.iter().map(|one| one.amount).sum();
        self.base + contributed
    }
}

/// A model that scores every item for one user, who need not have been in its training data.
pub trait Scorer: Send + Sync {
    /// The number of items.
    fn items(&self) -> usize;

    /// Writes the score of every item to `scores`, whose length is [`Scorer::items`]. Higher is better; scores of
    /// different users or models need not have the same scale.
    ///
    /// Columns of `history` that the model does not cover are ignored.
    fn score(&self, history: History<'_>, scores: &mut [f32]);

    /// The standardization of `scores`, which [`Scorer::score`] wrote for this `history`: over the columns that the model
    /// covers, all by default.
    fn standardization(&self, scores: &[f32], history: History<'_>) -> Standardization {
        standardize(scores, history)
    }

    /// The explanation of the score that [`Scorer::score`] gives to `item`.
    fn explain(&self, history: History<'_>, item: u32) -> Explanation;

    /// As [`Scorer::explain`] for several items, for models that can share work between them.
    fn explain_all(&self, history: History<'_>, items: &[u32]) -> Vec<Explanation> {
        items
            .iter()
            .map(|item| self.explain(history, *item))
            .collect()
    }

    /// The `k` items that are most similar to `item`, best first, each with a value above 0 on a scale of the model's own;
    /// without `item`. Empty if the model does not cover it, or does not relate items to each other.
    fn similar(&self, item: u32, k: usize) -> Vec<(u32, f32)> {
        let _ = (item, k);
        Vec::new()
    }

    /// The similarity of two items by the users who interact with them, −1 to 1; `None` if the model does not cover both
    /// or has no vectors.
    fn similarity(&self, one: u32, other: u32) -> Option<f32> {
        let _ = (one, other);
        None
    }
}

/// The standardization of `scores`, those of these ascending `columns`, over those that are not in `history`.
pub(crate) fn standardize_columns(
    scores: impl Iterator<Item = f32>,
    columns: &[u32],
    history: History<'_>,
) -> Standardization {
    let scores: Vec<f32> = scores.collect();
    let known = history.items.iter();
    let places: Vec<u32> = known
        .filter_map(|item| columns.binary_search(item).ok())
        .filter_map(|place| u32::try_from(place).ok())
        .collect();
    let ones = vec![1.0; places.len()];
    standardize(
        &scores,
        History {
            items: &places,
            weights: &ones,
        },
    )
}
