//! The ideal low-pass graph filter: histories projected on the dominant singular vectors of the interactions.

use faer::{
    Accum, Conj, Mat, MatMut, MatRef, Par,
    diag::Diag,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{evd, householder, matmul::matmul, qr::no_pivoting::factor},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::{
    FitError,
    factors::{RoundedFactors, cosine, explain_by_products, similar_by_cosine},
};
use crate::{Explanation, History, Interactions, Scorer};

/// The settings of [`Spectral`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectralSettings {
    /// k: the number of singular vectors; 1 to 1024.
    pub dimensions: usize,
    /// α: each item is scaled by its number of users to the power −α; 0 to 1.
    pub item_discount: f64,
    /// β: each user is scaled by their number of items to the power −β; 0 to 1.
    pub user_discount: f64,
    /// Rounds of subspace iteration; more are more exact.
    pub rounds: usize,
    /// The seed of the initial basis.
    pub seed: u64,
}

impl Default for SpectralSettings {
    fn default() -> Self {
        Self {
            dimensions: 128,
            item_discount: 0.5,
            user_discount: 0.5,
            rounds: 8,
            seed: 1,
        }
    }
}

/// The ideal low-pass filter of Shen, Wu, Zhang, Shan, Zhang, Letaief and Li, *How Powerful is Graph
/// Convolution for Recommendation?*, CIKM 2021 (GF-CF): with `R = U^{−β} X D^{−α}` and `Q` the k right
/// singular vectors of `R` with the greatest singular values, scores are `x D^{−α} Q Qᵀ`. GF-CF
/// scales items by their popularity again at the end; this model does not, since it complements others in a blend.
///
/// `Q` is found by randomized subspace iteration: Halko, Martinsson and Tropp, *Finding Structure with
/// Randomness*, SIAM Review 2011, algorithm 4.4, with 16 oversampled directions and a Rayleigh–Ritz step.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectral {
    items: usize,
    pub(crate) dimensions: usize,
    /// `Q`, row-major: items × k, as `rounded`.
    pub(crate) factors: Vec<f32>,
    rounded: RoundedFactors,
    /// `D^{−α}`.
    pub(crate) scales: Vec<f32>,
}

const OVERSAMPLING: usize = 16;

impl Spectral {
    /// Fits to `interactions` on the current rayon pool. The result does not depend on the number of threads. There are
    /// at most as many dimensions as items.
    ///
    /// # Errors
    /// [`FitError::Setting`] if a setting is out of its range.
    pub fn fit(interactions: &Interactions, settings: &SpectralSettings) -> Result<Self, FitError> {
        let SpectralSettings {
            dimensions,
            item_discount,
            user_discount,
            rounds,
            seed,
        } = *settings;
        FitError::check(
            "dimensions",
            dimensions as f64,
            "1 to 1024",
            (1..=1024).contains(&dimensions),
        )?;
        FitError::check_unit("item_discount", item_discount)?;
        FitError::check_unit("user_discount", user_discount)?;

        let items = interactions.items();
        let dimensions = dimensions.min(items);
        let width = (dimensions + OVERSAMPLING).min(items);
        let by_item = interactions.transpose();
        let power = |all: &Interactions, exponent: f64| -> Vec<f32> {
            all.histories()
                .map(|history| (history.len().max(1) as f64).powf(exponent) as f32)
                .collect()
        };
        let scales = power(&by_item, -item_discount);
        let user_scales = power(interactions, -user_discount);
        if dimensions == 0 {
            return Self::from_factors(items, dimensions, Vec::new(), scales);
        }

        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let guess: Vec<f32> = (0..items * width)
            .map(|_| StandardNormal.sample(&mut rng))
            .collect();
        let mut basis = orthonormal(&guess, width);
        let mut users = vec![0.0; interactions.users() * width];
        let mut image = vec![0.0; items * width];
        let project = |basis: &[f32], users: &mut [f32]| {
            multiply(interactions, &user_scales, &scales, basis, width, users);
        };
        for _ in 0..=rounds {
            project(&basis, &mut users);
            multiply(&by_item, &scales, &user_scales, &users, width, &mut image);
            basis = orthonormal(&image, width);
        }
        project(&basis, &mut users);
        let rotation = principal(&users, width, dimensions)?;
        let mut factors = vec![0.0; items * dimensions];
        matmul(
            MatMut::from_row_major_slice_mut(&mut factors, items, dimensions),
            Accum::Replace,
            MatRef::from_row_major_slice(&basis, items, width),
            rotation.as_ref(),
            1.0,
            Par::Seq,
        );
        Self::from_factors(items, dimensions, factors, scales)
    }

    /// A model of `items` items with these `factors`, row-major: items × `dimensions`, which it rounds to 8 bits with a
    /// scale for each row, and `scales`, one per item.
    ///
    /// # Errors
    /// [`FitError::Setting`] if there is a wrong number of values or one is not finite.
    pub fn from_factors(
        items: usize,
        dimensions: usize,
        mut factors: Vec<f32>,
        scales: Vec<f32>,
    ) -> Result<Self, FitError> {
        FitError::check_count("spectral.factors", factors.len(), items * dimensions)?;
        FitError::check_count("spectral.scales", scales.len(), items)?;
        FitError::check_all("spectral.factors", &factors)?;
        FitError::check_all("spectral.scales", &scales)?;
        Ok(Self {
            items,
            dimensions,
            rounded: RoundedFactors::new(&mut factors, items, dimensions),
            factors,
            scales,
        })
    }

    fn factor(&self, item: u32) -> &[f32] {
        &self.factors[item as usize * self.dimensions..][..self.dimensions]
    }

    /// The scale of `item`; 0 if it is not covered.
    fn scale(&self, item: u32) -> f32 {
        self.scales.get(item as usize).copied().unwrap_or_default()
    }
}

/// `product = left · matrix · right · vectors`, for diagonal `left` and `right`, rows of `width`.
fn multiply(
    matrix: &Interactions,
    left: &[f32],
    right: &[f32],
    vectors: &[f32],
    width: usize,
    product: &mut [f32],
) {
    product
        .par_chunks_mut(width)
        .enumerate()
        .for_each(|(row, sums)| {
            sums.fill(0.0);
            for (column, weight) in matrix.history(row).iter() {
                let column = column as usize;
                let scale = left[row] * right[column] * weight;
                for (sum, value) in sums.iter_mut().zip(&vectors[column * width..][..width]) {
                    *sum += scale * value;
                }
            }
        });
}

/// An orthonormal basis of the columns of a matrix with rows of `width`, at least as many. On one
/// thread, since the last bits depend on the number of threads.
fn orthonormal(rows: &[f32], width: usize) -> Vec<f32> {
    let count = rows.len() / width;
    let mut matrix = Mat::from_fn(count, width, |row, column| rows[row * width + column]);
    let block = factor::recommended_block_size::<f32>(count, width);
    let mut coefficients = Mat::zeros(block, width);
    let mut buffer = MemBuffer::new(
        factor::qr_in_place_scratch::<f32>(count, width, block, Par::Seq, Default::default()).or(
            householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<f32>(
                count, block, width,
            ),
        ),
    );
    let stack = MemStack::new(&mut buffer);
    factor::qr_in_place(
        matrix.as_mut(),
        coefficients.as_mut(),
        Par::Seq,
        stack,
        Default::default(),
    );
    let mut basis = Mat::<f32>::identity(count, width);
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        matrix.as_ref(),
        coefficients.as_ref(),
        Conj::No,
        basis.as_mut(),
        Par::Seq,
        stack,
    );
    let mut rows = vec![0.0; rows.len()];
    for (row, values) in rows.chunks_mut(width).enumerate() {
        for (column, value) in values.iter_mut().enumerate() {
            *value = basis[(row, column)];
        }
    }
    rows
}

/// The `keep` eigenvectors of `rowsᵀ rows` with the greatest eigenvalues, width × keep. On one thread,
/// as [`orthonormal`].
fn principal(rows: &[f32], width: usize, keep: usize) -> Result<Mat<f32>, FitError> {
    let rows = MatRef::from_row_major_slice(rows, rows.len() / width, width);
    let mut gram = Mat::<f32>::zeros(width, width);
    matmul(
        gram.as_mut(),
        Accum::Replace,
        rows.transpose(),
        rows,
        1.0,
        Par::Seq,
    );
    let mut values = Diag::<f32>::zeros(width);
    let mut vectors = Mat::<f32>::zeros(width, width);
    evd::self_adjoint_evd(
        gram.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(evd::self_adjoint_evd_scratch::<f32>(
            width,
            evd::ComputeEigenvectors::Yes,
            Par::Seq,
            Default::default(),
        ))),
        Default::default(),
    )
    .map_err(|_| FitError::Singular)?;
    // Eigenvalues ascend.
    Ok(vectors.subcols(width - keep, keep).to_owned())
}

impl Scorer for Spectral {
    fn items(&self) -> usize {
        self.items
    }

    fn score(&self, history: History<'_>, scores: &mut [f32]) {
        if self.items == 0 {
            return;
        }
        let mut taste = vec![0.0; self.dimensions];
        for (item, weight) in history.iter() {
            let weight = weight * self.scale(item);
            if weight > 0.0 {
                for (sum, value) in taste.iter_mut().zip(self.factor(item)) {
                    *sum += weight * value;
                }
            }
        }
        self.rounded.score(&taste, scores);
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        self.explain_all(history, &[item]).remove(0)
    }

    fn explain_all(&self, history: History<'_>, items: &[u32]) -> Vec<Explanation> {
        let directions = items.iter().flat_map(|item| self.factor(*item));
        let directions: Vec<f32> = directions.copied().collect();
        let vector = |item: u32, weight: f32| {
            let weight = weight * self.scale(item);
            (weight > 0.0).then(|| (self.factor(item), weight))
        };
        explain_by_products(history, (&directions, items.len()), self.dimensions, vector)
    }

    /// By the cosine of the factors.
    fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        similar_by_cosine(&self.factors, self.dimensions, item, places)
    }

    fn similarity(&self, one: u32, other: u32) -> Option<f32> {
        cosine(&self.factors, self.dimensions, one, other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{contributions_add_up, interactions, matrix, on_threads, tastes};

    #[test]
    fn with_all_dimensions_the_filter_is_the_scaling_alone() {
        let all = matrix(4, &[&[0, 1], &[0, 1, 2], &[1, 2, 3], &[0, 3], &[3]]);
        let spectral = Spectral::fit(&all, &SpectralSettings::default()).expect("fits");
        let mut scores = [0.0; 4];
        spectral.score(all.history(0), &mut scores);
        // Q is square then, and QQᵀ the identity but for the rounding of Q to 8 bits: 3 users have the first film and 3 the
        // second.
        let own = 1.0 / 3_f32.sqrt();
        for (score, wanted) in scores.iter().zip([own, own, 0.0, 0.0]) {
            assert!((score - wanted).abs() < 1e-2, "{scores:?}");
        }
    }

    #[test]
    fn the_dominant_directions_are_kept() {
        // Two tastes that share no film: the two greatest singular vectors part the films.
        let all = tastes(80, 40);
        let settings = SpectralSettings {
            dimensions: 2,
            ..SpectralSettings::default()
        };
        let spectral = Spectral::fit(&all, &settings).expect("fits");
        let newcomer = History {
            items: &[0, 2],
            weights: &[1.0; 2],
        };
        let mut scores = vec![0.0; 40];
        spectral.score(newcomer, &mut scores);
        let mean = |odd: usize| scores.iter().skip(odd).step_by(2).sum::<f32>() / 20.0;
        assert!(
            mean(0) > 0.01 && mean(0) > 3.0 * mean(1).abs(),
            "{} {}",
            mean(0),
            mean(1)
        );
    }

    #[test]
    fn the_result_does_not_depend_on_the_number_of_threads() {
        let all = tastes(300, 120);
        let fit = || Spectral::fit(&all, &SpectralSettings::default()).expect("fits");
        assert!(on_threads(1, fit) == on_threads(3, fit));
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_score(all in interactions()) {
            let spectral = Spectral::fit(&all, &SpectralSettings::default()).expect("fits");
            contributions_add_up(&spectral, &all)?;
        }
    }
}
