//! A version of the learned models with the identifiers of its columns.

use std::sync::Arc;

use crate::{
    Blend, FitError, Part, Scorer,
    content::{CONTENT_WEIGHT, TASTE_WEIGHT},
};

/// The learned models by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelName {
    /// The baseline.
    Popularity,
    /// Item-item weights in closed form.
    Ease,
    /// Matrix factorization.
    Ials,
    /// The ideal low-pass filter.
    Spectral,
}

impl ModelName {
    /// All names.
    pub const ALL: [Self; 4] = [Self::Popularity, Self::Ease, Self::Ials, Self::Spectral];

    /// The name in APIs and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Popularity => "popularity",
            Self::Ease => "ease",
            Self::Ials => "ials",
            Self::Spectral => "spectral",
        }
    }

    /// True if its scores depend on the history.
    #[must_use]
    pub fn is_personal(self) -> bool {
        !matches!(self, Self::Popularity)
    }
}

/// One model of a version.
#[derive(Clone)]
pub struct TrainedModel {
    /// Its name.
    pub name: ModelName,
    /// The model.
    pub scorer: Arc<dyn Scorer>,
    /// The weight among the personal models, or among the others.
    pub weight: f32,
}

/// A version of the learned models; only [`TrainedModels::new`] makes one.
#[non_exhaustive]
pub struct TrainedModels {
    /// The number of the version.
    pub version: i64,
    /// The ids of the columns, ascending.
    pub films: Vec<i64>,
    /// The models.
    pub parts: Vec<TrainedModel>,
    /// The blend of all models.
    pub blend: Blend,
    /// The weight of content beside the models.
    pub content_weight: f32,
    /// The weight of taste beside the models.
    pub taste_weight: f32,
}

impl TrainedModels {
    /// Version `version` of models over `films`, the ids of the columns in ascending order.
    /// `familiarity` is that of [`Blend::new`].
    ///
    /// # Errors
    /// [`FitError::Setting`] if there is no part, a part has another number of items, ids do not ascend, or a weight is
    /// negative.
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
            content_weight: CONTENT_WEIGHT,
            taste_weight: TASTE_WEIGHT,
        })
    }

    /// The same with these weights of content and taste.
    ///
    /// # Errors
    /// [`FitError::Setting`] if a weight is negative.
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

    /// The column of the item `id`, if the models cover it.
    #[must_use]
    pub fn column(&self, id: i64) -> Option<u32> {
        let column = self.films.binary_search(&id).ok()?;
        u32::try_from(column).ok()
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
    fn columns_are_found_by_id() {
        let trained =
            TrainedModels::new(1, vec![11, 603, 27205], vec![part()], 1.0).expect("sound");
        assert_eq!(trained.column(603), Some(1));
        assert_eq!(trained.column(604), None);
    }

    #[test]
    fn ids_out_of_order_or_of_another_number_are_rejected() {
        assert!(TrainedModels::new(1, vec![11, 27205, 603], vec![part()], 1.0).is_err());
        assert!(TrainedModels::new(1, vec![11, 603], vec![part()], 1.0).is_err());
    }
}
