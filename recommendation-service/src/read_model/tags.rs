//! Movies as the content model of [`recommender`] uses them: tags (genres, keywords, people and the language), each weighed
//! by its inverse document frequency over the catalogue times the factor of its kind, and other properties.

use filter::{FacetKind, FilterIndex, UNKNOWN_DAY};
use recommender::content::{
    self, ContentWeights, ItemFactors, Properties, TagIndex, TagVector, inverse_document_frequency,
};

/// The largest inverse document frequency of a language, so that movies in a rare one differ by more than prominence.
const MAX_LANGUAGE_WEIGHT: f32 = 2.0;
/// The mean length of a year of the Gregorian calendar.
const DAYS_PER_YEAR: f32 = 365.2425;

/// The inverted index of the movies as the content model reads it.
#[derive(Clone, Copy)]
pub(super) struct FilmTags<'a> {
    /// The movies.
    pub films: &'a FilterIndex,
    /// The weights of the model.
    pub weights: &'a ContentWeights,
}

impl TagIndex for FilmTags<'_> {
    fn weight(&self, tag: u32) -> f32 {
        let facets = self.films.facets();
        let mut max = f32::INFINITY;
        let factor = match facets.facet(tag).map(|(kind, _)| kind) {
            Some(FacetKind::Genre) => self.weights.genre,
            Some(FacetKind::Keyword) => self.weights.keyword,
            Some(FacetKind::Person) => self.weights.person,
            Some(FacetKind::Language) => {
                max = MAX_LANGUAGE_WEIGHT;
                self.weights.language
            }
            // Where a movie was made and where it can be watched does not describe its content.
            Some(FacetKind::Country | FacetKind::Offer | FacetKind::Provider) | None => return 0.0,
        };
        let having = facets.numbered(tag).map_or(0, |rows| rows.len());
        factor * inverse_document_frequency(self.films.rows(), having).min(max)
    }

    fn for_each_item(&self, tag: u32, visit: impl FnMut(u32)) {
        if let Some(postings) = self.films.facets().numbered(tag) {
            postings.for_each(visit);
        }
    }
}

impl FilmTags<'_> {
    /// The weights of all tags by number.
    pub(super) fn all_weights(&self) -> Vec<f32> {
        let numbers = 0..self.films.facets().len();
        numbers
            .map(|number| self.weight(u32::try_from(number).unwrap_or(u32::MAX)))
            .collect()
    }

    /// The factors of the movie in `row`, with this `popularity` at TMDB, from the weight `of` each tag.
    pub(super) fn describe(
        &self,
        row: u32,
        popularity: f64,
        of: impl Fn(u32) -> f32,
    ) -> ItemFactors {
        let norm = content::norm(self.films.facet_ids(row).into_iter().map(of));
        let day = self.films.day(row);
        let properties = Properties {
            year: (day != UNKNOWN_DAY).then_some(1.0 + day as f32 / DAYS_PER_YEAR),
            votes: self.films.vote_count(row) as f32,
            average: self.films.vote_averages()[row as usize],
            popularity: popularity as f32,
            runtime: self.films.runtime(row).map(f32::from),
        };
        self.weights.describe(&properties, norm)
    }

    /// The tag vector of the movie in `row`, whose tag weights have this `norm`.
    pub(super) fn vector(&self, row: u32, norm: f32) -> TagVector {
        if norm <= 0.0 {
            return TagVector::default();
        }
        let numbers = self.films.facet_ids(row).into_iter();
        TagVector::new(numbers.map(|number| (number, self.weight(number))), norm)
    }
}
