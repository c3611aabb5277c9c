//! The evidence that a movie of the user's gives for itself, which does not count: a movie on the watchlist, or one that
//! was begun, may be recommended, but for what other movies say about it. Scores and explanations call it.

use filter::Bitmap;

use super::{Scores, Source};
use crate::ranking::list::Strategy;

impl Scores<'_> {
    /// The position of the movie in `row` among the user's own, if it is one of them.
    pub(super) fn own_position(&self, row: usize) -> Option<usize> {
        let id = self.context.catalogue.id(row);
        let movies = &self.user.movies;
        movies.binary_search_by_key(&id, |movie| movie.id).ok()
    }

    /// The contributions to content and taste that the user's movie at `position` makes to the movie in `row`.
    fn tag_evidence(&self, row: usize, position: usize) -> (f32, f32) {
        let catalogue = self.context.catalogue;
        let (vector, factors) = (catalogue.vector(row), catalogue.factors(row));
        let (mut content, mut taste) = (0.0, 0.0);
        let tags = &self.user.tags;
        tags.explain(&vector, &factors, |known, by_content, by_taste| {
            if known == position {
                content += by_content;
                taste += by_taste;
            }
        });
        (content, taste)
    }

    /// The factors of a movie's content and taste scores in all parts together; `is_covered` if learned models know it.
    pub(super) fn tag_factors(&self, is_covered: bool) -> (f32, f32) {
        let (mut by_content, mut by_taste) = (0.0, 0.0);
        for part in &self.parts {
            match part.source {
                Source::Content => by_content += part.applied.scale,
                Source::Imputation if !is_covered => {
                    by_content += self.imputation.slope * self.content.scale;
                }
                Source::Taste => by_taste += part.applied.scale,
                _ => {}
            }
        }
        (by_content, by_taste)
    }

    /// Takes the evidence of the user's movies for themselves out of the scores of those in `candidates`.
    pub fn leave_out_own(&mut self, candidates: &Bitmap) {
        if self.strategy == Strategy::Rules {
            return;
        }
        let catalogue = self.context.catalogue;
        let own: Vec<(usize, usize)> = (0..self.user.movies.len())
            .filter_map(|position| {
                let row = catalogue.row(self.user.movies[position].id)?;
                let is_candidate = candidates.contains(u32::try_from(row).ok()?);
                is_candidate.then_some((row, position))
            })
            .collect();
        let learned = self.learned_evidence(&own);
        for ((row, position), learned) in own.into_iter().zip(learned) {
            let (by_content, by_taste) = self.tag_factors(learned.is_some());
            let (content, taste) = self.tag_evidence(row, position);
            self.rows[row] -= by_content * content + by_taste * taste + learned.unwrap_or_default();
        }
    }

    /// The amounts that learned models add to the score of each of `own`, rows with positions among the user's movies, for
    /// itself; `None` for a movie that they do not cover. All at once, so that a model can share work between them.
    fn learned_evidence(&self, own: &[(usize, usize)]) -> Vec<Option<f32>> {
        let column = |position: usize| {
            let trained = &self.context.model_on_catalogue?.trained;
            trained.column(self.user.movies[position].id)
        };
        let columns: Vec<Option<u32>> = own.iter().map(|(_, own)| column(*own)).collect();
        let mut amounts: Vec<Option<f32>> = columns.iter().map(|one| one.map(|_| 0.0)).collect();
        let covered: Vec<u32> = columns.into_iter().flatten().collect();
        if covered.is_empty() {
            return amounts;
        }
        for part in &self.parts {
            if let Source::Learned(scorer) = &part.source {
                let explanations = scorer.explain_all(self.user.history(), &covered);
                let places = amounts.iter_mut().zip(own);
                let places = places.filter_map(|(sum, (_, own))| Some((sum.as_mut()?, *own)));
                for ((sum, own), why) in places.zip(explanations) {
                    let contributions = why.contributions.iter().zip(&self.user.positions);
                    let of_itself = contributions.filter(|(_, known)| **known == own);
                    *sum += part.applied.scale * of_itself.map(|(one, _)| one.amount).sum::<f32>();
                }
            }
        }
        amounts
    }
}
