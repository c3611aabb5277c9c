//! What most people like: the yardstick of all models, and all that there is for somebody unknown.

use super::FitError;
use crate::{Explanation, History, Interactions, Scorer};

/// Films by the weight of all interactions with them; the same list for everybody.
#[derive(Debug, Clone, PartialEq)]
pub struct Popularity {
    scores: Vec<f32>,
}

impl Popularity {
    /// Sums the weights of `interactions` by film. Decay comes with the weights: who wants old
    /// interactions to count less weighs them less.
    #[must_use]
    pub fn fit(interactions: &Interactions) -> Self {
        let mut sums = vec![0.0_f64; interactions.items()];
        for history in interactions.histories() {
            for (item, weight) in history.iter() {
                sums[item as usize] += f64::from(weight);
            }
        }
        Self {
            scores: sums.into_iter().map(|sum| sum as f32).collect(),
        }
    }
}

impl Popularity {
    /// With these `scores`, one a film.
    ///
    /// # Errors
    /// A score that is not finite.
    pub fn from_scores(scores: Vec<f32>) -> Result<Self, FitError> {
        FitError::check_all("popularity.scores", &scores)?;
        Ok(Self { scores })
    }

    /// The scores, one a film.
    #[must_use]
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }
}

impl Scorer for Popularity {
    fn items(&self) -> usize {
        self.scores.len()
    }

    fn score(&self, _history: History<'_>, scores: &mut [f32]) {
        scores.copy_from_slice(&self.scores);
    }

    fn explain(&self, _history: History<'_>, item: u32) -> Explanation {
        Explanation {
            base: self.scores[item as usize],
            contributions: Vec::new(),
        }
    }
}
