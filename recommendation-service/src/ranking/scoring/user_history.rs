//! The history of one user: movies with their affinity, stated tastes, and the history in columns of the learned
//! models.

use std::collections::HashMap;

use filter::{FacetKind, code};
use recommender::{
    History,
    blend::Evidence,
    content::{ItemFactors, TagProfile, TagVector},
};

use super::ScoringContext;
use crate::read_model::affinities;

/// The score of a taste edit that weighs as much as a like of today.
const EDIT_OF_A_LIKE: f64 = 5.0;

/// A movie of the user's history.
pub(super) struct KnownMovie {
    /// TMDB's id.
    pub(super) id: i64,
    /// The affinity; 1 is a like of today, below 0 a dislike.
    pub(super) weight: f32,
    vector: TagVector,
    factors: ItemFactors,
}

/// The history of one user.
#[derive(Default)]
pub(super) struct UserHistory {
    /// By id.
    pub(super) movies: Vec<KnownMovie>,
    /// The affinities for tags that the user states.
    pub(super) stated: HashMap<u32, f32>,
    pub(super) tags: TagProfile,
    columns: Vec<u32>,
    column_weights: Vec<f32>,
    /// The position among `movies` of each column.
    pub(super) positions: Vec<usize>,
}

impl UserHistory {
    pub(super) fn new(context: &ScoringContext<'_>) -> Self {
        let ScoringContext {
            catalogue,
            model_on_catalogue,
            profile,
            ..
        } = context;
        let mut own = Self::default();
        for (id, weight) in &affinities(profile, context.now, context.half_life) {
            let row = catalogue.row(*id);
            // Movies are in the order of ids, and so are columns.
            if *weight > 0.0
                && let Some(column) = model_on_catalogue
                    .and_then(|model_on_catalogue| model_on_catalogue.trained.column(*id))
            {
                own.columns.push(column);
                own.column_weights.push(*weight);
                own.positions.push(own.movies.len());
            }
            own.movies.push(KnownMovie {
                id: *id,
                weight: *weight,
                vector: row.map_or_else(TagVector::default, |row| catalogue.vector(row)),
                factors: row.map_or_else(ItemFactors::default, |row| catalogue.factors(row)),
            });
        }
        let edits = profile.preferences().map(|own| own.taste_edits.as_slice());
        for edit in edits.unwrap_or_default() {
            let facet = match edit.kind.as_str() {
                "genre" => edit.tag.parse().ok().map(|id| (FacetKind::Genre, id)),
                "keyword" => edit.tag.parse().ok().map(|id| (FacetKind::Keyword, id)),
                "person" => edit.tag.parse().ok().map(|id| (FacetKind::Person, id)),
                "language" => code(&edit.tag).map(|code| (FacetKind::Language, code)),
                _ => None,
            };
            let value = (edit.score / EDIT_OF_A_LIKE) as f32;
            if let Some(tag) = facet.and_then(|facet| catalogue.films().facets().find(facet))
                && value.is_finite()
            {
                own.stated.insert(tag, value);
            }
        }
        let movies = own.movies.iter();
        let movies = movies.map(|movie| (&movie.vector, movie.factors, movie.weight));
        own.tags = TagProfile::new(catalogue.content_weights(), movies, &own.stated);
        own
    }

    /// The history in columns of the learned models.
    pub(super) fn history(&self) -> History<'_> {
        History {
            items: &self.columns,
            weights: &self.column_weights,
        }
    }

    /// The amount of evidence for each family of parts.
    pub(super) fn evidence(&self) -> Evidence {
        let tagged = self.movies.iter().filter(|movie| !movie.vector.is_empty());
        let tagged = tagged.count();
        Evidence {
            learned: self.columns.len(),
            content: tagged,
            stated: self.stated.values().map(|value| value.abs()).sum(),
        }
    }
}
