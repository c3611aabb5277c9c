//! Scores of every movie for one user, and their explanation. The ranking of lists calls it; pure: the catalogue, the
//! models and the time are arguments.
//!
//! [`context`] has the inputs, [`user_history`] what is known about the user, [`blend`] weighs all parts, [`cold_start`]
//! imputes scores of movies that no learned model covers, [`explain`] gives reasons.

mod blend;
mod cold_start;
mod context;
mod explain;
mod own;
mod user_history;

use std::sync::Arc;

use filter::Bitmap;
use recommender::{ModelName, Scorer, Standardization, blend::AppliedPart};

use self::{cold_start::ColdStartImputation, user_history::UserHistory};
pub use self::{
    context::{ModelOnCatalogue, NotTrained, ScoringContext},
    explain::apportion,
};
use crate::{
    ranking::list::Strategy,
    rules::score::{Context, days_since_epoch},
};

/// A part of a score: it adds `applied.scale · (its own score − applied.mean)`.
struct Part {
    name: &'static str,
    source: Source,
    applied: AppliedPart,
}

impl Part {
    fn new(name: &'static str, source: Source, applied: AppliedPart) -> Self {
        Self {
            name,
            source,
            applied,
        }
    }
}

enum Source {
    /// A learned model.
    Learned(Arc<dyn Scorer>),
    /// The tags of movies, compared with those of the user's movies.
    Content,
    /// The user's affinity for tags.
    Taste,
    /// The rules together.
    Rules,
    /// TMDB's popularity.
    Popularity,
    /// The imputed score of movies that no learned model covers.
    Imputation,
}

/// The scores of all movies for one user.
pub struct Scores<'a> {
    context: ScoringContext<'a>,
    /// The strategy that was used.
    pub strategy: Strategy,
    /// The rules over the candidates of the list.
    pub rules: Context,
    genre_worth: Vec<f32>,
    user: UserHistory,
    parts: Vec<Part>,
    imputation: ColdStartImputation,
    /// The standardization of content in the blend.
    content: Standardization,
    /// The scores by row; empty if the rules alone are used.
    rows: Vec<f32>,
    /// The rows that have a score; `None`: all of them.
    covered: Option<Bitmap>,
}

impl<'a> Scores<'a> {
    /// Scores all movies by `strategy` for a list whose candidates have `max_popularity` as largest popularity.
    ///
    /// # Errors
    /// [`NotTrained`] if the strategy needs a learned model that is not live, or content that is switched off.
    pub fn new(
        context: ScoringContext<'a>,
        strategy: Strategy,
        max_popularity: f64,
    ) -> Result<Self, NotTrained> {
        let catalogue = context.catalogue;
        let preferences = context.profile.preferences();
        let genres = preferences.map_or(&[][..], |preferences| &preferences.preferred_genres);
        let rules = Context {
            weights: context.rules,
            max_popularity,
            preferred: catalogue.genres().set_of(genres),
            has_preferred: !genres.is_empty(),
            today: days_since_epoch(context.now),
        };
        let mut scores = Self {
            context,
            strategy,
            rules,
            genre_worth: rules.genre_worth(catalogue),
            user: UserHistory::default(),
            parts: Vec::new(),
            imputation: ColdStartImputation::default(),
            content: Standardization::default(),
            rows: Vec::new(),
            covered: None,
        };
        if strategy == Strategy::Rules {
            return Ok(scores);
        }
        scores.user = UserHistory::new(&context);
        let missing = NotTrained(strategy);
        match strategy {
            Strategy::Blend => scores.score_blend(),
            Strategy::Rules => {}
            Strategy::Content if !context.uses_content => return Err(missing),
            Strategy::Content => scores.score_by_tags(Source::Content, "content"),
            Strategy::Taste => scores.score_by_tags(Source::Taste, "taste"),
            Strategy::Popularity => match scores.model(ModelName::Popularity) {
                Some(scorer) => scores.score_by_model(scorer, ModelName::Popularity),
                None => scores.score_by_popularity(),
            },
            Strategy::Ease => scores.score_by(ModelName::Ease).ok_or(missing)?,
            Strategy::Ials => scores.score_by(ModelName::Ials).ok_or(missing)?,
            Strategy::Spectral => scores.score_by(ModelName::Spectral).ok_or(missing)?,
            Strategy::Base => scores.score_by(ModelName::Base).ok_or(missing)?,
        }
        Ok(scores)
    }

    fn model(&self, name: ModelName) -> Option<Arc<dyn Scorer>> {
        let parts = &self.context.model_on_catalogue?.trained.parts;
        let part = parts.iter().find(|part| part.name == name)?;
        Some(Arc::clone(&part.scorer))
    }

    /// The version of the learned models, if one was used.
    pub fn model_version(&self) -> Option<i64> {
        let mut parts = self.parts.iter();
        let is_learned = parts.any(|part| matches!(part.source, Source::Learned(_)));
        let model_on_catalogue = self.context.model_on_catalogue.filter(|_| is_learned);
        model_on_catalogue.map(|model_on_catalogue| model_on_catalogue.trained.version)
    }

    fn push(&mut self, name: &'static str, source: Source, applied: Option<AppliedPart>) {
        self.parts
            .extend(applied.map(|applied| Part::new(name, source, applied)));
    }

    fn push_scaled(&mut self, name: &'static str, source: Source, scale: f32) {
        self.push(name, source, Some(AppliedPart { scale, mean: 0.0 }));
    }

    /// The scores of all movies by content and by taste, by row.
    fn score_tags(&self) -> [Vec<f32>; 2] {
        let [mut content, taste] = self.context.catalogue.score_tags(&self.user.tags);
        if !self.context.uses_content {
            content.fill(0.0);
        }
        [content, taste]
    }

    fn score_by_tags(&mut self, source: Source, name: &'static str) {
        let [content, taste] = self.score_tags();
        let (mut rows, stated) = match source {
            Source::Taste => (
                taste,
                self.user.stated.values().map(|value| value.abs()).sum(),
            ),
            _ => (content, 0.0_f32),
        };
        let weights: f32 = self
            .user
            .movies
            .iter()
            .map(|movie| movie.weight.abs())
            .sum();
        let scale = 1.0 / (weights + stated).max(1.0);
        rows.iter_mut().for_each(|score| *score *= scale);
        self.rows = rows;
        self.push_scaled(name, source, scale);
    }

    fn score_by_popularity(&mut self) {
        let greatest = self.rules.max_popularity;
        let scale = if greatest > 0.0 {
            1.0 / greatest as f32
        } else {
            0.0
        };
        let popularity = self.context.catalogue.popularity().iter();
        self.rows = popularity.map(|value| *value as f32 * scale).collect();
        self.push_scaled("popularity", Source::Popularity, scale);
    }

    /// Scores by one learned model alone; `None` if it is not live.
    fn score_by(&mut self, name: ModelName) -> Option<()> {
        let scorer = self.model(name)?;
        self.score_by_model(scorer, name);
        Some(())
    }

    /// Scores by one learned model alone, over the movies that it covers.
    fn score_by_model(&mut self, scorer: Arc<dyn Scorer>, name: ModelName) {
        let Some(model_on_catalogue) = self.context.model_on_catalogue else {
            return;
        };
        let mut own = vec![0.0; scorer.items()];
        scorer.score(self.user.history(), &mut own);
        let greatest = own
            .iter()
            .fold(0.0_f32, |greatest, score| greatest.max(score.abs()));
        // Counts have no scale of their own.
        let scale = match name {
            ModelName::Popularity if greatest > 0.0 => 1.0 / greatest,
            _ => 1.0,
        };
        let rows = self.context.catalogue.len();
        self.rows = vec![0.0; rows];
        let mut covered = Bitmap::with_rows(rows);
        for (column, row) in model_on_catalogue.places() {
            self.rows[row] = scale * own[column];
            covered.insert(u32::try_from(row).unwrap_or(u32::MAX));
        }
        self.covered = Some(covered);
        self.push_scaled(name.as_str(), Source::Learned(scorer), scale);
    }

    /// Removes the rows without a score from `rows`.
    pub fn keep_covered(&self, rows: &mut Bitmap) {
        if let Some(covered) = &self.covered {
            rows.intersect(covered);
        }
    }

    /// Writes the scores of the rows from `first` on, in single precision.
    pub fn estimate(&self, first: usize, scores: &mut [f32]) {
        if self.strategy == Strategy::Rules {
            self.rules
                .estimate(self.context.catalogue, &self.genre_worth, first, scores);
        } else {
            scores.copy_from_slice(&self.rows[first..first + scores.len()]);
        }
    }

    /// The score of the movie in `row`.
    pub fn score(&self, row: usize) -> f64 {
        if self.strategy == Strategy::Rules {
            let movie = self.context.catalogue.candidate(row);
            self.rules.score(self.rules.values(movie))
        } else {
            f64::from(self.rows[row])
        }
    }

    /// The names of the parts of a score.
    pub fn parts(&self) -> Vec<&'static str> {
        if self.strategy == Strategy::Rules {
            return vec!["popularity", "recency", "genre_match"];
        }
        self.parts.iter().map(|part| part.name).collect()
    }
}
