//! iALS: users and films as short vectors whose products are the scores.

use faer::{
    Accum, MatMut, MatRef, Par,
    dyn_stack::{MemBuffer, MemStack},
    linalg::{
        cholesky::llt,
        matmul::{
            matmul,
            triangular::{self, BlockStructure},
        },
    },
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::{
    FitError,
    factors::{cosine, product, similar_by_cosine},
};
use crate::{Contribution, Explanation, History, Interactions, Scorer};

/// How iALS is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IalsSettings {
    /// d: numbers in a vector; 1 to 2048.
    pub dimensions: usize,
    /// How often all vectors are solved for; 1 and up.
    pub epochs: usize,
    /// α₀: how much a film that a user has not dealt with counts as one they would not; above 0.
    pub unobserved_weight: f64,
    /// λ: how strongly vectors are held short; above 0.
    pub regularization: f64,
    /// ν: how much of the regularization grows with the frequency of a user or film; 0 to 1. 1 is
    /// that of the paper's results.
    pub frequency_exponent: f64,
    /// σ: the first vectors are normal with standard deviation σ/√d; above 0.
    pub initial_deviation: f64,
    /// What the first vectors are drawn from.
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
/// Benchmarks*, RecSys 2022 (arXiv 2110.14037): with vectors `w` of users and `h` of films, minimizes
///
/// `Σ_{(u,i) seen} (wᵤ·hᵢ − 1)² + α₀ Σ_{u,i} (wᵤ·hᵢ)² + λ (Σ_u (nᵤ + α₀ I)^ν |wᵤ|² + Σ_i (nᵢ + α₀ U)^ν |hᵢ|²)`
///
/// for U users and I films, of which a user has nᵤ and which have nᵢ users, by solving for all users,
/// then for all films, in turn. Interactions with a weight count that often. Users are solved for from
/// their history whenever scores are asked for, so that one whom fitting has not seen, or who has gone
/// on since, is served alike.
///
/// The explanation of a score is that of Hu, Koren and Volinsky, *Collaborative Filtering for Implicit
/// Feedback Datasets*, ICDM 2008, section 5: a user's vector is linear in what they did.
#[derive(Debug, Clone, PartialEq)]
pub struct Ials {
    settings: IalsSettings,
    items: usize,
    /// Films' vectors, one after another.
    factors: Vec<f32>,
    /// α₀ HᵀH, lower half, column after column.
    prior: Vec<f32>,
}

/// Vectors gathered at once.
const BLOCK: usize = 256;

impl Ials {
    /// Fits to `interactions`, on all threads of the current pool. The same input gives the same bits,
    /// on however many threads.
    ///
    /// # Errors
    /// A setting out of its range, or numbers too large for the regularization.
    pub fn fit(interactions: &Interactions, settings: &IalsSettings) -> Result<Self, FitError> {
        Self::fit_watched(interactions, settings, |_, _, _| {})
    }

    /// As [`Ials::fit`]; after each epoch `watch` gets its number, from 1, and the vectors of users,
    /// as they were when films were solved for last, and of films.
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

    /// With the vectors `factors` of `items` films, one after another, and the settings with which users
    /// are folded in.
    ///
    /// # Errors
    /// A setting out of its range, or numbers that are too few, too many or not finite.
    pub fn from_factors(
        items: usize,
        factors: Vec<f32>,
        settings: &IalsSettings,
    ) -> Result<Self, FitError> {
        check(settings)?;
        let dimensions = settings.dimensions;
        FitError::check_count("ials.factors", factors.len(), items * dimensions)?;
        FitError::check_all("ials.factors", &factors)?;
        let mut prior = vec![0.0; dimensions * dimensions];
        add_gram(&factors, settings.unobserved_weight, dimensions, &mut prior);
        FitError::check_all("ials.factors, squared", &prior)?;
        Ok(Self {
            settings: *settings,
            items,
            factors,
            prior,
        })
    }

    /// The vectors of films, one after another.
    #[must_use]
    pub fn factors(&self) -> &[f32] {
        &self.factors
    }

    /// How it was fitted.
    #[must_use]
    pub fn settings(&self) -> &IalsSettings {
        &self.settings
    }

    /// The vector of a user with this history.
    #[must_use]
    pub fn fold_in(&self, history: History<'_>) -> Vec<f32> {
        let mut vector = vec![0.0; self.settings.dimensions];
        // Prior and ridge are positive definite, as they were when the films were solved for; a
        // user for whom rounding spoils that is one of whom nothing is known.
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

    /// The vector of the film `item`.
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
    let unit = 0.0..=1.0;
    FitError::check(
        "dimensions",
        dimensions as f64,
        "1 to 2048",
        (1..=2048).contains(&dimensions),
    )?;
    FitError::check("epochs", epochs as f64, "1 and up", epochs > 0)?;
    FitError::check(
        "unobserved_weight",
        unobserved_weight,
        "above 0",
        unobserved_weight > 0.0,
    )?;
    FitError::check(
        "regularization",
        regularization,
        "above 0",
        regularization > 0.0,
    )?;
    FitError::check(
        "frequency_exponent",
        frequency_exponent,
        "0 to 1",
        unit.contains(&frequency_exponent),
    )?;
    FitError::check(
        "initial_deviation",
        initial_deviation,
        "above 0",
        initial_deviation > 0.0,
    )
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

/// Solves for every row of `interactions`, given the vectors of its columns.
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

/// The normal equations of one vector, and room to solve them.
struct Equations {
    dimensions: usize,
    /// Lower half, column after column.
    matrix: Vec<f32>,
    target: Vec<f32>,
    /// Weights of all interactions together.
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

    /// Replaces each of the vectors in `vectors` by the solution for it as the right side. Spoils the matrix.
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
        let dimensions = self.settings.dimensions;
        matmul(
            MatMut::from_row_major_slice_mut(scores, self.items, 1),
            Accum::Replace,
            MatRef::from_row_major_slice(&self.factors, self.items, dimensions),
            MatRef::from_column_major_slice(&vector, dimensions, 1),
            1.0,
            Par::Seq,
        );
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
        directions
            .chunks_exact(self.settings.dimensions)
            .map(|direction| self.explain_by(history, direction))
            .collect()
    }

    /// By the cosine of the films' vectors.
    fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        similar_by_cosine(&self.factors, self.settings.dimensions, item, places)
    }

    fn similarity(&self, one: u32, other: u32) -> Option<f32> {
        cosine(&self.factors, self.settings.dimensions, one, other)
    }
}

impl Ials {
    /// The explanation of the film whose vector the equations of `history` turn into `direction`.
    fn explain_by(&self, history: History<'_>, direction: &[f32]) -> Explanation {
        Explanation {
            base: 0.0,
            contributions: history
                .iter()
                .map(|(from, weight)| Contribution {
                    item: from,
                    amount: if (from as usize) < self.items {
                        weight * product(direction, self.factor(from))
                    } else {
                        0.0
                    },
                })
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{contributions_add_up, interactions, on_threads, tastes};

    fn settings() -> IalsSettings {
        IalsSettings {
            dimensions: 8,
            regularization: 0.02,
            ..IalsSettings::default()
        }
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
    }

    /// What is minimized, as it is written above.
    fn objective(all: &Interactions, s: &IalsSettings, users: &[f32], items: &[f32]) -> f64 {
        let rows = |vectors: &[f32]| -> Vec<Vec<f32>> {
            vectors.chunks(s.dimensions).map(<[f32]>::to_vec).collect()
        };
        let (users, items) = (rows(users), rows(items));
        let ridge = |all: &Interactions, vectors: &[Vec<f32>]| -> f64 {
            all.histories()
                .zip(vectors)
                .map(|(history, vector)| {
                    let frequency = history.len() as f64 + s.unobserved_weight * all.items() as f64;
                    frequency.powf(s.frequency_exponent) * dot(vector, vector)
                })
                .sum()
        };
        let mut sum = s.regularization * (ridge(all, &users) + ridge(&all.transpose(), &items));
        for (history, user) in all.histories().zip(&users) {
            for item in &items {
                sum += s.unobserved_weight * dot(user, item).powi(2);
            }
            for (item, weight) in history.iter() {
                sum += f64::from(weight) * (dot(user, &items[item as usize]) - 1.0).powi(2);
            }
        }
        sum
    }

    #[test]
    fn every_epoch_lowers_the_objective() {
        let all = tastes(80, 40);
        let mut values = Vec::new();
        Ials::fit_watched(&all, &settings(), |_, users, items| {
            values.push(objective(&all, &settings(), users, items));
        })
        .expect("fits");
        assert_eq!(values.len(), settings().epochs);
        assert!(
            values.is_sorted_by(|before, after| after < before),
            "{values:?}"
        );
    }

    #[test]
    fn somebody_folded_in_is_who_fitting_made_of_them() {
        let all = tastes(80, 40);
        let many = IalsSettings {
            epochs: 60,
            ..settings()
        };
        let mut fitted = Vec::new();
        let ials =
            Ials::fit_watched(&all, &many, |_, users, _| fitted = users.to_vec()).expect("fits");
        for (user, vector) in fitted.chunks(8).enumerate() {
            let folded = ials.fold_in(all.history(user));
            let away: Vec<f32> = folded.iter().zip(vector).map(|(a, b)| a - b).collect();
            let part = (dot(&away, &away) / dot(vector, vector)).sqrt();
            assert!(part < 0.02, "user {user} is {part} away");
        }
    }

    #[test]
    fn films_of_ones_own_taste_score_higher() {
        let all = tastes(80, 40);
        let ials = Ials::fit(&all, &settings()).expect("fits");
        let newcomer = History {
            items: &[0, 2, 4],
            weights: &[1.0; 3],
        };
        let mut scores = vec![0.0; 40];
        ials.score(newcomer, &mut scores);
        let mean = |odd: usize| scores.iter().skip(6 + odd).step_by(2).sum::<f32>() / 17.0;
        assert!(mean(0) > 2.0 * mean(1), "{} {}", mean(0), mean(1));
    }

    #[test]
    fn the_same_bits_on_one_thread_and_on_three_and_others_with_another_seed() {
        let all = tastes(80, 40);
        let fit = |seed| {
            let settings = IalsSettings { seed, ..settings() };
            Ials::fit(&all, &settings).expect("fits")
        };
        assert!(on_threads(1, || fit(1)) == on_threads(3, || fit(1)));
        assert!(fit(1).factors != fit(2).factors);
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let all = tastes(4, 4);
        let with = |change: fn(&mut IalsSettings)| {
            let mut settings = settings();
            change(&mut settings);
            Ials::fit(&all, &settings)
        };
        assert!(with(|s| s.dimensions = 0).is_err());
        assert!(with(|s| s.epochs = 0).is_err());
        assert!(with(|s| s.regularization = 0.0).is_err());
        assert!(with(|s| s.unobserved_weight = f64::NAN).is_err());
    }

    #[test]
    fn similar_films_are_those_of_the_same_taste() {
        let all = tastes(80, 40);
        let ials = Ials::fit(&all, &settings()).expect("fits");
        let ease = crate::Ease::fit(&all, &Default::default()).expect("fits");
        for scorer in [&ials as &dyn Scorer, &ease] {
            let similar = scorer.similar(4, 10);
            assert_eq!(similar.len(), 10);
            assert!(similar.iter().all(|(film, _)| film % 2 == 0 && *film != 4));
            assert!(similar.is_sorted_by(|a, b| a.1 >= b.1));
            assert!(scorer.similar(40, 10).is_empty());
        }
        let similarity = |one, other| ials.similarity(one, other).expect("both are known");
        assert!((similarity(4, 4) - 1.0).abs() < 1e-5);
        assert!(similarity(4, 6) > similarity(4, 7));
        assert_eq!(ials.similarity(4, 40), None);
    }

    proptest! {
        #[test]
        fn contributions_add_up_to_the_score(all in interactions()) {
            let ials = Ials::fit(&all, &settings()).expect("fits");
            contributions_add_up(&ials, &all)?;
        }
    }
}
