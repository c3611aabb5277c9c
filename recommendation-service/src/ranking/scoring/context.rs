//! The inputs of scoring: one user, the catalogue, the learned models and the weights.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use recommender::{TrainedModels, taste::HalfLife};

use crate::{
    ranking::list::{PartWeights, Strategy},
    read_model::{Catalogue, Profile},
    rules::Weights,
};

/// Marks a column whose movie is not in the catalogue.
const NO_ROW: u32 = u32::MAX;

/// The live models, of own users and a base model together, mapped to the rows of a catalogue.
#[derive(Clone)]
pub struct ModelOnCatalogue {
    /// The models.
    pub trained: Arc<TrainedModels>,
    /// The versions that they are of.
    own: Option<Arc<TrainedModels>>,
    base: Option<Arc<TrainedModels>>,
    /// The row of each column; [`NO_ROW`] for a movie that is not in the catalogue.
    rows: Arc<[u32]>,
    /// The revision of the catalogue.
    revision: u64,
}

impl ModelOnCatalogue {
    /// Looks up the movies of `own` and `base` in `catalogue`; `None` without a model, or if that is a base model without
    /// any of the movies.
    pub fn new(
        own: Option<Arc<TrainedModels>>,
        base: Option<Arc<TrainedModels>>,
        catalogue: &Catalogue,
    ) -> Option<Self> {
        let combined = base.as_ref().and_then(|base| {
            let is_listed = |id| catalogue.row(id).is_some();
            TrainedModels::combined(own.as_deref(), base, is_listed).ok()
        });
        let trained = combined.map(Arc::new).or_else(|| own.clone())?;
        let row = |id: &i64| {
            let row = catalogue.row(*id).and_then(|row| u32::try_from(row).ok());
            row.unwrap_or(NO_ROW)
        };
        Some(Self {
            rows: trained.films.iter().map(row).collect(),
            trained,
            own,
            base,
            revision: catalogue.revision().get(),
        })
    }

    /// True if it is `own` and `base` on the rows of `catalogue` as it is.
    pub(crate) fn is_of(
        &self,
        own: Option<&Arc<TrainedModels>>,
        base: Option<&Arc<TrainedModels>>,
        catalogue: &Catalogue,
    ) -> bool {
        self.revision == catalogue.revision().get()
            && self.own.as_ref().map(Arc::as_ptr) == own.map(Arc::as_ptr)
            && self.base.as_ref().map(Arc::as_ptr) == base.map(Arc::as_ptr)
    }

    /// The columns of movies that are in the catalogue, with their rows.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let places = self.rows.iter().enumerate();
        places
            .filter(|(_, row)| **row != NO_ROW)
            .map(|(column, row)| (column, *row as usize))
    }

    /// `by_row` in the order of columns; 0 for a movie that is not in the catalogue.
    pub(super) fn by_column(&self, by_row: &[f32]) -> Vec<f32> {
        let of = |row: &u32| by_row.get(*row as usize).copied().unwrap_or_default();
        self.rows.iter().map(of).collect()
    }
}

/// The user, the movies and the models that are scored with.
#[derive(Clone, Copy)]
pub struct ScoringContext<'a> {
    /// The movies.
    pub catalogue: &'a Catalogue,
    /// The learned models; `None` if no version is live.
    pub model_on_catalogue: Option<&'a ModelOnCatalogue>,
    /// The user.
    pub profile: &'a Profile,
    /// The weights of the rules.
    pub rules: Weights,
    /// The weights of the parts of the blend.
    pub weights: PartWeights,
    /// The half-life of what the user did.
    pub half_life: HalfLife,
    /// True if movies are compared by their tags.
    pub uses_content: bool,
    /// The current time.
    pub now: DateTime<Utc>,
}

/// A strategy that cannot be used: no version of the learned models is live, or the live one does not contain the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no model `{}` is live", .0.as_str())]
pub struct NotTrained(pub Strategy);
