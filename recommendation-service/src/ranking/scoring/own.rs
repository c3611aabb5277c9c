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
    pub(super) fn tag_evidence(&self, row: usize, position: usize) -> (f32, f32) {
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
        let amounts: Vec<(usize, f32)> = (0..self.user.movies.len())
            .filter_map(|position| {
                let row = self.context.catalogue.row(self.user.movies[position].id)?;
                let is_candidate = candidates.contains(u32::try_from(row).ok()?);
                is_candidate.then(|| (row, self.own_evidence(row, position)))
            })
            .collect();
        for (row, amount) in amounts {
            self.rows[row] -= amount;
        }
    }

    /// The amount that the user's movie at `position`, which is in `row`, adds to its own score.
    fn own_evidence(&self, row: usize, position: usize) -> f32 {
        let id = self.user.movies[position].id;
        let column = self
            .context
            .model_on_catalogue
            .and_then(|model_on_catalogue| model_on_catalogue.trained.column(id));
        let (by_content, by_taste) = self.tag_factors(column.is_some());
        let (content, taste) = self.tag_evidence(row, position);
        let mut amount = by_content * content + by_taste * taste;
        let Some(column) = column else {
            return amount;
        };
        for part in &self.parts {
            if let Source::Learned(scorer) = &part.source {
                let explanation = scorer.explain(self.user.history(), column);
                let contributions = explanation.contributions.iter().zip(&self.user.positions);
                let own = contributions.filter(|(_, known)| **known == position);
                amount += part.applied.scale * own.map(|(one, _)| one.amount).sum::<f32>();
            }
        }
        amount
    }
}
