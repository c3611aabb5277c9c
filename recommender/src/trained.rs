//! Learned models with the films that their columns are.

use std::sync::Arc;

use crate::{
    Blend, FitError, Part, Scorer,
    content::{CONTENT_WEIGHT, TASTE_WEIGHT},
};

/// The learned models by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelName {
    /// How many dealt with a film.
    Popularity,
    /// Item-item weights in closed form.
    Ease,
    /// Matrix factorization.
    Ials,
    /// The ideal low-pass filter.
    Spectral,
}

impl ModelName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Popularity, Self::Ease, Self::Ials, Self::Spectral];

    /// The name as clients and files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Ease => "ease",
            Self::Ials => "ials",
            Self::Spectral => "spectral",
        }
    }

    /// Whether it goes by what the user did; if not, it says the same to everybody.
    #[must_use]
    pub fn is_personal(self) -> bool {
        !matches!(self, Self::Popularity)
    }
}

/// One model of a version.
#[derive(Clone)]
pub struct TrainedModel {
    /// Which it is.
    pub name: ModelName,
    /// The model.
    pub scorer: Arc<dyn Scorer>,
    /// Its weight among its like.
    pub weight: f32,
}

/// A version of the learned models, over the films that it was fitted on. Never changed: a new version
/// takes its place as a whole.
pub struct TrainedModels {
    version: i64,
    films: Vec<i64>,
    parts: Vec<TrainedModel>,
    blend: Blend,
    familiarity: f32,
    content_weight: f32,
    taste_weight: f32,
}

impl TrainedModels {
    /// Version `version` of models over `films`, TMDB's ids in ascending order, one a column.
    /// `familiarity` is that of [`Blend::new`].
    ///
    /// # Errors
    /// No part, a part over another number of films, films out of order, or numbers out of range.
    pub fn new(
        version: i64,
        films: Vec<i64>,
        parts: Vec<TrainedModel>,
        familiarity: f32,
    ) -> Result<Self, FitError> {
        let is_sound = films.is_sorted_by(|a, b| a < b)
            && parts.iter().all(|part| part.scorer.items() == films.len());
        FitError::check(
            "films",
            films.len() as f64,
            "ascending ids, one a column",
            is_sound,
        )?;
        let blend = parts.iter().map(|part| Part {
            scorer: Arc::clone(&part.scorer),
            weight: part.weight,
            personal: part.name.is_personal(),
        });
        let blend = Blend::new(blend.collect(), familiarity)?;
        Ok(Self {
            version,
            films,
            parts,
            blend,
            familiarity,
            content_weight: CONTENT_WEIGHT,
            taste_weight: TASTE_WEIGHT,
        })
    }

    /// The same, beside which content and taste have these weights.
    ///
    /// # Errors
    /// Weights below 0.
    pub fn with_tags(self, content_weight: f32, taste_weight: f32) -> Result<Self, FitError> {
        for (name, weight) in [("content", content_weight), ("taste", taste_weight)] {
            FitError::check(name, f64::from(weight), "0 and up", weight >= 0.0)?;
        }
        Ok(Self {
            content_weight,
            taste_weight,
            ..self
        })
    }

    /// The number of the version in the registry.
    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// The column of film `id`, if the models know it.
    #[must_use]
    pub fn column(&self, id: i64) -> Option<u32> {
        let column = self.films.binary_search(&id).ok()?;
        u32::try_from(column).ok()
    }

    /// TMDB's ids of the films, one a column, ascending.
    #[must_use]
    pub fn films(&self) -> &[i64] {
        &self.films
    }

    /// The models.
    #[must_use]
    pub fn parts(&self) -> &[TrainedModel] {
        &self.parts
    }

    /// The number of films after which personal models have half the say.
    #[must_use]
    pub fn familiarity(&self) -> f32 {
        self.familiarity
    }

    /// What content weighs beside the models.
    #[must_use]
    pub fn content_weight(&self) -> f32 {
        self.content_weight
    }

    /// What taste weighs beside the models.
    #[must_use]
    pub fn taste_weight(&self) -> f32 {
        self.taste_weight
    }

    /// The `places` films that go best with the film in column `item`, best first; see
    /// [`Scorer::similar`].
    #[must_use]
    pub fn similar(&self, item: u32, places: usize) -> Vec<(u32, f32)> {
        self.blend.similar(item, places)
    }

    /// All models as one.
    #[must_use]
    pub fn blend(&self) -> &Blend {
        &self.blend
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Popularity, testing::tastes};

    fn part() -> TrainedModel {
        TrainedModel {
            name: ModelName::Popularity,
            scorer: Arc::new(Popularity::fit(&tastes(6, 3))),
            weight: 1.0,
        }
    }

    #[test]
    fn films_are_found_by_their_ids() {
        let trained =
            TrainedModels::new(1, vec![11, 603, 27205], vec![part()], 1.0).expect("sound");
        assert_eq!(trained.column(603), Some(1));
        assert_eq!(trained.column(604), None);
    }

    #[test]
    fn films_out_of_order_or_of_another_number_are_refused() {
        assert!(TrainedModels::new(1, vec![11, 27205, 603], vec![part()], 1.0).is_err());
        assert!(TrainedModels::new(1, vec![11, 603], vec![part()], 1.0).is_err());
    }
}
