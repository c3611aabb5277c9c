//! EASE: every film's score is a weighted sum of the films that the user dealt with, and the weights
//! have a closed form.

use faer::{
    Mat, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::cholesky::llt,
};
use rayon::prelude::*;

use super::FitError;
use crate::{Contribution, Explanation, History, Interactions, Scorer, rank::top_k};

/// How EASE is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EaseSettings {
    /// λ: how strongly weights are held small, in interactions; above 0.
    pub regularization: f64,
    /// β: each user counts as their number of films to the power −2β, so that those who have seen
    /// everything do not decide alone; 0 to 1.
    pub user_discount: f64,
    /// α: each film is scaled by its number of users to the power −α before weights are fitted, so
    /// that the regularization does not press on rare films most, and stays so in the scores, where
    /// it lets them come up; 0 to 1.
    pub item_discount: f64,
    /// Films beyond the most interacted ones are left out. Fitting takes 24 bytes, the model 4, times
    /// the square of this number.
    pub max_items: usize,
}

impl EaseSettings {
    /// Bytes that a pair of films takes while EASE is fitted, with the model that comes of it.
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
/// `P = (G + λI)⁻¹`, the weights are `B = I − P · diag(P)⁻¹`; their diagonal is 0, so that no film
/// recommends itself. A user's scores are `xB`.
///
/// The discounts follow Park, Yoon, Choi and Kim, *Why is Normalization Necessary for Linear
/// Recommenders?*, SIGIR 2025: `B` is fitted to `D^{−α} Xᵀ U^{−2β} X D^{−α}`, where `U` and `D` hold
/// the numbers of films by user and of users by film, and scores are `x D^{−α} B`. λ is multiplied by the
/// ratio of the mean diagonals, so that it means the same whatever the discounts.
#[derive(Debug, Clone, PartialEq)]
pub struct Ease {
    items: usize,
    /// Column → place among the films kept; [`LEFT_OUT`] for the others.
    places: Vec<u32>,
    /// Place → column, ascending.
    columns: Vec<u32>,
    /// Weights, a row for each film that is in a history: places × places.
    weights: Vec<f32>,
}

const LEFT_OUT: u32 = u32::MAX;

impl Ease {
    /// Fits to `interactions`, on all threads of the current pool. The same input gives the same bits,
    /// on however many threads.
    ///
    /// # Errors
    /// A setting out of its range, or numbers too large for the regularization.
    pub fn fit(interactions: &Interactions, settings: &EaseSettings) -> Result<Self, FitError> {
        check(settings)?;
        let counts = interactions.counts();
        let columns = most_interacted(&counts, settings.max_items);
        let mut places = vec![LEFT_OUT; interactions.items()];
        for (place, column) in (0..).zip(&columns) {
            places[*column as usize] = place;
        }
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

    /// With `weights` between the films in `columns`, of `items` films; a row for each film that is in
    /// a history.
    ///
    /// # Errors
    /// Columns that do not ascend or are beyond the films, or weights that are too few, too many or not
    /// finite.
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
            "ascending columns of films",
            in_order,
        )?;
        FitError::check_count("ease.weights", weights.len(), columns.len().pow(2))?;
        FitError::check_all("ease.weights", &weights)?;
        let mut places = vec![LEFT_OUT; items];
        for (place, column) in (0..).zip(&columns) {
            places[*column as usize] = place;
        }
        Ok(Self {
            items,
            places,
            columns,
            weights,
        })
    }

    /// The columns that have weights, ascending.
    #[must_use]
    pub fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// The weights, a row for each film that is in a history.
    #[must_use]
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    fn place(&self, item: u32) -> Option<usize> {
        self.places
            .get(item as usize)
            .filter(|place| **place != LEFT_OUT)
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

    /// How much dealing with the film `from` speaks for the film `to`.
    #[must_use]
    pub fn weight(&self, from: u32, to: u32) -> f32 {
        match (self.place(from), self.place(to)) {
            (Some(from), Some(to)) => self.row(from)[to],
            _ => 0.0,
        }
    }
}

fn check(settings: &EaseSettings) -> Result<(), FitError> {
    let EaseSettings {
        regularization,
        user_discount,
        item_discount,
        max_items: _,
    } = *settings;
    let unit = 0.0..=1.0;
    FitError::check(
        "regularization",
        regularization,
        "above 0",
        regularization > 0.0,
    )?;
    FitError::check(
        "user_discount",
        user_discount,
        "0 to 1",
        unit.contains(&user_discount),
    )?;
    FitError::check(
        "item_discount",
        item_discount,
        "0 to 1",
        unit.contains(&item_discount),
    )
}

/// Columns that anybody dealt with, at most `most` and those with most users, ascending.
fn most_interacted(counts: &[u32], most: usize) -> Vec<u32> {
    let mut columns: Vec<u32> = (0_u32..)
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(column, _)| column)
        .collect();
    columns.sort_by_key(|column| (std::cmp::Reverse(counts[*column as usize]), *column));
    columns.truncate(most);
    columns.sort_unstable();
    columns
}

/// The lower half of `Xᵀ U^{−2β} X` over the films kept, column after column.
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
                // Ascending, so those at and behind this film are at the end.
                for (item, weight) in history.iter().rev().take_while(|(item, _)| item >= column) {
                    if let Some(sum) = sums.get_mut(places[item as usize] as usize) {
                        *sum += share * f64::from(weight);
                    }
                }
            }
        });
    gram
}

/// The inverse's lower half of a positive definite matrix, of which the lower half is given.
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
        Explanation {
            base: 0.0,
            contributions: history
                .iter()
                .map(|(from, weight)| Contribution {
                    item: from,
                    amount: weight * self.weight(from, item),
                })
                .collect(),
        }
    }

    /// By what dealing with `item` speaks for, and the other way round: the mean of both weights.
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{contributions_add_up, interactions, matrix, on_threads};

    /// The inverse by Gauss–Jordan elimination.
    fn inverse(mut matrix: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        let size = matrix.len();
        for (row, values) in matrix.iter_mut().enumerate() {
            values.extend((0..size).map(|column| f64::from(u8::from(row == column))));
        }
        for pivot in 0..size {
            let scale = matrix[pivot][pivot];
            matrix[pivot].iter_mut().for_each(|value| *value /= scale);
            let line = matrix[pivot].clone();
            for (row, values) in matrix.iter_mut().enumerate() {
                let factor = if row == pivot { 0.0 } else { values[pivot] };
                for (value, other) in values.iter_mut().zip(&line) {
                    *value -= factor * other;
                }
            }
        }
        matrix.into_iter().map(|row| row[size..].to_vec()).collect()
    }

    #[test]
    fn weights_are_those_of_the_formula_and_no_film_recommends_itself() {
        let all = matrix(4, &[&[0, 1], &[0, 1, 2], &[1, 2], &[0, 3], &[3]]);
        let ease = Ease::fit(&all, &EaseSettings::plain(0.7)).expect("fits");
        let mut gram = vec![vec![0.0; 4]; 4];
        for history in all.histories() {
            for a in history.items {
                for b in history.items {
                    gram[*a as usize][*b as usize] += 1.0;
                }
            }
        }
        for (place, row) in gram.iter_mut().enumerate() {
            row[place] += 0.7;
        }
        let p = inverse(gram);
        for (from, row) in p.iter().enumerate() {
            for (to, value) in row.iter().enumerate() {
                let wanted = if from == to { 0.0 } else { -value / p[to][to] };
                let weight = f64::from(ease.weight(from as u32, to as u32));
                assert!(
                    (weight - wanted).abs() < 1e-6,
                    "{from} {to}: {weight} {wanted}"
                );
            }
        }
    }

    #[test]
    fn discounts_are_a_fit_to_users_and_films_scaled() {
        let all = matrix(3, &[&[0, 1], &[0, 1, 2], &[0], &[0, 2]]);
        let settings = EaseSettings {
            regularization: 2.0,
            user_discount: 0.3,
            item_discount: 0.4,
            ..EaseSettings::default()
        };
        let ease = Ease::fit(&all, &settings).expect("fits");
        let counts = [4.0, 2.0, 2.0_f64];
        let scale = counts.map(|count| (count / (8.0 / 3.0)).powf(-0.4));
        let mut gram = vec![vec![0.0; 3]; 3];
        for history in all.histories() {
            let share = (history.len() as f64).powf(-0.6);
            for a in history.items.iter().map(|a| *a as usize) {
                for b in history.items.iter().map(|b| *b as usize) {
                    gram[a][b] += share * scale[a] * scale[b];
                }
            }
        }
        let diagonal: f64 = (0..3).map(|place| gram[place][place]).sum();
        for (place, row) in gram.iter_mut().enumerate() {
            row[place] += 2.0 * diagonal / 8.0;
        }
        let p = inverse(gram);
        for (from, to) in [(0, 1), (1, 0), (2, 1), (0, 2)] {
            let wanted = -scale[from] * p[from][to] / p[to][to];
            let weight = f64::from(ease.weight(from as u32, to as u32));
            assert!(
                (weight - wanted).abs() < 1e-6,
                "{from} {to}: {weight} {wanted}"
            );
        }
    }

    #[test]
    fn films_beyond_the_most_interacted_and_those_of_nobody_score_nothing() {
        let all = matrix(4, &[&[0, 1, 2], &[0, 1], &[0, 1], &[0, 2]]);
        let settings = EaseSettings {
            max_items: 2,
            ..EaseSettings::plain(1.0)
        };
        let ease = Ease::fit(&all, &settings).expect("fits");
        let mut scores = [9.0; 4];
        ease.score(all.history(0), &mut scores);
        assert!(scores[0] > 0.0 && scores[1] > 0.0, "{scores:?}");
        assert_eq!(scores[2..], [0.0, 0.0]);
    }

    #[test]
    fn the_same_bits_on_one_thread_and_on_three() {
        let all = crate::testing::tastes(300, 120);
        let fit = || Ease::fit(&all, &EaseSettings::default()).expect("fits");
        assert!(on_threads(1, fit) == on_threads(3, fit));
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let all = matrix(2, &[&[0, 1]]);
        for regularization in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Ease::fit(&all, &EaseSettings::plain(regularization)).is_err());
        }
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_score(all in interactions()) {
            let ease = Ease::fit(&all, &EaseSettings::default()).expect("fits");
            contributions_add_up(&ease, &all)?;
        }
    }
}
