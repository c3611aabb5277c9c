//! Tags of films as the content model of [`recommender`] uses them: genres, keywords, people and the language, each
//! weighed by its inverse document frequency over the catalogue times a constant of its kind.

use filter::{FacetKind, FilterIndex};
use recommender::content::{self, TagIndex, TagVector, inverse_document_frequency};

/// The constant of a kind of tag; `None` if it does not describe the content of a film.
fn kind_weight(kind: FacetKind) -> Option<f32> {
    match kind {
        FacetKind::Genre | FacetKind::Keyword | FacetKind::Person => Some(1.0),
        // Most movies share a few languages, so a shared language is weaker evidence than its frequency suggests.
        FacetKind::Language => Some(0.5),
        FacetKind::Country | FacetKind::Offer | FacetKind::Provider => None,
    }
}

/// The inverted index of `0` as the content model reads it.
pub struct FilmTags<'a>(pub &'a FilterIndex);

impl TagIndex for FilmTags<'_> {
    fn weight(&self, tag: u32) -> f32 {
        let Self(films) = self;
        let Some(kind) = films
            .facets()
            .facet(tag)
            .and_then(|facet| kind_weight(facet.0))
        else {
            return 0.0;
        };
        let having = films.facets().numbered(tag).map_or(0, |rows| rows.len());
        kind * inverse_document_frequency(films.rows(), having)
    }

    fn for_each_item(&self, tag: u32, visit: impl FnMut(u32)) {
        if let Some(postings) = self.0.facets().numbered(tag) {
            postings.for_each(visit);
        }
    }
}

/// The weights of all tags by number.
pub(super) fn weights(films: &FilterIndex) -> Vec<f32> {
    let numbers = (0..films.facets().len()).map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    numbers
        .map(|number| FilmTags(films).weight(number))
        .collect()
}

/// The norm of the tag weights of the film in `row`.
pub(super) fn norm(films: &FilterIndex, row: u32) -> f32 {
    let numbers = films.facet_ids(row).into_iter();
    content::norm(numbers.map(|number| FilmTags(films).weight(number)))
}

/// As [`norm`], from the `weights` of all tags.
pub(super) fn norm_by(films: &FilterIndex, row: u32, weights: &[f32]) -> f32 {
    let of = |number: u32| weights.get(number as usize).copied().unwrap_or_default();
    content::norm(films.facet_ids(row).into_iter().map(of))
}

/// The tag vector of the film in `row`, whose tag weights have this `norm`.
pub(super) fn vector(films: &FilterIndex, row: u32, norm: f32) -> TagVector {
    if norm <= 0.0 {
        return TagVector::default();
    }
    let numbers = films.facet_ids(row).into_iter();
    TagVector::new(
        numbers.map(|number| (number, FilmTags(films).weight(number))),
        norm,
    )
}
