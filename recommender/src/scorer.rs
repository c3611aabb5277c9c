//! The trait that all models implement: from the history of one user to a score for each item, with an exact explanation.

use crate::History;

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
    fn similarity(&self, one: u32, other: u32) -> Option<f32> {
        let _ = (one, other);
        None
    }
}
