//! EASE: a linear item-item model whose weights have a closed form, dense between the most popular items and sparse beyond.

mod neighbors;
mod sparse;

use faer::{
    Mat, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::cholesky::llt,
};
use rayon::prelude::*;

use self::neighbors::{Gram, Head};
pub(crate) use self::sparse::SparseWeights;
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
    /// p: the part of each history that is dropped at random in the fit, in expectation; 0 to below 1. It regularizes
    /// popular items more, so that a lower λ, which covers more items, costs no accuracy.
    pub dropout: f64,
    /// The number of most popular items with dense weights between them. Fitting takes 24 bytes, the model 4, times its
    /// square.
    pub max_items: usize,
    /// M: the number of neighbors that each of the other items has weights with; 0 leaves these items out. Fitting them
    /// takes O(M³) time and at most 52 bytes · M each, the model 16 bytes · M each.
    pub neighbors: usize,
}

impl EaseSettings {
    /// Bytes per pair of items while EASE is fitted, including the model.
    pub const BYTES_PER_PAIR: u64 = 28;

    /// The smallest and largest number of bytes that submatrices of a batch of items beyond the dense ones take; between
    /// them they take what the dense inverse no longer needs.
    const BATCH_BYTES: std::ops::RangeInclusive<usize> = 32 << 20..=512 << 20;
    const FREE_BYTES_PER_PAIR: usize = 16;

    /// EASE as published: no discounts, no dropout.
    #[must_use]
    pub fn plain(regularization: f64) -> Self {
        Self {
            regularization,
            user_discount: 0.0,
            item_discount: 0.0,
            dropout: 0.0,
            ..Self::default()
        }
    }
}

impl Default for EaseSettings {
    fn default() -> Self {
        Self {
            regularization: 600.0,
            user_discount: 0.35,
            item_discount: 0.2,
            dropout: 0.5,
            max_items: 8192,
            neighbors: 200,
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
///
/// Dropout adds `p / (1 − p) · diag(G)` to the diagonal, its expectation in closed form: Steck, *Autoencoders that don't
/// overfit towards the Identity*, NeurIPS 2020.
///
/// Items beyond [`EaseSettings::max_items`] have weights with their neighbors alone, by regressions on these (Steck,
/// *Markov Random Fields for Collaborative Filtering*, NeurIPS 2019), and count in the block of the dense ones too.
#[derive(Debug, Clone, PartialEq)]
pub struct Ease {
    items: usize,
    /// Column → index among the items with dense weights; [`NOT_COVERED`] for the others.
    places: Vec<u32>,
    /// Index → column, ascending.
    pub(crate) columns: Vec<u32>,
    /// Weights between these m items, m × m with a row per item of a history.
    pub(crate) weights: Vec<f32>,
    /// Weights of all other pairs of items.
    pub(crate) sparse: SparseWeights,
}

const NOT_COVERED: u32 = u32::MAX;

impl Ease {
    /// Fits to `interactions` on the current rayon pool: O(m³ + t · M³) for m items with dense weights and t others with M
    /// neighbors. The result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`FitError::Setting`] if a setting is out of its range, [`FitError::Singular`] if the regularization is too weak.
    pub fn fit(interactions: &Interactions, settings: &EaseSettings) -> Result<Self, FitError> {
        check(settings)?;
        let size = settings.max_items.min(interactions.items());
        let free = EaseSettings::FREE_BYTES_PER_PAIR * size * size;
        let (least, most) = EaseSettings::BATCH_BYTES.into_inner();
        Self::fit_in_batches(interactions, settings, free.clamp(least, most))
    }

    /// Fits with batches of items beyond the dense ones that take `batch_bytes`.
    fn fit_in_batches(
        interactions: &Interactions,
        settings: &EaseSettings,
        batch_bytes: usize,
    ) -> Result<Self, FitError> {
        let items = interactions.items();
        let counts = interactions.counts();
        let (columns, others) = most_interacted(&counts, settings);
        let places = places(items, &columns);
        let size = columns.len();
        let covered = columns.iter().chain(&others);
        let frequency = |column: &u32| f64::from(counts[*column as usize]);
        let sum: f64 = covered.clone().map(frequency).sum();
        let mean = sum / (size + others.len()).max(1) as f64;
        let mut scales = vec![0.0; items];
        for column in covered {
            scales[*column as usize] = (frequency(column) / mean).powf(-settings.item_discount);
        }

        let users = interactions.transpose();
        let shares: Vec<f64> = interactions
            .histories()
            .map(|history| (history.len().max(1) as f64).powf(-2.0 * settings.user_discount))
            .collect();
        let mut diagonal = Gram::diagonal(&users, &shares, &scales);
        let ridge = settings.regularization * diagonal.iter().sum::<f64>() / sum.max(1.0);
        // With dropout `diag(G) + p / (1 − p) · diag(G)`.
        let kept = 1.0 - settings.dropout;
        for value in &mut diagonal {
            *value = *value / kept + ridge;
        }
        let gram = Gram {
            interactions,
            users: &users,
            shares: &shares,
            scales: &scales,
            diagonal: &diagonal,
        };

        let mut block = gram.block(&places, &columns);
        let kept: Vec<f32> = if others.is_empty() {
            Vec::new()
        } else {
            block.iter().map(|value| *value as f32).collect()
        };
        let mut inverse = invert(&mut block, size)?;
        drop(block);
        let head = Head {
            places: &places,
            gram: &kept,
            size,
        };
        let regressions =
            neighbors::regress(&gram, &head, &others, settings.neighbors, batch_bytes)?;
        drop(kept);
        neighbors::add_regressions(&mut inverse, &regressions, &places);

        let variances: Vec<f64> = (0..size)
            .map(|place| 1.0 / inverse[(place, place)])
            .collect();
        let weights = dense_weights(&inverse, &variances, &columns, &scales);
        Ok(Self {
            items,
            sparse: neighbors::sparse_weights(items, &regressions, &scales, |item| {
                variances.get(places[item as usize] as usize).copied()
            }),
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
            sparse: SparseWeights::default(),
        })
    }

    /// The same with the weights `sparse` of all pairs that are not both among the items with dense weights.
    ///
    /// # Errors
    /// [`FitError::Setting`] if they have another shape or are not finite.
    pub(crate) fn with_sparse(self, sparse: SparseWeights) -> Result<Self, FitError> {
        sparse.check(self.items)?;
        Ok(Self { sparse, ..self })
    }

    /// The number of items with a weight.
    #[must_use]
    pub fn covered(&self) -> usize {
        let is_sparse =
            |item: &u32| self.place(*item).is_none() && self.sparse.row(*item).next().is_some();
        self.columns.len() + (0..self.items as u32).filter(is_sparse).count()
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
            _ => self.sparse.weight(from, to),
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
        dropout,
        max_items: _,
        neighbors: _,
    } = *settings;
    FitError::check_positive("regularization", regularization)?;
    FitError::check_unit("user_discount", user_discount)?;
    FitError::check_unit("item_discount", item_discount)?;
    let is_part = (0.0..1.0).contains(&dropout);
    FitError::check("dropout", dropout, "0 to below 1", is_part)
}

/// The columns with dense weights, those with most users, and the others, without those of no user; both ascending.
fn most_interacted(counts: &[u32], settings: &EaseSettings) -> (Vec<u32>, Vec<u32>) {
    let mut columns: Vec<u32> = (0_u32..)
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(column, _)| column)
        .collect();
    columns.sort_by_key(|column| (std::cmp::Reverse(counts[*column as usize]), *column));
    let mut others = columns.split_off(settings.max_items.min(columns.len()));
    if settings.neighbors == 0 {
        others.clear();
    }
    columns.sort_unstable();
    others.sort_unstable();
    (columns, others)
}

/// The weights of the items `columns` by the lower triangle of the inverse, a row per item of a history.
fn dense_weights(
    inverse: &Mat<f64>,
    variances: &[f64],
    columns: &[u32],
    scales: &[f64],
) -> Vec<f32> {
    let size = columns.len();
    let mut weights = vec![0.0_f32; size * size];
    weights
        .par_chunks_mut(size.max(1))
        .zip(columns)
        .enumerate()
        .for_each(|(row, (weights, from))| {
            let scale = scales[*from as usize];
            for (column, weight) in weights.iter_mut().enumerate() {
                if row != column {
                    // Only the lower half is there.
                    let value = inverse[(row.max(column), row.min(column))];
                    *weight = (-scale * value * variances[column]) as f32;
                }
            }
        });
    weights
}

/// The lower triangle of the inverse of a positive definite matrix, given its lower triangle.
fn invert(lower: &mut [f64], size: usize) -> Result<Mat<f64>, FitError> {
    if size == 0 {
        return Ok(Mat::zeros(0, 0));
    }
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
        scores.fill(0.0);
        if self.columns.len() == self.items {
            self.add_rows(history, scores);
            return;
        }
        let mut kept = vec![0.0; self.columns.len()];
        self.add_rows(history, &mut kept);
        for (column, sum) in self.columns.iter().zip(kept) {
            scores[*column as usize] = sum;
        }
        for (item, weight) in history.iter() {
            for (target, one) in self.sparse.row(item) {
                scores[target as usize] += weight * one;
            }
        }
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        Explanation::new(history, |from, weight| weight * self.weight(from, item))
    }

    fn explain_all(&self, history: History<'_>, items: &[u32]) -> Vec<Explanation> {
        let blank = || Explanation::new(history, |_, _| 0.0);
        let mut all: Vec<Explanation> = items.iter().map(|_| blank()).collect();
        let mut dense: Vec<(usize, usize)> = Vec::with_capacity(items.len());
        let mut ascending: Vec<(u32, usize)> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            dense.extend(self.place(*item).map(|place| (index, place)));
            ascending.push((*item, index));
        }
        ascending.sort_unstable();
        // Row by row: the weights of one item of the history are beside each other.
        for (position, (from, weight)) in history.iter().enumerate() {
            if let Some(place) = self.place(from) {
                let row = self.row(place);
                for (index, place) in &dense {
                    all[*index].contributions[position].amount = weight * row[*place];
                }
            }
            // Pairs with a dense weight have no sparse one.
            let mut rest = ascending.as_slice();
            for (target, one) in self.sparse.row(from) {
                rest = &rest[rest.iter().take_while(|(item, _)| *item < target).count()..];
                for (_, index) in rest.iter().take_while(|(item, _)| *item == target) {
                    all[*index].contributions[position].amount = weight * one;
                }
            }
        }
        all
    }

    /// By the mean of the weights in both directions.
    fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        let mut scores = vec![0.0; self.items];
        if let Some(place) = self.place(item) {
            let size = self.columns.len();
            for (other, (column, out)) in self.columns.iter().zip(self.row(place)).enumerate() {
                scores[*column as usize] = (out + self.weights[other * size + place]) / 2.0;
            }
        }
        for (other, score) in (0..).zip(&mut scores) {
            *score += self.sparse.weight(other, item) / 2.0;
        }
        for (other, weight) in self.sparse.row(item) {
            scores[other as usize] += weight / 2.0;
        }
        top_k(&scores, places, |other, score| score > 0.0 && other != item)
    }
}

#[cfg(test)]
mod tests;
