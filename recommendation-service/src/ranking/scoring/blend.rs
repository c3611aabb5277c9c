//! The blend: learned models, content, taste and rules, standardized and weighed by [`recommender::blend`].

use std::sync::Arc;

use recommender::{
    History, Standardization,
    blend::{AppliedPart, CONTENT_ALONE_WEIGHT, Shares, add_part},
    standardize,
};

use super::{ColdStartImputation, Part, Scores, Source};
use crate::ranking::list::Strategy;

/// Rows per block of rule scores.
const BLOCK: usize = 4096;

impl Scores<'_> {
    /// Scores by the blend. Each part is standardized over the movies that the user has not interacted with; content
    /// and taste only over those that learned models cover, if these have a share. A user without any evidence gets the
    /// rules alone.
    pub(super) fn score_blend(&mut self) {
        let shares = Shares::new(self.user.evidence());
        if !shares.is_informed() {
            self.strategy = Strategy::Rules;
            return;
        }
        let mut total = vec![0.0_f32; self.context.catalogue.len()];
        let known_rows = self.known_rows();
        let ones = vec![1.0; known_rows.len()];
        let known = History {
            items: &known_rows,
            weights: &ones,
        };
        let content = self.add_tags(&mut total, known, &shares);
        self.add_rules(&mut total, known, shares.rules);
        self.add_learned(&mut total, &content, shares.learned);
        self.rows = total;
    }

    /// The rows of known movies, ascending.
    fn known_rows(&self) -> Vec<u32> {
        let rows = self.user.movies.iter().filter_map(|known| {
            let row = self.context.catalogue.row(known.id)?;
            u32::try_from(row).ok()
        });
        let mut rows: Vec<u32> = rows.collect();
        rows.sort_unstable();
        rows
    }

    /// Adds content and taste, and returns the standardized content scores by row.
    fn add_tags(&mut self, total: &mut [f32], known: History<'_>, shares: &Shares) -> Vec<f32> {
        let weights = self.context.weights;
        let (content_weight, taste_weight) = match self.context.model_on_catalogue {
            Some(model_on_catalogue) if shares.learned > 0.0 => (
                model_on_catalogue.trained.content_weight,
                model_on_catalogue.trained.taste_weight,
            ),
            // Content has compared the tags already, and no other part outweighs what it counts twice.
            _ => (CONTENT_ALONE_WEIGHT, 0.0),
        };
        let [mut content, taste] = self.score_tags();
        let standardization = self.standardize_tags(&content, known, shares.learned);
        let weight = content_weight * weights.content * shares.content;
        let applied = add_part(total, &content, standardization, weight);
        self.push("content", Source::Content, applied);
        // Cold-start imputation uses it even if content has no weight.
        self.content = standardization;
        for score in &mut content {
            *score = standardization.scale * (*score - standardization.mean);
        }
        let standardization = self.standardize_tags(&taste, known, shares.learned);
        let weight = weights.taste * shares.stated.max(taste_weight * shares.content);
        let applied = add_part(total, &taste, standardization, weight);
        self.push("taste", Source::Taste, applied);
        content
    }

    /// The standardization of content or taste scores by row: over the movies that learned models cover if these have
    /// a share, because the parts must have comparable scales on these movies.
    fn standardize_tags(&self, own: &[f32], known: History<'_>, learned: f32) -> Standardization {
        match self.context.model_on_catalogue {
            Some(model_on_catalogue) if learned > 0.0 => {
                standardize(&model_on_catalogue.by_column(own), self.user.history())
            }
            _ => standardize(own, known),
        }
    }

    fn add_rules(&mut self, total: &mut [f32], known: History<'_>, share: f32) {
        let weight = self.context.weights.rules * share;
        if weight == 0.0 {
            return;
        }
        let mut own = vec![0.0_f32; total.len()];
        for (block, scores) in own.chunks_mut(BLOCK).enumerate() {
            let first = block * BLOCK;
            self.rules
                .estimate(self.context.catalogue, &self.genre_worth, first, scores);
        }
        let applied = add_part(total, &own, standardize(&own, known), weight);
        self.push("rules", Source::Rules, applied);
    }

    /// Adds the learned models, and for movies that they do not cover the imputation from `content`, standardized by row.
    fn add_learned(&mut self, total: &mut [f32], content: &[f32], share: f32) {
        let share = share * self.context.weights.learned;
        let Some(model_on_catalogue) = self.context.model_on_catalogue.filter(|_| share > 0.0)
        else {
            return;
        };
        let trained = &model_on_catalogue.trained;
        let mut learned = vec![0.0; trained.films.len()];
        let (user, parts) = (&self.user, &mut self.parts);
        trained
            .blend
            .add_scores(user.history(), share, &mut learned, |index, applied| {
                let model = &trained.parts[index];
                let source = Source::Learned(Arc::clone(&model.scorer));
                parts.push(Part::new(model.name.as_str(), source, applied));
            });
        let imputation = ColdStartImputation::fit(model_on_catalogue, &learned, content);
        self.imputation = imputation;
        self.push("stand_in", Source::Imputation, Some(AppliedPart::IDENTITY));
        let mut is_covered = vec![false; total.len()];
        for (column, row) in model_on_catalogue.places() {
            total[row] += learned[column];
            is_covered[row] = true;
        }
        let others = total.iter_mut().zip(content).zip(&is_covered);
        for ((total, content), _) in others.filter(|(_, covered)| !**covered) {
            *total += imputation.at(*content);
        }
    }
}
