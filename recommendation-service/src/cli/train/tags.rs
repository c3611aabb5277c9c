//! Content and taste from the tags of the catalogue, as models over the columns of a dataset, so that their weights can be
//! chosen and measured.

use std::{collections::HashMap, sync::Arc};

use recommender::{
    History,
    content::{ContentWeights, TagProfile},
};
use sqlx::PgPool;

use crate::read_model::{Catalogue, follow};

/// A catalogue with the movies of a dataset.
pub(super) struct Tags {
    catalogue: Catalogue,
    /// The row of each column; `None` for a movie that is not in the catalogue.
    rows: Vec<Option<usize>>,
}

/// The catalogue in the database of the service; `None` if that is empty.
pub(in crate::cli) async fn load(pool: &PgPool) -> sqlx::Result<Option<Catalogue>> {
    let (catalogue, _) = follow::load(pool, &[]).await?;
    let catalogue = Arc::unwrap_or_clone(catalogue);
    Ok((!catalogue.is_empty()).then_some(catalogue))
}

impl Tags {
    /// The tags of the movies with these ids, one per column.
    pub(super) fn new(catalogue: Catalogue, films: &[u64]) -> Self {
        let row = |id: &u64| catalogue.row(i64::try_from(*id).ok()?);
        Self {
            rows: films.iter().map(row).collect(),
            catalogue,
        }
    }

    /// The number of movies in the catalogue.
    pub(super) fn movies(&self) -> usize {
        self.catalogue.len()
    }

    /// The weights of the content model.
    pub(super) fn weights(&self) -> &ContentWeights {
        self.catalogue.content_weights()
    }

    /// Sets the weights of the content model.
    pub(super) fn set_weights(&mut self, weights: &ContentWeights) {
        let factors = self.catalogue.compute_factors(weights);
        let revision = self.catalogue.revision();
        self.catalogue.set_factors(factors, weights, revision);
    }

    /// The scores of each column by content and by taste for a user with this history.
    pub(super) fn score(&self, history: History<'_>) -> [Vec<f32>; 2] {
        let catalogue = &self.catalogue;
        let films: Vec<_> = history
            .iter()
            .map(|(column, weight)| {
                let row = self.rows.get(column as usize).copied().flatten();
                let film = row.map(|row| (catalogue.vector(row), catalogue.factors(row)));
                (film.unwrap_or_default(), weight)
            })
            .collect();
        let films = films
            .iter()
            .map(|((vector, factors), weight)| (vector, *factors, *weight));
        let own = TagProfile::new(catalogue.content_weights(), films, &HashMap::new());
        catalogue.score_tags(&own).map(|by_row| {
            let of = |row: &Option<usize>| row.map_or(0.0, |row| by_row[row]);
            self.rows.iter().map(of).collect()
        })
    }
}
