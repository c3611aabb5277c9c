//! EASE: a linear item-item model whose weights have a closed form.

use faer::{
    Mat, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::cholesky::llt,
};
use rayon::prelude::*;

use super::FitError;
use crate::{Explanation, History, Interactions, Scorer, rank::top_k};

/// The settings of [`Ease`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EaseSettings {
    /// λ: the regularization of weights, in interactions; above 0.
    pub regularization: f64,
    /// β: each user is weighted by their number of items to the power −2β, which limits the influence of heavy users;
    /// 0 to 1.
    pub user_discount: f64,
    /// α: each item is scaled by its number of users to the power −α, both in the fit, where it evens out the
    /// regularization of rare items, and in the scores, where it raises them; 0 to 1.
    pub item_discount: f64,
    /// The number of most popular items that are covered. Fitting takes 24 bytes, the model 4, times its square.
    pub max_items: usize,
}

impl EaseSettings {
    /// Bytes per pair of items while EASE is fitted, including the model.
    pub const BYTES_PER_PAIR: u64 = 28;

    /// EASE as published: no discounts.
    #[must_use]
    pub fn plain(regularization: f64) -> Self {
        Self {
            regularization,
            user_discount: 0.0,
            item_discount: 0.0,
            ..Self::default()
        }
    }
}

impl Default for EaseSettings {
    fn default() -> Self {
        Self {
            regularization: 1500.0,
            user_discount: 0.35,
            item_discount: 0.2,
            max_items: 8192,
        }
    }
}

/// Steck, *Embarrassingly Shallow Autoencoders for Sparse Data*, WWW 2019: with `G = XᵀX` and
/// `P = (G + λI)⁻¹`, the weights are `B = I − P · diag(P)⁻¹`; their diagonal is 0, so that no item
/// recommends itself. A user's scores are `xB`.
///
/// The discounts follow Park, Yoon, Choi and Kim, *Why is Normalization Necessary for Linear
/// Recommenders?*, SIGIR 2025: `B` is fitted to `D^{−α} Xᵀ U^{−2β} X D^{−α}`, where `U` and `D` hold
/// the numbers of items by user and of users by item, and scores are `x D^{−α} B`. λ is multiplied by the
/// ratio of the mean diagonals, so that it means the same whatever the discounts.
#[derive(Debug, Clone, PartialEq)]
pub struct Ease {
    items: usize,
    /// Column → index among the covered items; [`NOT_COVERED`] for the others.
    places: Vec<u32>,
    /// Index → column, ascending.
    pub(crate) columns: Vec<u32>,
    /// Weights, a row per item of a history: covered × covered.
    pub(crate) weights: Vec<f32>,
}

const NOT_COVERED: u32 = u32::MAX;

impl Ease {
    /// Fits to `interactions` on the current rayon pool: O(m³) for m covered items. The result does not depend on the
    /// number of threads.
    ///
    /// # Errors
    /// [`FitError::Setting`] if a setting is out of its range, [`FitError::Singular`] if the regularization is too weak.
    pub fn fit(interactions: &Interactions, settings: &EaseSettings) -> Result<Self, FitError> {
        check(settings)?;
        let counts = interactions.counts();
        let columns = most_interacted(&counts, settings.max_items);
        let places = places(interactions.items(), &columns);
        let size = columns.len();
        if size == 0 {
            return Ok(Self {
                items: interactions.items(),
                places,
                columns,
                weights: Vec::new(),
            });
        }

        let frequencies: Vec<f64> = columns
            .iter()
            .map(|column| f64::from(counts[*column as usize]))
            .collect();
        let mean = frequencies.iter().sum::<f64>() / size as f64;
        let inward: Vec<f64> = frequencies
            .iter()
            .map(|count| (count / mean).powf(-settings.item_discount))
            .collect();

        let mut gram = gram(interactions, &places, &columns, settings.user_discount);
        gram.par_chunks_mut(size)
            .zip(&inward)
            .for_each(|(column, scale)| {
                for (value, other) in column.iter_mut().zip(&inward) {
                    *value *= scale * other;
                }
            });
        let diagonal: f64 = gram.iter().step_by(size + 1).sum();
        let ridge = settings.regularization * diagonal / frequencies.iter().sum::<f64>();
        for value in gram.iter_mut().step_by(size + 1) {
            *value += ridge;
        }

        let inverse = invert(&mut gram, size)?;
        drop(gram);
        let scales: Vec<f64> = (0..size)
            .map(|place| -1.0 / inverse[(place, place)])
            .collect();
        let mut weights = vec![0.0_f32; size * size];
        weights
            .par_chunks_mut(size)
            .enumerate()
            .for_each(|(row, weights)| {
                for (column, weight) in weights.iter_mut().enumerate() {
                    if row != column {
                        // Only the lower half is there.
                        let value = inverse[(row.max(column), row.min(column))];
                        *weight = (inward[row] * value * scales[column]) as f32;
                    }
                }
            });
        Ok(Self {
            items: interactions.items(),
            places,
            columns,
            weights,
        })
    }

    /// A model of `items` items with `weights` between those in `columns`, a row per item of a history.
    ///
    /// # Errors
    /// [`FitError::Setting`] if columns do not ascend or are not below `items`, or if weights have the wrong number or
    /// are not finite.
    pub fn from_weights(
        items: usize,
        columns: Vec<u32>,
        weights: Vec<f32>,
    ) -> Result<Self, FitError> {
        let in_order = columns.is_sorted_by(|a, b| a < b)
            && columns.last().is_none_or(|last| (*last as usize) < items);
        FitError::check(
            "ease.columns",
            columns.len() as f64,
            "ascending columns of items",
            in_order,
        )?;
        FitError::check_count("ease.weights", weights.len(), columns.len().pow(2))?;
        FitError::check_all("ease.weights", &weights)?;
        Ok(Self {
            items,
            places: places(items, &columns),
            columns,
            weights,
        })
    }

    fn place(&self, item: u32) -> Option<usize> {
        self.places
            .get(item as usize)
            .filter(|place| **place != NOT_COVERED)
            .map(|place| *place as usize)
    }

    fn row(&self, place: usize) -> &[f32] {
        let size = self.columns.len();
        &self.weights[place * size..][..size]
    }

    fn add_rows(&self, history: History<'_>, sums: &mut [f32]) {
        for (item, weight) in history.iter() {
            if let Some(place) = self.place(item) {
                for (sum, one) in sums.iter_mut().zip(self.row(place)) {
                    *sum += weight * one;
                }
            }
        }
    }

    /// The weight of `from` in a history for the score of `to`.
    #[must_use]
    pub fn weight(&self, from: u32, to: u32) -> f32 {
        match (self.place(from), self.place(to)) {
            (Some(from), Some(to)) => self.row(from)[to],
            _ => 0.0,
        }
    }
}

/// Column → index among `columns`, or [`NOT_COVERED`].
fn places(items: usize, columns: &[u32]) -> Vec<u32> {
    let mut places = vec![NOT_COVERED; items];
    for (place, column) in (0..).zip(columns) {
        places[*column as usize] = place;
    }
    places
}

fn check(settings: &EaseSettings) -> Result<(), FitError> {
    let EaseSettings {
        regularization,
        user_discount,
        item_discount,
        max_items: _,
    } = *settings;
    FitError::check_positive("regularization", regularization)?;
    FitError::check_unit("user_discount", user_discount)?;
    FitError::check_unit("item_discount", item_discount)
}

/// The at most `max` columns with most users, without those of no user, ascending.
fn most_interacted(counts: &[u32], max: usize) -> Vec<u32> {
    let mut columns: Vec<u32> = (0_u32..)
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(column, _)| column)
        .collect();
    columns.sort_by_key(|column| (std::cmp::Reverse(counts[*column as usize]), *column));
    columns.truncate(max);
    columns.sort_unstable();
    columns
}

/// The lower triangle of `Xᵀ U^{−2β} X` over the covered items, in column-major order.
fn gram(
    interactions: &Interactions,
    places: &[u32],
    columns: &[u32],
    user_discount: f64,
) -> Vec<f64> {
    let size = columns.len();
    let shares: Vec<f64> = interactions
        .histories()
        .map(|history| (history.len().max(1) as f64).powf(-2.0 * user_discount))
        .collect();
    let users = interactions.transpose();
    let mut gram = vec![0.0_f64; size * size];
    gram.par_chunks_mut(size)
        .zip(columns)
        .for_each(|(sums, column)| {
            for (user, weight) in users.history(*column as usize).iter() {
                let user = user as usize;
                let share = shares[user] * f64::from(weight);
                let history = interactions.history(user);
                // Ascending, so items from this one on are at the end.
                for (item, weight) in history.iter().rev().take_while(|(item, _)| item >= column) {
                    if let Some(sum) = sums.get_mut(places[item as usize] as usize) {
                        *sum += share * f64::from(weight);
                    }
                }
            }
        });
    gram
}

/// The lower triangle of the inverse of a positive definite matrix, given its lower triangle.
fn invert(lower: &mut [f64], size: usize) -> Result<Mat<f64>, FitError> {
    let parallel = Par::rayon(0);
    let mut buffer = MemBuffer::new(
        llt::factor::cholesky_in_place_scratch::<f64>(size, parallel, Default::default())
            .or(llt::inverse::inverse_scratch::<f64>(size, parallel)),
    );
    let stack = MemStack::new(&mut buffer);
    llt::factor::cholesky_in_place(
        MatMut::from_column_major_slice_mut(lower, size, size),
        Default::default(),
        parallel,
        stack,
        Default::default(),
    )
    .map_err(|_| FitError::Singular)?;
    let mut inverse = Mat::zeros(size, size);
    llt::inverse::inverse(
        inverse.as_mut(),
        MatRef::from_column_major_slice(lower, size, size),
        parallel,
        stack,
    );
    let sound = (0..size).all(|place| inverse[(place, place)] > 0.0);
    if sound {
        Ok(inverse)
    } else {
        Err(FitError::Singular)
    }
}

impl Scorer for Ease {
    fn items(&self) -> usize {
        self.items
    }

    fn score(&self, history: History<'_>, scores: &mut [f32]) {
        if self.columns.len() == self.items {
            scores.fill(0.0);
            self.add_rows(history, scores);
            return;
        }
        let mut kept = vec![0.0; self.columns.len()];
        self.add_rows(history, &mut kept);
        scores.fill(0.0);
        for (column, sum) in self.columns.iter().zip(kept) {
            scores[*column as usize] = sum;
        }
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        Explanation::new(history, |from, weight| weight * self.weight(from, item))
    }

    /// By the mean of the weights in both directions.
    fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        let Some(place) = self.place(item) else {
            return Vec::new();
        };
        let size = self.columns.len();
        let mut scores = vec![0.0; self.items];
        for (other, (column, out)) in self.columns.iter().zip(self.row(place)).enumerate() {
            scores[*column as usize] = (out + self.weights[other * size + place]) / 2.0;
        }
        top_k(&scores, places, |other, score| score > 0.0 && other != item)
    }
}

#[cfg(test)]
mod tests;
