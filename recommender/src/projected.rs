//! A model over the columns of another catalogue: scores of the columns that both have, the mean for the others.

use std::sync::Arc;

use crate::{
    Contribution, Explanation, History, Scorer, Standardization, scorer::standardize_columns,
    standardize,
};

/// Marks a column that the inner model does not cover.
const NOT_COVERED: u32 = u32::MAX;

/// An inner model with the column that each of its columns has in another catalogue.
///
/// Columns that the inner model does not cover get the mean of the others, and do not count for the standardization: so
/// the model adds nothing to their score in a blend.
#[derive(Clone)]
pub struct Projected {
    scorer: Arc<dyn Scorer>,
    items: usize,
    /// Outer column → inner column, or [`NOT_COVERED`].
    inner: Vec<u32>,
    /// Inner column → outer column, or [`NOT_COVERED`].
    outer: Vec<u32>,
    /// The covered outer columns, ascending.
    covered: Vec<u32>,
}

impl Projected {
    /// `scorer` over `items` columns; `outer` has the column of each of its columns, if there is one. Both ascend
    /// together.
    #[must_use]
    pub fn new(
        scorer: Arc<dyn Scorer>,
        items: usize,
        outer: impl IntoIterator<Item = Option<u32>>,
    ) -> Self {
        let mut inner = vec![NOT_COVERED; items];
        let outer: Vec<u32> = outer
            .into_iter()
            .zip(0_u32..)
            .map(|(outer, column)| {
                let place = outer.and_then(|outer| inner.get_mut(outer as usize));
                match (place, outer) {
                    (Some(place), Some(outer)) => {
                        *place = column;
                        outer
                    }
                    _ => NOT_COVERED,
                }
            })
            .collect();
        let covered = (0_u32..)
            .zip(&inner)
            .filter(|(_, column)| **column != NOT_COVERED)
            .map(|(outer, _)| outer)
            .collect();
        Self {
            scorer,
            items,
            inner,
            outer,
            covered,
        }
    }

    fn column(&self, outer: u32) -> Option<u32> {
        let column = self.inner.get(outer as usize).copied();
        column.filter(|column| *column != NOT_COVERED)
    }

    /// The columns and weights of `history` in the inner model.
    fn history(&self, history: History<'_>) -> (Vec<u32>, Vec<f32>) {
        history
            .iter()
            .filter_map(|(item, weight)| Some((self.column(item)?, weight)))
            .unzip()
    }

    /// The inner scores of a user with this inner history.
    fn inner_scores(&self, history: History<'_>) -> Vec<f32> {
        let mut scores = vec![0.0; self.scorer.items()];
        self.scorer.score(history, &mut scores);
        scores
    }

    /// The mean over the covered columns that are not in `history`.
    fn mean(&self, inner_scores: &[f32], history: History<'_>) -> f32 {
        let scores = self.covered.iter().map(|outer| {
            let column = self.inner[*outer as usize];
            inner_scores.get(column as usize).copied().unwrap_or(0.0)
        });
        standardize_columns(scores, &self.covered, history).mean
    }

    /// The explanation `own` of the inner model in columns of `history`.
    fn outward(&self, own: &Explanation, history: History<'_>) -> Explanation {
        let mut amounts = own.contributions.iter().peekable();
        let contributions = history.items.iter().map(|item| {
            let column = self.column(*item);
            let amount = amounts.next_if(|one| Some(one.item) == column);
            Contribution {
                item: *item,
                amount: amount.map_or(0.0, |one| one.amount),
            }
        });
        Explanation {
            base: own.base,
            contributions: contributions.collect(),
        }
    }
}

impl Scorer for Projected {
    fn items(&self) -> usize {
        self.items
    }

    fn score(&self, history: History<'_>, scores: &mut [f32]) {
        let (items, weights) = self.history(history);
        let own = self.inner_scores(History {
            items: &items,
            weights: &weights,
        });
        scores.fill(self.mean(&own, history));
        for outer in &self.covered {
            scores[*outer as usize] = own[self.inner[*outer as usize] as usize];
        }
    }

    fn standardization(&self, scores: &[f32], history: History<'_>) -> Standardization {
        if self.covered.len() == self.items {
            return standardize(scores, history);
        }
        let covered = self.covered.iter().map(|outer| scores[*outer as usize]);
        standardize_columns(covered, &self.covered, history)
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        let mut all = self.explain_all(history, &[item]);
        all.pop()
            .unwrap_or_else(|| Explanation::new(history, |_, _| 0.0))
    }

    fn explain_all(&self, history: History<'_>, items: &[u32]) -> Vec<Explanation> {
        let (own_items, weights) = self.history(history);
        let own = History {
            items: &own_items,
            weights: &weights,
        };
        let columns: Vec<u32> = items.iter().filter_map(|item| self.column(*item)).collect();
        let mut explained = self.scorer.explain_all(own, &columns).into_iter();
        let mean = match columns.len() == items.len() {
            true => 0.0,
            false => self.mean(&self.inner_scores(own), history),
        };
        let mut explain = |item: &u32| {
            self.column(*item)?;
            Some(self.outward(&explained.next()?, history))
        };
        let all = items.iter().map(|item| {
            explain(item).unwrap_or_else(|| Explanation {
                base: mean,
                ..Explanation::new(history, |_, _| 0.0)
            })
        });
        all.collect()
    }

    fn similar(&self, item: u32, k: usize) -> Vec<(u32, f32)> {
        let Some(column) = self.column(item) else {
            return Vec::new();
        };
        // Some of the inner model's are not in this catalogue.
        let hidden = self.outer.len() - self.covered.len();
        let similar = self.scorer.similar(column, k.saturating_add(hidden));
        let known = similar.into_iter().filter_map(|(column, value)| {
            let outer = *self.outer.get(column as usize)?;
            (outer != NOT_COVERED).then_some((outer, value))
        });
        known.take(k).collect()
    }

    fn similarity(&self, one: u32, other: u32) -> Option<f32> {
        self.scorer
            .similarity(self.column(one)?, self.column(other)?)
    }
}

#[cfg(all(test, feature = "learners"))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Ease, EaseSettings, Interactions,
        testing::{contributions_add_up, interactions, tastes},
    };

    #[test]
    fn common_columns_keep_their_scores_and_others_get_the_mean() {
        let all = tastes(30, 6);
        let ease = Arc::new(Ease::fit(&all, &EaseSettings::plain(5.0)).expect("fits"));
        // Columns 1 and 4 of the model are not in the catalogue, and columns 0 and 3 of that not in the model.
        let outer = [Some(1), None, Some(2), Some(4), None, Some(5)];
        let projected = Projected::new(Arc::clone(&ease) as Arc<dyn Scorer>, 6, outer);
        let history = History {
            items: &[2, 3],
            weights: &[1.0, 1.0],
        };
        let mut scores = [0.0; 6];
        projected.score(history, &mut scores);
        let mut own = [0.0; 6];
        let inner = History {
            items: &[2],
            weights: &[1.0],
        };
        ease.score(inner, &mut own);
        assert_eq!(
            [scores[1], scores[2], scores[4], scores[5]],
            [own[0], own[2], own[3], own[5]]
        );
        let mean = (own[0] + own[3] + own[5]) / 3.0;
        assert!((scores[0] - mean).abs() < 1e-6 && scores[0].to_bits() == scores[3].to_bits());
        let standardization = projected.standardization(&scores, history);
        assert!((standardization.mean - mean).abs() < 1e-6);
        assert!(projected.similar(2, 3).iter().all(|(item, _)| *item != 2));
        assert!(projected.similar(0, 3).is_empty());
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_score(
            all in interactions(),
            shown in prop::collection::vec(any::<bool>(), 9),
        ) {
            let ease = Ease::fit(&all, &EaseSettings::plain(2.0)).expect("fits");
            let outer = (0..9_u32).zip(shown).map(|(column, shown)| shown.then_some(column));
            let projected = Projected::new(Arc::new(ease), 9, outer);
            let rows = all.histories().map(|history| history.iter().collect::<Vec<_>>());
            let all = Interactions::from_rows(9, rows).expect("in range");
            contributions_add_up(&projected, &all)?;
        }
    }
}
