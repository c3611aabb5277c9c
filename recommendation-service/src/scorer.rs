//! The seam that every model stands behind: from what one user did to a score for each film of the
//! catalogue, and why. No I/O; films are columns, numbered from 0, and whoever fits a model knows which
//! film a column is.

mod blend;
pub mod diversity;
mod ease;
pub mod file;
mod ials;
mod interactions;
mod popularity;
mod random;
mod spectral;
mod standard;
pub mod tags;
#[cfg(test)]
mod testing;
mod trained;
mod vectors;

pub use blend::{Blend, LEARNED_FAMILIARITY, Part, personal_share};
pub use ease::{Ease, EaseSettings};
pub use ials::{Ials, IalsSettings};
pub use interactions::{History, InteractionError, Interactions};
pub use popularity::Popularity;
pub use spectral::{Spectral, SpectralSettings};
pub use standard::{Standard, add_standardized, standardize};
pub use trained::{ModelName, Trained, TrainedPart};

/// Why a film has its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The part of the score that owes nothing to what the user did.
    pub base: f32,
    /// What each film that the user dealt with adds, in the order of their history.
    pub contributions: Vec<Contribution>,
}

/// What one film of a history adds to a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contribution {
    /// The film's column.
    pub item: u32,
    /// What it adds; below 0 where it speaks against.
    pub amount: f32,
}

impl Explanation {
    /// The score that is explained, but for rounding.
    #[must_use]
    pub fn total(&self) -> f32 {
        let contributed: f32 = self.contributions.iter().map(|one| one.amount).sum();
        self.base + contributed
    }
}

/// A model: scores every film for one user, whom its fitting need not have seen.
pub trait Scorer: Send + Sync {
    /// How many films it scores.
    fn items(&self) -> usize;

    /// Writes the score of every film to `scores`, which has [`Scorer::items`] places. Higher is
    /// better; scores of different users or models need not be of one scale.
    ///
    /// Columns of `history` that the model does not know are passed over.
    fn score(&self, history: History<'_>, scores: &mut [f32]);

    /// Why `item` has the score that [`Scorer::score`] gives it.
    fn explain(&self, history: History<'_>, item: u32) -> Explanation;

    /// As [`Scorer::explain`] of several films, for models that have work to share between them.
    fn explain_all(&self, history: History<'_>, items: &[u32]) -> Vec<Explanation> {
        items
            .iter()
            .map(|item| self.explain(history, *item))
            .collect()
    }

    /// The `places` films that go best with `item`, best first, each with a value above 0 that says how
    /// well, on a scale of the model's own; without itself. None where the model does not know the
    /// film, or does not relate films to each other.
    fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        let _ = (item, places);
        Vec::new()
    }

    /// How alike two films are by who deals with them, −1 to 1; none where the model does not know both, or
    /// does not place films beside each other.
    fn likeness(&self, one: u32, other: u32) -> Option<f32> {
        let _ = (one, other);
        None
    }
}

/// The `places` columns with the greatest of `scores` above 0 among those that are `wanted`, best
/// first; of equals the one with the lower column.
fn best(scores: &[f32], places: usize, wanted: impl Fn(u32) -> bool) -> Vec<(u32, f32)> {
    let mut left: Vec<(u32, f32)> = (0_u32..)
        .zip(scores.iter().copied())
        .filter(|(item, score)| *score > 0.0 && wanted(*item))
        .collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if places < left.len() {
        left.select_nth_unstable_by(places, order);
        left.truncate(places);
    }
    left.sort_unstable_by(order);
    left
}

/// Why a model could not be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// A setting is out of its range.
    #[error("{setting} is {value}, but must be {range}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
    /// A system of equations has no unique solution: the regularization is too weak for the numbers.
    #[error("the equations have no stable solution; use a stronger regularization")]
    Singular,
}

impl FitError {
    /// That `values` are all finite, and if not, which is the first that is none.
    fn check_all(name: &'static str, values: &[f32]) -> Result<(), Self> {
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => Err(Self::Setting {
                setting: name,
                value: f64::from(*value),
                range: "finite numbers",
            }),
        }
    }

    /// That there are `wanted` values.
    fn check_count(name: &'static str, count: usize, wanted: usize) -> Result<(), Self> {
        Self::check(
            name,
            count as f64,
            "as many as the shape says",
            count == wanted,
        )
    }

    /// `value`, if it is finite and `ok`.
    fn check(setting: &'static str, value: f64, range: &'static str, ok: bool) -> Result<(), Self> {
        if value.is_finite() && ok {
            Ok(())
        } else {
            Err(Self::Setting {
                setting,
                value,
                range,
            })
        }
    }
}
