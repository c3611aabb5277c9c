//! Sparse weights of the items beyond those that the dense inverse covers.
//!
//! The inverse `P` of the Gram matrix is that of a Gaussian Markov random field: Steck, *Markov Random Fields for
//! Collaborative Filtering*, NeurIPS 2019, approximates it by the inverses of small submatrices. Here each item `j` beyond
//! the dense ones is regressed on its M neighbors `N`, the items with the highest cosine in the Gram matrix `A` (with the
//! ridge on its diagonal):
//!
//! ```text
//! b = A_NN⁻¹ A_Nj,    r = A_jj − A_jN b,    P_jj = 1 / r,    P_Nj = −b / r
//! ```
//!
//! `b` are the weights for the score of `j`. As `P` is symmetric, `P_Nj` also has the weights of `j` for the scores of
//! dense items; their own block of `P` gets `b bᵀ / r` in addition, by the inverse of a block matrix (Schur complement)
//! in which items that are not neighbors are independent of each other given the dense ones.
//!
//! O(t · M³) for t such items, and their rows of the Gram matrix once per batch of items.

use faer::{
    Mat, MatMut, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::cholesky::llt,
};
use rayon::prelude::*;

use super::SparseWeights;
use crate::{FitError, Interactions};

/// The Gram matrix `D^{−α} Xᵀ U^{−2β} X D^{−α}`, by rows that are computed when they are needed.
pub(super) struct Gram<'a> {
    pub(super) interactions: &'a Interactions,
    /// Items × users.
    pub(super) users: &'a Interactions,
    /// The share of each user.
    pub(super) shares: &'a [f64],
    /// The scale of each item; 0 if it is not covered.
    pub(super) scales: &'a [f64],
    /// The diagonal with the ridge.
    pub(super) diagonal: &'a [f64],
}

impl Gram<'_> {
    /// The diagonal without a ridge.
    pub(super) fn diagonal(users: &Interactions, shares: &[f64], scales: &[f64]) -> Vec<f64> {
        let square = |(user, weight): (u32, f32)| shares[user as usize] * f64::from(weight).powi(2);
        let row = |(item, scale): (usize, &f64)| {
            let sum: f64 = users.history(item).iter().map(square).sum();
            sum * scale * scale
        };
        scales
            .par_iter()
            .enumerate()
            .map(|(item, scale)| row((item, scale)))
            .collect()
    }

    /// The lower triangle between `columns`, whose places are `places`, with the ridge, in column-major order.
    pub(super) fn block(&self, places: &[u32], columns: &[u32]) -> Vec<f64> {
        let size = columns.len();
        let mut block = vec![0.0_f64; size * size];
        block
            .par_chunks_mut(size.max(1))
            .zip(columns)
            .enumerate()
            .for_each(|(place, (sums, column))| {
                for (user, weight) in self.users.history(*column as usize).iter() {
                    let user = user as usize;
                    let share = self.shares[user] * f64::from(weight);
                    let history = self.interactions.history(user);
                    // Ascending, so items from this one on are at the end.
                    for (item, weight) in
                        history.iter().rev().take_while(|(item, _)| item >= column)
                    {
                        if let Some(sum) = sums.get_mut(places[item as usize] as usize) {
                            *sum += share * f64::from(weight);
                        }
                    }
                }
                let scale = self.scales[*column as usize];
                for (value, other) in sums.iter_mut().zip(columns) {
                    *value *= scale * self.scales[*other as usize];
                }
                sums[place] = self.diagonal[*column as usize];
            });
        block
    }

    /// Writes the row of `item` to `row`: its values and the columns that have one. `row` is cleared before.
    fn write_row(&self, item: u32, row: &mut Row) {
        row.clear();
        let own = self.scales[item as usize];
        for (user, weight) in self.users.history(item as usize).iter() {
            let share = self.shares[user as usize] * f64::from(weight) * own;
            for (other, weight) in self.interactions.history(user as usize).iter() {
                let scale = self.scales[other as usize];
                if scale == 0.0 {
                    continue;
                }
                let value = &mut row.values[other as usize];
                if *value == 0.0 {
                    row.columns.push(other);
                }
                *value += share * f64::from(weight) * scale;
            }
        }
    }
}

/// A row of the Gram matrix: all values, and the columns of those that are not 0.
struct Row {
    values: Vec<f64>,
    columns: Vec<u32>,
}

impl Row {
    fn new(items: usize) -> Self {
        Self {
            values: vec![0.0; items],
            columns: Vec::new(),
        }
    }

    fn clear(&mut self) {
        for column in self.columns.drain(..) {
            self.values[column as usize] = 0.0;
        }
    }
}

/// The dense block of the Gram matrix, without a ridge.
pub(super) struct Head<'a> {
    /// Column → place in the block, or [`super::NOT_COVERED`].
    pub(super) places: &'a [u32],
    /// The lower triangle in column-major order.
    pub(super) gram: &'a [f32],
    /// The number of rows.
    pub(super) size: usize,
}

impl Head<'_> {
    fn place(&self, item: u32) -> Option<usize> {
        let place = self.places[item as usize];
        (place != super::NOT_COVERED).then_some(place as usize)
    }
}

/// The regression of one item on its neighbors.
pub(super) struct Regression {
    /// The item.
    pub(super) item: u32,
    /// Its neighbors, ascending.
    pub(super) neighbors: Vec<u32>,
    /// The weight of each neighbor, before it is scaled; until it is solved, its value in the Gram matrix.
    pub(super) weights: Vec<f64>,
    /// The residual variance `r`, above 0.
    pub(super) residual: f64,
}

/// The regressions of `items`, each on at most `most` neighbors, in batches that take `batch_bytes` of memory.
///
/// # Errors
/// [`FitError::Singular`] if the ridge is too weak.
pub(super) fn regress(
    gram: &Gram<'_>,
    head: &Head<'_>,
    items: &[u32],
    most: usize,
    batch_bytes: usize,
) -> Result<Vec<Regression>, FitError> {
    let columns = gram.scales.len();
    let mut all: Vec<Regression> = items
        .par_iter()
        .map_init(
            || Row::new(columns),
            |row, item| neighbors(gram, row, *item, most),
        )
        .collect();
    let batch = (batch_bytes / (4 * most * most).max(1)).max(1);
    for batch in all.chunks_mut(batch) {
        let (places, rows) = rows_of_neighbors(gram, head, batch);
        batch.par_iter_mut().zip(places).try_for_each_init(
            Solver::default,
            |solver, (one, places)| {
                let row = |place: usize| {
                    let (group, start) = places[place]?;
                    Some(&rows[group][start..][..one.neighbors.len()])
                };
                let matrix = solver.matrix(gram, head, &one.neighbors, row);
                let known = gram.diagonal[one.item as usize];
                one.residual = solve(matrix, &mut one.weights, known)?;
                Ok::<_, FitError>(())
            },
        )?;
    }
    Ok(all)
}

/// The at most `most` items with the highest cosine to `item`, with their values in its row.
fn neighbors(gram: &Gram<'_>, row: &mut Row, item: u32, most: usize) -> Regression {
    gram.write_row(item, row);
    let cosine = |other: u32| row.values[other as usize] / gram.diagonal[other as usize].sqrt();
    let mut others: Vec<(u32, f64)> = row
        .columns
        .iter()
        .filter(|other| **other != item && row.values[**other as usize] > 0.0)
        .map(|other| (*other, cosine(*other)))
        .collect();
    if most < others.len() {
        others.select_nth_unstable_by(most, |a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        others.truncate(most);
    }
    others.sort_unstable_by_key(|(other, _)| *other);
    let neighbors: Vec<u32> = others.into_iter().map(|(other, _)| other).collect();
    Regression {
        item,
        weights: neighbors
            .iter()
            .map(|other| row.values[*other as usize])
            .collect(),
        neighbors,
        residual: 0.0,
    }
}

/// For each neighbor of each item of a batch that is not in the dense block: where the values of its row at all neighbors of
/// that item are, and these values.
type RowsOfNeighbors = (Vec<Vec<Option<(usize, usize)>>>, Vec<Vec<f32>>);

fn rows_of_neighbors(gram: &Gram<'_>, head: &Head<'_>, batch: &[Regression]) -> RowsOfNeighbors {
    let mut uses: Vec<(u32, usize, usize)> = Vec::new();
    for (one, regression) in batch.iter().enumerate() {
        for (place, neighbor) in regression.neighbors.iter().enumerate() {
            if head.place(*neighbor).is_none() {
                uses.push((*neighbor, one, place));
            }
        }
    }
    uses.sort_unstable();
    let groups: Vec<&[(u32, usize, usize)]> = uses.chunk_by(|a, b| a.0 == b.0).collect();
    let rows = groups
        .par_iter()
        .map_init(
            || Row::new(gram.scales.len()),
            |row, group| {
                gram.write_row(group[0].0, row);
                let wanted = group.iter().flat_map(|(_, one, _)| &batch[*one].neighbors);
                wanted
                    .map(|other| row.values[*other as usize] as f32)
                    .collect()
            },
        )
        .collect();
    let mut places: Vec<Vec<Option<(usize, usize)>>> = batch
        .iter()
        .map(|regression| vec![None; regression.neighbors.len()])
        .collect();
    for (number, group) in groups.iter().enumerate() {
        let mut start = 0;
        for (_, one, place) in *group {
            places[*one][*place] = Some((number, start));
            start += batch[*one].neighbors.len();
        }
    }
    (places, rows)
}

/// Adds `b bᵀ / r` of each regression to the lower triangle `inverse` of the items with dense weights.
pub(super) fn add_regressions(inverse: &mut Mat<f64>, regressions: &[Regression], places: &[u32]) {
    // Of each regression the places of its neighbors among these items, ascending, and their weights.
    let parts: Vec<Vec<(usize, f64)>> = regressions
        .iter()
        .map(|one| {
            let places = one.neighbors.iter().map(|item| places[*item as usize]);
            let dense = places
                .zip(&one.weights)
                .filter(|(place, _)| *place != super::NOT_COVERED);
            dense
                .map(|(place, weight)| (place as usize, *weight))
                .collect()
        })
        .collect();
    let mut uses: Vec<Vec<(usize, usize)>> = vec![Vec::new(); inverse.ncols()];
    for (one, part) in parts.iter().enumerate() {
        for (index, (place, _)) in part.iter().enumerate() {
            uses[*place].push((one, index));
        }
    }
    inverse
        .par_col_iter_mut()
        .zip(&uses)
        .for_each(|(mut column, uses)| {
            for &(one, index) in uses {
                let rows = &parts[one][index..];
                let factor = rows[0].1 / regressions[one].residual;
                for (row, weight) in rows {
                    column[*row] += factor * weight;
                }
            }
        });
}

/// The weights of `regressions` and, by the symmetry of the inverse, of their items for those that have the variance
/// `1 / P_ii` by `variance`.
pub(super) fn sparse_weights(
    items: usize,
    regressions: &[Regression],
    scales: &[f64],
    variance: impl Fn(u32) -> Option<f64>,
) -> SparseWeights {
    if regressions.is_empty() {
        return SparseWeights::default();
    }
    let mut pairs: Vec<(u32, u32, f32)> = Vec::new();
    for one in regressions {
        let scale = scales[one.item as usize];
        for (neighbor, weight) in one.neighbors.iter().zip(&one.weights) {
            let own = (scales[*neighbor as usize] * weight) as f32;
            pairs.push((*neighbor, one.item, own));
            if let Some(variance) = variance(*neighbor) {
                let back = (scale * weight * variance / one.residual) as f32;
                pairs.push((one.item, *neighbor, back));
            }
        }
    }
    pairs.par_sort_unstable_by_key(|(from, to, _)| (*from, *to));
    SparseWeights::from_pairs(items, pairs)
}

/// Buffers of one thread.
#[derive(Default)]
struct Solver {
    matrix: Vec<f64>,
}

impl Solver {
    /// The lower triangle of the Gram matrix of `neighbors` with the ridge, in column-major order; `row` has the values of
    /// those beyond the dense block.
    fn matrix<'a>(
        &mut self,
        gram: &Gram<'_>,
        head: &Head<'_>,
        neighbors: &[u32],
        row: impl Fn(usize) -> Option<&'a [f32]>,
    ) -> &mut [f64] {
        let size = neighbors.len();
        self.matrix.clear();
        self.matrix.resize(size * size, 0.0);
        let places: Vec<Option<usize>> = neighbors.iter().map(|one| head.place(*one)).collect();
        for (column, values) in self.matrix.chunks_mut(size.max(1)).enumerate() {
            values[column] = gram.diagonal[neighbors[column] as usize];
            let own = row(column);
            for other in column + 1..size {
                values[other] = f64::from(match (own, places[column], places[other]) {
                    (Some(own), ..) => own[other],
                    // Places ascend as columns do.
                    (None, Some(column), Some(other)) => head.gram[column * head.size + other],
                    _ => row(other).map_or(0.0, |other| other[column]),
                });
            }
        }
        &mut self.matrix
    }
}

/// Replaces the values `sides` by the weights, and returns the residual variance of an item with the variance `known`.
fn solve(matrix: &mut [f64], sides: &mut [f64], known: f64) -> Result<f64, FitError> {
    let size = sides.len();
    if size == 0 {
        return Ok(known);
    }
    let values = sides.to_vec();
    let mut buffer = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(
        size,
        Par::Seq,
        Default::default(),
    ));
    let stack = MemStack::new(&mut buffer);
    let mut matrix = MatMut::from_column_major_slice_mut(matrix, size, size);
    llt::factor::cholesky_in_place(
        matrix.as_mut(),
        Default::default(),
        Par::Seq,
        stack,
        Default::default(),
    )
    .map_err(|_| FitError::Singular)?;
    llt::solve::solve_in_place(
        matrix.as_ref(),
        MatMut::from_column_major_slice_mut(sides, size, 1),
        Par::Seq,
        stack,
    );
    let explained: f64 = values
        .iter()
        .zip(&*sides)
        .map(|(value, weight)| value * weight)
        .sum();
    let residual = known - explained;
    if residual > 0.0 {
        Ok(residual)
    } else {
        Err(FitError::Singular)
    }
}
