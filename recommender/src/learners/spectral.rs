//! What is left of a user's films when only the broadest tastes are looked at.

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
    factors::{cosine, product, similar_by_cosine},
};
use crate::{Contribution, Explanation, History, Interactions, Scorer};

/// How the low-pass filter is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpectralSettings {
    /// k: how many tastes are kept; 1 to 1024.
    pub dimensions: usize,
    /// α: each film is scaled by its number of users to the power −α, in and out; 0 to 1.
    pub item_discount: f64,
    /// β: each user is scaled by their number of films to the power −β; 0 to 1.
    pub user_discount: f64,
    /// Rounds of the power method; each brings the tastes nearer to the exact ones.
    pub rounds: usize,
    /// What the first guess is drawn from.
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
/// singular vectors of `R` with the greatest singular values, scores are `x D^{−α} Q Qᵀ`. There films
/// are scaled up again by their popularity at the end; here they are not, since in a blend this model
/// is for what the others see too little of.
///
/// `Q` is found by randomized subspace iteration: Halko, Martinsson and Tropp, *Finding Structure with
/// Randomness*, SIAM Review 2011, algorithm 4.4, with 16 directions to spare and a Rayleigh–Ritz step.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectral {
    items: usize,
    dimensions: usize,
    /// `Qᵀ`, a film after another.
    factors: Vec<f32>,
    /// `D^{−α}`.
    scales: Vec<f32>,
}

const SPARE: usize = 16;

impl Spectral {
    /// Fits to `interactions`, on all threads of the current pool. The same input gives the same bits,
    /// on however many threads. There are fewer dimensions than asked for where there are fewer films.
    ///
    /// # Errors
    /// A setting out of its range.
    pub fn fit(interactions: &Interactions, settings: &SpectralSettings) -> Result<Self, FitError> {
        let SpectralSettings {
            dimensions,
            item_discount,
            user_discount,
            rounds,
            seed,
        } = *settings;
        let unit = 0.0..=1.0;
        FitError::check(
            "dimensions",
            dimensions as f64,
            "1 to 1024",
            (1..=1024).contains(&dimensions),
        )?;
        FitError::check(
            "item_discount",
            item_discount,
            "0 to 1",
            unit.contains(&item_discount),
        )?;
        FitError::check(
            "user_discount",
            user_discount,
            "0 to 1",
            unit.contains(&user_discount),
        )?;

        let items = interactions.items();
        let dimensions = dimensions.min(items);
        let width = (dimensions + SPARE).min(items);
        let by_item = interactions.transpose();
        let power = |all: &Interactions, exponent: f64| -> Vec<f32> {
            all.histories()
                .map(|history| (history.len().max(1) as f64).powf(exponent) as f32)
                .collect()
        };
        let scales = power(&by_item, -item_discount);
        let user_scales = power(interactions, -user_discount);
        if dimensions == 0 {
            return Ok(Self {
                items,
                dimensions,
                factors: Vec::new(),
                scales,
            });
        }

        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let guess: Vec<f32> = (0..items * width)
            .map(|_| StandardNormal.sample(&mut rng))
            .collect();
        let mut basis = orthonormal(&guess, width);
        let mut users = vec![0.0; interactions.users() * width];
        let mut image = vec![0.0; items * width];
        for _ in 0..=rounds {
            multiply(
                interactions,
                &user_scales,
                &scales,
                &basis,
                width,
                &mut users,
            );
            multiply(&by_item, &scales, &user_scales, &users, width, &mut image);
            basis = orthonormal(&image, width);
        }
        multiply(
            interactions,
            &user_scales,
            &scales,
            &basis,
            width,
            &mut users,
        );
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
        Ok(Self {
            items,
            dimensions,
            factors,
            scales,
        })
    }

    /// With the places `factors` of `items` films among the tastes, one after another, and `scales`, one
    /// a film.
    ///
    /// # Errors
    /// Numbers that are too few, too many or not finite.
    pub fn from_factors(
        items: usize,
        dimensions: usize,
        factors: Vec<f32>,
        scales: Vec<f32>,
    ) -> Result<Self, FitError> {
        FitError::check_count("spectral.factors", factors.len(), items * dimensions)?;
        FitError::check_count("spectral.scales", scales.len(), items)?;
        FitError::check_all("spectral.factors", &factors)?;
        FitError::check_all("spectral.scales", &scales)?;
        Ok(Self {
            items,
            dimensions,
            factors,
            scales,
        })
    }

    /// How many tastes there are.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Films' places among the tastes, one after another.
    #[must_use]
    pub fn factors(&self) -> &[f32] {
        &self.factors
    }

    /// What each film is scaled by.
    #[must_use]
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    fn factor(&self, item: u32) -> &[f32] {
        &self.factors[item as usize * self.dimensions..][..self.dimensions]
    }

    fn known<'a>(&self, history: History<'a>) -> impl Iterator<Item = (u32, f32)> + use<'a, '_> {
        let scaled = move |(item, weight)| match self.scales.get(item as usize) {
            Some(scale) => (item, weight * scale),
            None => (item, 0.0),
        };
        (0..history.len()).map(move |place| scaled((history.items[place], history.weights[place])))
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
/// thread: how many share the work would show in the last bits.
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
        for (item, weight) in self.known(history).filter(|(_, weight)| *weight > 0.0) {
            for (sum, value) in taste.iter_mut().zip(self.factor(item)) {
                *sum += weight * value;
            }
        }
        matmul(
            MatMut::from_row_major_slice_mut(scores, self.items, 1),
            Accum::Replace,
            MatRef::from_row_major_slice(&self.factors, self.items, self.dimensions),
            MatRef::from_column_major_slice(&taste, self.dimensions, 1),
            1.0,
            Par::Seq,
        );
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        let direction = self.factor(item);
        Explanation {
            base: 0.0,
            contributions: self
                .known(history)
                .map(|(from, weight)| {
                    let amount = if weight > 0.0 {
                        weight * product(direction, self.factor(from))
                    } else {
                        0.0
                    };
                    Contribution { item: from, amount }
                })
                .collect(),
        }
    }

    /// By the cosine of the films' places among the tastes.
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
    fn with_every_dimension_only_the_scaling_is_left() {
        let all = matrix(4, &[&[0, 1], &[0, 1, 2], &[1, 2, 3], &[0, 3], &[3]]);
        let spectral = Spectral::fit(&all, &SpectralSettings::default()).expect("fits");
        let mut scores = [0.0; 4];
        spectral.score(all.history(0), &mut scores);
        // Q is square then, and QQᵀ the identity: 3 users have the first film and 3 the second.
        let own = 1.0 / 3_f32.sqrt();
        for (score, wanted) in scores.iter().zip([own, own, 0.0, 0.0]) {
            assert!((score - wanted).abs() < 1e-5, "{scores:?}");
        }
    }

    #[test]
    fn the_directions_kept_are_those_with_most_in_them() {
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
    fn the_same_bits_on_one_thread_and_on_three() {
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
