//! Popularity: the baseline of all models, and the only one for a user without a history.

use super::FitError;
use crate::{Explanation, History, Interactions, Scorer};

/// Scores items by the total weight of their interactions, for every user alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Popularity {
    /// One per item.
    pub(crate) scores: Vec<f32>,
}

impl Popularity {
    /// Sums the weights of `interactions` by item. Decay over time is up to the weights.
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

    /// A model with these `scores`, one per item.
    ///
    /// # Errors
    /// [`FitError::Setting`] if a score is not finite.
    pub fn from_scores(scores: Vec<f32>) -> Result<Self, FitError> {
        FitError::check_all("popularity.scores", &scores)?;
        Ok(Self { scores })
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
