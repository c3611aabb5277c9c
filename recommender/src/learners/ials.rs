//! iALS: matrix factorization of implicit feedback by alternating least squares.

use faer::{
    Accum, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        cholesky::llt,
        matmul::triangular::{self, BlockStructure},
    },
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::{
    FitError,
    factors::{RoundedFactors, cosine, explain_by_products, similar_by_cosine},
};
use crate::{Explanation, History, Interactions, Scorer};

/// The settings of [`Ials`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IalsSettings {
    /// d: the dimension of factors; 1 to 2048.
    pub dimensions: usize,
    /// The number of epochs, in each of which all factors are solved for; 1 and up.
    pub epochs: usize,
    /// α₀: the weight of an unobserved pair of user and item; above 0.
    pub unobserved_weight: f64,
    /// λ: the regularization; above 0.
    pub regularization: f64,
    /// ν: the exponent of the frequency of a user or item in its regularization; 0 to 1. The results of the paper have 1.
    pub frequency_exponent: f64,
    /// σ: initial factors are normal with standard deviation σ/√d; above 0.
    pub initial_deviation: f64,
    /// The seed of the initial factors.
    pub seed: u64,
}

impl Default for IalsSettings {
    fn default() -> Self {
        Self {
            dimensions: 128,
            epochs: 8,
            unobserved_weight: 0.3,
            regularization: 0.007,
            frequency_exponent: 1.0,
            initial_deviation: 0.1,
            seed: 1,
        }
    }
}

/// Rendle, Krichene, Zhang and Koren, *Revisiting the Performance of iALS on Item Recommendation
/// Benchmarks*, RecSys 2022 (arXiv 2110.14037): with vectors `w` of users and `h` of items, minimizes
///
/// `Σ_{(u,i) seen} (wᵤ·hᵢ − 1)² + α₀ Σ_{u,i} (wᵤ·hᵢ)² + λ (Σ_u (nᵤ + α₀ I)^ν |wᵤ|² + Σ_i (nᵢ + α₀ U)^ν |hᵢ|²)`
///
/// for U users and I items, where user u has nᵤ items and item i has nᵢ users, by solving for all users,
/// then for all items, in turn. Interactions with a weight count that often. The factor of a user is
/// solved for from their history whenever they are scored, so that new users and new interactions need no new fit.
///
/// The explanation of a score is that of Hu, Koren and Volinsky, *Collaborative Filtering for Implicit
/// Feedback Datasets*, ICDM 2008, section 5: a user's vector is linear in what they did.
#[derive(Debug, Clone, PartialEq)]
pub struct Ials {
    pub(crate) settings: IalsSettings,
    items: usize,
    /// The item factors, row-major: items × d, as `rounded`.
    pub(crate) factors: Vec<f32>,
    rounded: RoundedFactors,
    /// α₀ HᵀH, lower triangle, column-major.
    prior: Vec<f32>,
}

/// The number of factors in a block of the matrix product.
const BLOCK: usize = 256;

impl Ials {
    /// Fits to `interactions` on the current rayon pool; O(interactions · d² + (users + items) · d³) per epoch. The
    /// result does not depend on the number of threads.
    ///
    /// # Errors
    /// [`FitError::Setting`] if a setting is out of its range, [`FitError::Singular`] if the regularization is too weak.
    pub fn fit(interactions: &Interactions, settings: &IalsSettings) -> Result<Self, FitError> {
        Self::fit_watched(interactions, settings, |_, _, _| {})
    }

    /// As [`Ials::fit`]; after each epoch `watch` gets its number, from 1, the user factors that the item factors were
    /// solved with, and the item factors.
    ///
    /// # Errors
    /// As [`Ials::fit`].
    pub fn fit_watched(
        interactions: &Interactions,
        settings: &IalsSettings,
        mut watch: impl FnMut(usize, &[f32], &[f32]),
    ) -> Result<Self, FitError> {
        check(settings)?;
        let dimensions = settings.dimensions;
        let by_item = interactions.transpose();
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let deviation = settings.initial_deviation / (dimensions as f64).sqrt();
        let draw = |rng: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(rng) };
        let mut users = vec![0.0; interactions.users() * dimensions];
        let mut items: Vec<f32> = (0..interactions.items() * dimensions)
            .map(|_| (deviation * draw(&mut rng)) as f32)
            .collect();
        for epoch in 1..=settings.epochs {
            solve_all(settings, interactions, &items, &mut users)?;
            solve_all(settings, &by_item, &users, &mut items)?;
            watch(epoch, &users, &items);
        }
        Self::from_factors(interactions.items(), items, settings)
    }

    /// A model of `items` items with these `factors`, row-major, which it rounds to 8 bits with a scale for each row, and
    /// the settings that users are folded in with.
    ///
    /// # Errors
    /// [`FitError::Setting`] if a setting is out of its range, or factors have the wrong number or are not finite.
    pub fn from_factors(
        items: usize,
        mut factors: Vec<f32>,
        settings: &IalsSettings,
    ) -> Result<Self, FitError> {
        check(settings)?;
        let dimensions = settings.dimensions;
        FitError::check_count("ials.factors", factors.len(), items * dimensions)?;
        FitError::check_all("ials.factors", &factors)?;
        let rounded = RoundedFactors::new(&mut factors, items, dimensions);
        let mut prior = vec![0.0; dimensions * dimensions];
        add_gram(&factors, settings.unobserved_weight, dimensions, &mut prior);
        FitError::check_all("ials.factors, squared", &prior)?;
        Ok(Self {
            settings: *settings,
            items,
            factors,
            rounded,
            prior,
        })
    }

    /// The factor of a user with this history; O(h · d² + d³).
    #[must_use]
    pub fn fold_in(&self, history: History<'_>) -> Vec<f32> {
        let mut vector = vec![0.0; self.settings.dimensions];
        // Prior and ridge are positive definite as in the fit; if rounding breaks that, the user is treated as unknown.
        if self.equations(history).solve(&mut vector).is_err() {
            vector.fill(0.0);
        }
        vector
    }

    fn equations(&self, history: History<'_>) -> Equations {
        let mut equations = Equations::new(self.settings.dimensions);
        let known = history
            .iter()
            .filter(|(item, _)| (*item as usize) < self.items);
        equations.set(&self.prior, &self.factors, known);
        equations.add_ridge(&self.settings, self.items);
        equations
    }

    /// The factor of `item`.
    #[must_use]
    pub fn factor(&self, item: u32) -> &[f32] {
        let dimensions = self.settings.dimensions;
        &self.factors[item as usize * dimensions..][..dimensions]
    }
}

fn check(settings: &IalsSettings) -> Result<(), FitError> {
    let IalsSettings {
        dimensions,
        epochs,
        unobserved_weight,
        regularization,
        frequency_exponent,
        initial_deviation,
        seed: _,
    } = *settings;
    FitError::check(
        "dimensions",
        dimensions as f64,
        "1 to 2048",
        (1..=2048).contains(&dimensions),
    )?;
    FitError::check("epochs", epochs as f64, "1 and up", epochs > 0)?;
    FitError::check_positive("unobserved_weight", unobserved_weight)?;
    FitError::check_positive("regularization", regularization)?;
    FitError::check_unit("frequency_exponent", frequency_exponent)?;
    FitError::check_positive("initial_deviation", initial_deviation)
}

/// Adds `scale · Σ v vᵀ` over all vectors to the lower half of `gram`.
fn add_gram(vectors: &[f32], scale: f64, dimensions: usize, gram: &mut [f32]) {
    for vectors in vectors.chunks(BLOCK * dimensions) {
        add_product(gram, vectors, scale as f32, dimensions);
    }
}

/// Adds `scale · Σ v vᵀ` to the lower half of `gram`, for vectors one after another.
fn add_product(gram: &mut [f32], vectors: &[f32], scale: f32, dimensions: usize) {
    let vectors = MatRef::from_column_major_slice(vectors, dimensions, vectors.len() / dimensions);
    triangular::matmul(
        MatMut::from_column_major_slice_mut(gram, dimensions, dimensions),
        BlockStructure::TriangularLower,
        Accum::Add,
        vectors,
        BlockStructure::Rectangular,
        vectors.transpose(),
        BlockStructure::Rectangular,
        scale,
        Par::Seq,
    );
}

/// Solves for the factor of every row of `interactions`, given those of its columns.
fn solve_all(
    settings: &IalsSettings,
    interactions: &Interactions,
    others: &[f32],
    solved: &mut [f32],
) -> Result<(), FitError> {
    let dimensions = settings.dimensions;
    let mut prior = vec![0.0; dimensions * dimensions];
    add_gram(others, settings.unobserved_weight, dimensions, &mut prior);
    solved
        .par_chunks_mut(dimensions)
        .enumerate()
        .try_for_each_init(
            || Equations::new(dimensions),
            |equations, (row, vector)| {
                equations.set(&prior, others, interactions.history(row).iter());
                equations.add_ridge(settings, interactions.items());
                equations.solve(vector)
            },
        )
}

/// The normal equations of one factor, with buffers to solve them.
struct Equations {
    dimensions: usize,
    /// Lower triangle, column-major.
    matrix: Vec<f32>,
    target: Vec<f32>,
    /// The total weight of the interactions.
    frequency: f64,
    gathered: Vec<f32>,
    buffer: MemBuffer,
}

impl Equations {
    fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            matrix: vec![0.0; dimensions * dimensions],
            target: vec![0.0; dimensions],
            frequency: 0.0,
            gathered: Vec::with_capacity(BLOCK * dimensions),
            buffer: MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f32>(
                dimensions,
                Par::Seq,
                Default::default(),
            )),
        }
    }

    /// `(prior + Σ c vvᵀ) w = Σ c v`, where c is the weight.
    fn set(&mut self, prior: &[f32], vectors: &[f32], history: impl Iterator<Item = (u32, f32)>) {
        self.matrix.copy_from_slice(prior);
        self.target.fill(0.0);
        self.frequency = 0.0;
        self.gathered.clear();
        for (column, weight) in history {
            let root = weight.sqrt();
            let vector = &vectors[column as usize * self.dimensions..][..self.dimensions];
            for (sum, value) in self.target.iter_mut().zip(vector) {
                *sum += weight * value;
            }
            self.frequency += f64::from(weight);
            self.gathered
                .extend(vector.iter().map(|value| root * value));
            if self.gathered.len() == BLOCK * self.dimensions {
                self.flush();
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        if !self.gathered.is_empty() {
            add_product(&mut self.matrix, &self.gathered, 1.0, self.dimensions);
            self.gathered.clear();
        }
    }

    /// Adds `λ (n + α₀ all)^ν` to the diagonal.
    fn add_ridge(&mut self, settings: &IalsSettings, all: usize) {
        let frequency = self.frequency + settings.unobserved_weight * all as f64;
        let ridge = settings.regularization * frequency.powf(settings.frequency_exponent);
        for value in self.matrix.iter_mut().step_by(self.dimensions + 1) {
            *value += ridge as f32;
        }
    }

    fn solve(&mut self, vector: &mut [f32]) -> Result<(), FitError> {
        vector.copy_from_slice(&self.target);
        self.solve_for(vector)
    }

    /// Replaces each vector of `vectors` by the solution with it as right-hand side. Overwrites the matrix.
    fn solve_for(&mut self, vectors: &mut [f32]) -> Result<(), FitError> {
        let size = self.dimensions;
        let count = vectors.len() / size;
        let stack = MemStack::new(&mut self.buffer);
        llt::factor::cholesky_in_place(
            MatMut::from_column_major_slice_mut(&mut self.matrix, size, size),
            Default::default(),
            Par::Seq,
            stack,
            Default::default(),
        )
        .map_err(|_| FitError::Singular)?;
        llt::solve::solve_in_place(
            MatRef::from_column_major_slice(&self.matrix, size, size),
            MatMut::from_column_major_slice_mut(vectors, size, count),
            Par::Seq,
            MemStack::new(&mut []),
        );
        if vectors.iter().all(|value| value.is_finite()) {
            Ok(())
        } else {
            Err(FitError::Singular)
        }
    }
}

impl Scorer for Ials {
    fn items(&self) -> usize {
        self.items
    }

    fn score(&self, history: History<'_>, scores: &mut [f32]) {
        if self.items == 0 {
            return;
        }
        let vector = self.fold_in(history);
        self.rounded.score(&vector, scores);
    }

    fn explain(&self, history: History<'_>, item: u32) -> Explanation {
        self.explain_all(history, &[item]).remove(0)
    }

    fn explain_all(&self, history: History<'_>, items: &[u32]) -> Vec<Explanation> {
        let mut directions: Vec<f32> = items
            .iter()
            .flat_map(|item| self.factor(*item))
            .copied()
            .collect();
        if self.equations(history).solve_for(&mut directions).is_err() {
            directions.fill(0.0);
        }
        let vector = |item: u32, weight| {
            let is_known = (item as usize) < self.items;
            is_known.then(|| (self.factor(item), weight))
        };
        let dimensions = self.settings.dimensions;
        explain_by_products(history, (&directions, items.len()), dimensions, vector)
    }

    /// By the cosine of the item factors.
    fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        similar_by_cosine(&self.factors, self.settings.dimensions, item, places)
    }

    fn similarity(&self, one: u32, other: u32) -> Option<f32> {
        cosine(&self.factors, self.settings.dimensions, one, other)
    }
}

#[cfg(test)]
mod tests;
