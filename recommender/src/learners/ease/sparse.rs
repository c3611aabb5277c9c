//! Weights between pairs of items of which most are 0, in compressed rows.

use crate::FitError;

/// Weights of pairs of items, a row per item of a history: 8 bytes per weight and per item.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SparseWeights {
    /// The start of each row in `targets`, and the end of the last one; empty without rows.
    pub(crate) starts: Vec<u64>,
    /// The scored items, ascending within a row.
    pub(crate) targets: Vec<u32>,
    /// The weight of each target.
    pub(crate) weights: Vec<f32>,
}

impl SparseWeights {
    /// The weights `(from, to, weight)` of `items` items, ascending by distinct pairs.
    pub(super) fn from_pairs(items: usize, pairs: Vec<(u32, u32, f32)>) -> Self {
        let mut starts = vec![0_u64; items + 1];
        for (from, ..) in &pairs {
            starts[*from as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        Self {
            starts,
            targets: pairs.iter().map(|(_, to, _)| *to).collect(),
            weights: pairs.iter().map(|(_, _, weight)| *weight).collect(),
        }
    }

    /// Checks that there is a row for each of `items` items, or none at all, whose targets ascend and are below `items`,
    /// and that weights are finite.
    ///
    /// # Errors
    /// [`FitError::Setting`] otherwise.
    pub(super) fn check(&self, items: usize) -> Result<(), FitError> {
        let count = self.targets.len();
        FitError::check_count("ease.sparse_weights", self.weights.len(), count)?;
        FitError::check_all("ease.sparse_weights", &self.weights)?;
        let has_rows = match (self.starts.first(), self.starts.last()) {
            (None, None) => count == 0,
            (first, last) => {
                first == Some(&0)
                    && last == Some(&(count as u64))
                    && self.starts.len() == items + 1
                    && self.starts.is_sorted()
            }
        };
        let rows = self.starts.len() as f64;
        FitError::check("ease.sparse_starts", rows, "ascending, one a row", has_rows)?;
        let in_order = (0..items).all(|item| {
            let (targets, _) = self.slices(item);
            let last = targets.last();
            targets.is_sorted_by(|a, b| a < b) && last.is_none_or(|last| (*last as usize) < items)
        });
        FitError::check(
            "ease.sparse_targets",
            count as f64,
            "ascending items in each row",
            in_order,
        )
    }

    fn slices(&self, item: usize) -> (&[u32], &[f32]) {
        match (self.starts.get(item), self.starts.get(item + 1)) {
            (Some(start), Some(end)) => {
                let range = *start as usize..*end as usize;
                (&self.targets[range.clone()], &self.weights[range])
            }
            _ => (&[], &[]),
        }
    }

    /// The items for whose scores `item` counts, ascending, with its weights.
    pub(super) fn row(&self, item: u32) -> impl Iterator<Item = (u32, f32)> {
        let (targets, weights) = self.slices(item as usize);
        targets.iter().copied().zip(weights.iter().copied())
    }

    /// The weight of `from` for the score of `to`; 0 unless it is stored.
    pub(super) fn weight(&self, from: u32, to: u32) -> f32 {
        let (targets, weights) = self.slices(from as usize);
        targets
            .binary_search(&to)
            .map_or(0.0, |place| weights[place])
    }
}
