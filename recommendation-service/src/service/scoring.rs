//! What every film is worth to one user, and why. Pure: the catalogue, the models and the time come in.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use filter::{Bitmap, FacetKind, code};
use recommender::{
    History, LEARNED_FAMILIARITY, ModelName, Scorer, Standardization, TrainedModels,
    add_standardized,
    content::{self, CONTENT_WEIGHT, TASTE_WEIGHT, TagProfile, TagVector},
    personal_share, standardize,
};

use super::{
    ranking::rounded,
    rules::{Context, days_since_epoch},
};
use crate::models::{
    Catalogue, Evidence, FilmTags, HalfLife, LIKED_STARS, ListedFilm, PartWeights, Profile,
    Reaction, Strategy, Weights,
};

/// The least say of the rules where no learned model has one: nothing else knows what others think of a film.
const RULES_ALONE: f32 = 0.3;
/// A taste edit of this is worth a like of today.
const EDIT_OF_A_LIKE: f64 = 5.0;
/// So many of a user's films are named for a film in a list.
const BECAUSE: usize = 3;
/// A film of the user's that makes less of the score than this is no reason.
const WORTH_NAMING: f32 = 0.1;

/// No column, or no row.
const NONE: u32 = u32::MAX;

/// A version of the learned models, laid over the rows of a catalogue.
#[derive(Clone)]
pub struct Placed {
    /// The version.
    pub trained: Arc<TrainedModels>,
    /// The row of each column; [`u32::MAX`] for a film that is not in the catalogue.
    rows: Arc<[u32]>,
}

impl Placed {
    /// Finds the films of `trained` in `catalogue`.
    #[must_use]
    pub fn new(trained: Arc<TrainedModels>, catalogue: &Catalogue) -> Self {
        let row = |id: &i64| {
            let row = catalogue.row(*id).and_then(|row| u32::try_from(row).ok());
            row.unwrap_or(NONE)
        };
        let rows = trained.films().iter().map(row).collect();
        Self { trained, rows }
    }

    /// The columns of films that are in the catalogue, with their rows.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        let places = self.rows.iter().enumerate();
        places
            .filter(|(_, row)| **row != NONE)
            .map(|(column, row)| (column, *row as usize))
    }
}

/// Whose films are to be scored, and by what.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The films.
    pub catalogue: &'a Catalogue,
    /// The learned models; none: none are live.
    pub placed: Option<&'a Placed>,
    /// The user.
    pub profile: &'a Profile,
    /// The weights of the rules.
    pub rules: Weights,
    /// How much the parts of the blend count.
    pub weights: PartWeights,
    /// How fast what they did loses weight.
    pub half_life: HalfLife,
    /// Whether films are compared by what they are about.
    pub uses_content: bool,
    /// Now.
    pub now: DateTime<Utc>,
}

/// Why films cannot be scored so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotTrained {
    /// No version of the learned models is live, or the live one has no such model.
    #[error("no model `{}` is live", .0.as_str())]
    Model(Strategy),
}

/// A film of the user.
struct Known {
    id: i64,
    weight: f32,
    vector: TagVector,
}

/// What adds to the score of a film, and how: `scale · (its own score − mean)`.
struct Part {
    name: &'static str,
    source: Source,
    scale: f32,
    mean: f32,
}

enum Source {
    /// A learned model.
    Learned(Arc<dyn Scorer>),
    /// What films are about.
    Content,
    /// The user's taste.
    Taste,
    /// The rules together.
    Rules,
    /// A film's popularity at TMDB.
    Popularity,
    /// What stands in for the learned models where they do not know the film.
    StandIn,
}

/// What films that no learned model knows get in place of what these say: `base + slope · content`, which
/// fits best what these say of the films that they know.
#[derive(Clone, Copy, Default)]
struct StandIn {
    base: f32,
    slope: f32,
}

impl StandIn {
    /// The line's value where content says this.
    fn at(self, content: f32) -> f32 {
        self.base + self.slope * content
    }
}

/// Every film's worth to a user.
pub struct Scores<'a> {
    question: Question<'a>,
    /// By what films were scored.
    pub strategy: Strategy,
    /// The rules, over the films that can be in the list.
    pub rules: Context,
    genre_worth: Vec<f32>,
    known: Vec<Known>,
    edits: HashMap<u32, f32>,
    tags: TagProfile,
    columns: Vec<u32>,
    column_weights: Vec<f32>,
    /// The known film of each column.
    owners: Vec<usize>,
    parts: Vec<Part>,
    stand_in: StandIn,
    /// What brings content to mean 0 and variance 1, where it is a part of the blend.
    content: Standardization,
    /// The scores by row; empty where they are the rules'.
    rows: Vec<f32>,
    /// The rows that have a score; none: all of them.
    covered: Option<Bitmap>,
}

impl<'a> Scores<'a> {
    /// Scores all films by `strategy` for a list that can have the films in `candidates`, of which
    /// `max_popularity` is the largest popularity.
    ///
    /// # Errors
    /// The strategy needs a learned model that is not there.
    pub fn new(
        question: Question<'a>,
        strategy: Strategy,
        max_popularity: f64,
    ) -> Result<Self, NotTrained> {
        let catalogue = question.catalogue;
        let preferences = question.profile.preferences();
        let genres = preferences.map_or(&[][..], |preferences| &preferences.preferred_genres);
        let rules = Context {
            weights: question.rules,
            max_popularity,
            preferred: catalogue.genre_set(genres),
            has_preferred: !genres.is_empty(),
            today: days_since_epoch(question.now),
        };
        let mut scores = Self {
            question,
            strategy,
            rules,
            genre_worth: rules.genre_worth(catalogue),
            known: Vec::new(),
            edits: HashMap::new(),
            tags: TagProfile::default(),
            columns: Vec::new(),
            column_weights: Vec::new(),
            owners: Vec::new(),
            parts: Vec::new(),
            stand_in: StandIn::default(),
            content: Standardization {
                mean: 0.0,
                scale: 0.0,
            },
            rows: Vec::new(),
            covered: None,
        };
        if strategy == Strategy::Rules {
            return Ok(scores);
        }
        scores.look_at_user();
        match strategy {
            Strategy::Blend => scores.blend(),
            Strategy::Rules => {}
            Strategy::Content if !question.uses_content => {
                return Err(NotTrained::Model(strategy));
            }
            Strategy::Content => scores.by_tags(Source::Content, "content"),
            Strategy::Taste => scores.by_tags(Source::Taste, "taste"),
            Strategy::Popularity => match scores.model(ModelName::Popularity) {
                Some(scorer) => scores.by_model(scorer, "popularity"),
                None => scores.by_popularity(),
            },
            Strategy::Ease | Strategy::Ials | Strategy::Spectral => {
                let name = match strategy {
                    Strategy::Ease => ModelName::Ease,
                    Strategy::Ials => ModelName::Ials,
                    _ => ModelName::Spectral,
                };
                let scorer = scores.model(name).ok_or(NotTrained::Model(strategy))?;
                scores.by_model(scorer, name.as_str());
            }
        }
        Ok(scores)
    }

    fn model(&self, name: ModelName) -> Option<Arc<dyn Scorer>> {
        let parts = self.question.placed?.trained.parts();
        let part = parts.iter().find(|part| part.name == name)?;
        Some(Arc::clone(&part.scorer))
    }

    /// The version of the learned models that was asked, if any was.
    #[must_use]
    pub fn model_version(&self) -> Option<i64> {
        let learned = self
            .parts
            .iter()
            .any(|part| matches!(part.source, Source::Learned(_)));
        let placed = self.question.placed.filter(|_| learned);
        placed.map(|placed| placed.trained.version())
    }

    fn look_at_user(&mut self) {
        let Question {
            catalogue,
            profile,
            now,
            half_life,
            ..
        } = self.question;
        let films = catalogue.films();
        for (id, weight) in Evidence::of(profile, now, half_life).films() {
            let row = catalogue.row(*id);
            let vector = row.map_or_else(TagVector::default, |row| catalogue.vector(row));
            // Films come by their ids, and so do columns.
            if *weight > 0.0
                && let Some(placed) = self.question.placed
                && let Some(column) = placed.trained.column(*id)
            {
                self.columns.push(column);
                self.column_weights.push(*weight);
                self.owners.push(self.known.len());
            }
            self.known.push(Known {
                id: *id,
                weight: *weight,
                vector,
            });
        }
        let edits = profile.preferences().map(|p| p.taste_edits.as_slice());
        for edit in edits.unwrap_or_default() {
            let facet = match edit.kind.as_str() {
                "genre" => edit.tag.parse().ok().map(|id| (FacetKind::Genre, id)),
                "keyword" => edit.tag.parse().ok().map(|id| (FacetKind::Keyword, id)),
                "person" => edit.tag.parse().ok().map(|id| (FacetKind::Person, id)),
                "language" => code(&edit.tag).map(|code| (FacetKind::Language, code)),
                _ => None,
            };
            if let Some(number) = facet.and_then(|facet| films.find_facet_id(facet)) {
                let value = (edit.score / EDIT_OF_A_LIKE) as f32;
                if value.is_finite() {
                    self.edits.insert(number, value);
                }
            }
        }
        let films = self.known.iter().map(|known| (&known.vector, known.weight));
        self.tags = TagProfile::new(films, &self.edits);
    }

    fn history(&self) -> History<'_> {
        History {
            items: &self.columns,
            weights: &self.column_weights,
        }
    }

    /// What all films score by content and by taste, a row each.
    fn score_by_tags(&self) -> [Vec<f32>; 2] {
        let catalogue = self.question.catalogue;
        let [mut content, taste] = self
            .tags
            .score(&FilmTags(catalogue.films()), catalogue.norms());
        if !self.question.uses_content {
            content.fill(0.0);
        }
        [content, taste]
    }

    fn by_tags(&mut self, source: Source, name: &'static str) {
        let [content, taste] = self.score_by_tags();
        let (mut rows, edits) = match source {
            Source::Taste => (taste, self.edits.values().map(|value| value.abs()).sum()),
            _ => (content, 0.0_f32),
        };
        let weights: f32 = self.known.iter().map(|known| known.weight.abs()).sum();
        let scale = 1.0 / (weights + edits).max(1.0);
        rows.iter_mut().for_each(|score| *score *= scale);
        self.rows = rows;
        self.parts.push(Part {
            name,
            source,
            scale,
            mean: 0.0,
        });
    }

    fn by_popularity(&mut self) {
        let most = self.rules.max_popularity;
        let scale = if most > 0.0 { 1.0 / most as f32 } else { 0.0 };
        let popularity = self.question.catalogue.popularity().iter();
        self.rows = popularity.map(|value| *value as f32 * scale).collect();
        self.parts.push(Part {
            name: "popularity",
            source: Source::Popularity,
            scale,
            mean: 0.0,
        });
    }

    /// By one learned model alone, over the films that it knows.
    fn by_model(&mut self, scorer: Arc<dyn Scorer>, name: &'static str) {
        let Some(placed) = self.question.placed else {
            return;
        };
        let mut own = vec![0.0; scorer.items()];
        scorer.score(self.history(), &mut own);
        let most = own
            .iter()
            .fold(0.0_f32, |most, score| most.max(score.abs()));
        // What is popular is told by how it compares with the most popular.
        let scale = match name {
            "popularity" if most > 0.0 => 1.0 / most,
            _ => 1.0,
        };
        let rows = self.question.catalogue.len();
        self.rows = vec![0.0; rows];
        let mut covered = Bitmap::with_rows(rows);
        for (column, row) in placed.places() {
            self.rows[row] = scale * own[column];
            covered.insert(u32::try_from(row).unwrap_or(NONE));
        }
        self.covered = Some(covered);
        self.parts.push(Part {
            name,
            source: Source::Learned(scorer),
            scale,
            mean: 0.0,
        });
    }

    /// The rows of known films, rising, as whoever standardizes leaves them out.
    fn known_rows(&self) -> Vec<u32> {
        let rows = self.known.iter().filter_map(|known| {
            let row = self.question.catalogue.row(known.id)?;
            u32::try_from(row).ok()
        });
        let mut rows: Vec<u32> = rows.collect();
        rows.sort_unstable();
        rows
    }

    /// The blend: learned models, content, taste and rules, each standardized over the films that the user
    /// does not know; content and taste over those of them that learned models know, if there are any. They
    /// are weighed by what they know of the user: for `n` films that it can read something from, a part has
    /// `n / (n + familiarity)` of its say, and the rules have what the best informed part leaves, but never
    /// less than [`RULES_ALONE`] where no learned model has a say. A user of whom nothing is known gets the
    /// rules alone.
    ///
    /// A film that no learned model knows gets, in the place of what these would say, the value that a
    /// line through the films that they do know gives it by its content (least squares). So it is listed as
    /// high as films like it are for this user, and no higher than their likeness explains.
    fn blend(&mut self) {
        let question = self.question;
        let told = self.known.iter().filter(|known| !known.vector.is_empty());
        let by_content = personal_share(content::FAMILIARITY, told.clone().count());
        let by_taste = personal_share(content::FAMILIARITY, told.count() + self.edits.len());
        let by_learned = personal_share(LEARNED_FAMILIARITY, self.columns.len());
        let best_informed = by_learned.max(by_content).max(by_taste);
        let weights = question.weights;
        if best_informed == 0.0 {
            self.strategy = Strategy::Rules;
            return;
        }
        let by_rules = match by_learned {
            0.0 => (1.0 - best_informed).max(RULES_ALONE),
            _ => 1.0 - best_informed,
        };
        let rows = question.catalogue.len();
        let mut total = vec![0.0_f32; rows];
        let known_rows = self.known_rows();
        let ones = vec![1.0; known_rows.len()];
        let known = History {
            items: &known_rows,
            weights: &ones,
        };

        let [mut content, taste] = self.score_by_tags();
        let (content_weight, taste_weight) = match question.placed {
            Some(Placed { trained, .. }) if by_learned > 0.0 => {
                (trained.content_weight(), trained.taste_weight())
            }
            _ => (CONTENT_WEIGHT, TASTE_WEIGHT),
        };
        self.content = self.standardize(&content, known, by_learned);
        let standard = self.content;
        let weight = content_weight * weights.content * by_content;
        self.add(
            &mut total,
            &content,
            ("content", Source::Content),
            standard,
            weight,
        );
        // What a film that no model knows is judged by, even where content has no say itself.
        for score in &mut content {
            *score = standard.scale * (*score - standard.mean);
        }
        let standard = self.standardize(&taste, known, by_learned);
        let weight = taste_weight * weights.taste * by_taste;
        self.add(
            &mut total,
            &taste,
            ("taste", Source::Taste),
            standard,
            weight,
        );
        let weight = weights.rules * by_rules;
        if weight != 0.0 {
            let mut own = vec![0.0_f32; rows];
            for (block, scores) in own.chunks_mut(4096).enumerate() {
                self.rules
                    .estimate(question.catalogue, &self.genre_worth, block * 4096, scores);
            }
            let standard = standardize(&own, known);
            self.add(&mut total, &own, ("rules", Source::Rules), standard, weight);
        }
        if by_learned > 0.0
            && weights.learned > 0.0
            && let Some(placed) = question.placed
        {
            let share = by_learned * weights.learned;
            let learned = self.learned(placed, share);
            self.stand_in = stand_in(placed, &learned, &content);
            self.parts.push(Part {
                name: "stand_in",
                source: Source::StandIn,
                scale: 1.0,
                mean: 0.0,
            });
            let mut is_covered = vec![false; rows];
            for (column, row) in placed.places() {
                total[row] += learned[column];
                is_covered[row] = true;
            }
            let line = self.stand_in;
            let others = total.iter_mut().zip(&content).zip(&is_covered);
            for ((total, content), _) in others.filter(|(_, covered)| !**covered) {
                *total += line.at(*content);
            }
        }
        self.rows = total;
    }

    /// The standard of what content or taste says of all films: over the films that learned models know where
    /// these have a say, as they are weighed against each other there.
    fn standardize(&self, own: &[f32], known: History<'_>, by_learned: f32) -> Standardization {
        match self.question.placed {
            Some(placed) if by_learned > 0.0 => {
                let of = |row: &u32| own.get(*row as usize).copied().unwrap_or_default();
                let by_column: Vec<f32> = placed.rows.iter().map(of).collect();
                standardize(&by_column, self.history())
            }
            _ => standardize(own, known),
        }
    }

    /// Adds what a part says to `total`, unless it has no say.
    fn add(
        &mut self,
        total: &mut [f32],
        own: &[f32],
        (name, source): (&'static str, Source),
        standard: Standardization,
        weight: f32,
    ) {
        if weight == 0.0 {
            return;
        }
        add_standardized(total, own, standard, weight);
        self.parts.push(Part {
            name,
            source,
            scale: weight * standard.scale,
            mean: standard.mean,
        });
    }

    /// What the learned models say together, by column, with `share` of the say.
    fn learned(&mut self, placed: &Placed, share: f32) -> Vec<f32> {
        let trained = &placed.trained;
        let personal = personal_share(trained.familiarity(), self.columns.len());
        let mut total = vec![0.0; trained.films().len()];
        let mut own = vec![0.0; trained.films().len()];
        for part in trained.parts() {
            let among_like = if part.name.is_personal() {
                personal
            } else {
                1.0 - personal
            };
            let weight = share * among_like * part.weight;
            if weight == 0.0 {
                continue;
            }
            part.scorer.score(self.history(), &mut own);
            let standard = standardize(&own, self.history());
            let source = Source::Learned(Arc::clone(&part.scorer));
            self.add(
                &mut total,
                &own,
                (part.name.as_str(), source),
                standard,
                weight,
            );
        }
        total
    }

    /// The rows that have a score, of `rows`.
    pub fn keep_covered(&self, rows: &mut Bitmap) {
        if let Some(covered) = &self.covered {
            rows.intersect(covered);
        }
    }

    /// Writes the scores of the rows from `first` on, in single precision.
    pub fn estimate(&self, first: usize, scores: &mut [f32]) {
        if self.strategy == Strategy::Rules {
            self.rules
                .estimate(self.question.catalogue, &self.genre_worth, first, scores);
        } else {
            scores.copy_from_slice(&self.rows[first..first + scores.len()]);
        }
    }

    /// The score of the film in `row`.
    #[must_use]
    pub fn score(&self, row: usize) -> f64 {
        if self.strategy == Strategy::Rules {
            let film = self.question.catalogue.candidate(row);
            self.rules.score(self.rules.values(film))
        } else {
            f64::from(self.rows[row])
        }
    }

    /// What scores are made of.
    #[must_use]
    pub fn parts(&self) -> Vec<&'static str> {
        if self.strategy == Strategy::Rules {
            return vec!["popularity", "recency", "genre_match"];
        }
        self.parts.iter().map(|part| part.name).collect()
    }

    /// Why the films in `rows` have their scores, which are given with them in ten-thousandths.
    #[must_use]
    pub fn explain(&self, rows: &[(usize, i64)]) -> Vec<ListedFilm> {
        if self.strategy == Strategy::Rules {
            return rows
                .iter()
                .map(|(row, score)| self.explain_by_rules(*row, *score))
                .collect();
        }
        let placed = self.question.placed;
        let mut sums: Vec<Sums> = rows
            .iter()
            .map(|_| Sums::new(self.parts.len(), self.known.len()))
            .collect();
        let columns: Vec<(usize, u32)> = rows
            .iter()
            .enumerate()
            .filter_map(|(place, (row, _))| {
                let id = self.question.catalogue.id(*row);
                Some((place, placed?.trained.column(id)?))
            })
            .collect();
        let items: Vec<u32> = columns.iter().map(|(_, column)| *column).collect();
        for (number, part) in self.parts.iter().enumerate() {
            if let Source::Learned(scorer) = &part.source {
                let whys = scorer.explain_all(self.history(), &items);
                for ((place, _), why) in columns.iter().zip(whys) {
                    let sums = &mut sums[*place];
                    sums.parts[number] += part.scale * (why.total() - part.mean);
                    // Both follow the history.
                    for (one, owner) in why.contributions.iter().zip(&self.owners) {
                        sums.films[*owner] += part.scale * one.amount;
                    }
                }
            }
        }
        self.explain_by_tags(rows, &columns, &mut sums);
        let explained = rows.iter().zip(sums);
        explained
            .map(|((row, score), sums)| self.tell(*row, *score, &sums))
            .collect()
    }

    fn explain_by_rules(&self, row: usize, score: i64) -> ListedFilm {
        let film = self.question.catalogue.candidate(row);
        let values = self.rules.values(film);
        let weights = self.rules.weights;
        let amounts = [
            weights.popularity * values.popularity,
            weights.recency * values.recency,
            weights.genre_match * values.genre_match,
        ];
        ListedFilm {
            id: self.question.catalogue.id(row),
            score,
            amounts: apportion(&amounts, score),
            because: Vec::new(),
            others: (0, 0),
            reason: self.rules.reason(values),
        }
    }

    /// Adds to `sums` what all parts but learned models say of the films in `rows`, of which these know those
    /// in `columns`.
    fn explain_by_tags(&self, rows: &[(usize, i64)], columns: &[(usize, u32)], sums: &mut [Sums]) {
        let catalogue = self.question.catalogue;
        let is_known = |place: usize| columns.binary_search_by_key(&place, |(p, _)| *p).is_ok();
        for (place, ((row, _), sums)) in rows.iter().zip(sums.iter_mut()).enumerate() {
            // What a film's content and its taste are multiplied by, in all parts together.
            let (mut by_content, mut by_taste) = (0.0, 0.0);
            for part in &self.parts {
                match part.source {
                    Source::Content => by_content += part.scale,
                    Source::StandIn if !is_known(place) => {
                        by_content += self.stand_in.slope * self.content.scale;
                    }
                    Source::Taste => by_taste += part.scale,
                    _ => {}
                }
            }
            let vector = catalogue.vector(*row);
            let (mut content, mut taste) = (0.0, 0.0);
            for (value, edit, films) in self.tags.matches(&vector) {
                if let Some(edit) = edit {
                    taste += edit * value;
                    sums.edited += by_taste * edit * value;
                }
                // What the user says stands in place of what their films say.
                let taste_of_films = if edit.is_some() { 0.0 } else { 1.0 };
                for film in films {
                    let (own_content, own_taste) =
                        (film.content * value, film.taste * value * taste_of_films);
                    content += own_content;
                    taste += own_taste;
                    sums.films[film.position as usize] +=
                        by_content * own_content + by_taste * own_taste;
                }
            }
            for (part, sum) in self.parts.iter().zip(&mut sums.parts) {
                let raw = match part.source {
                    Source::Learned(_) => continue,
                    Source::StandIn => {
                        if !is_known(place) {
                            let standard = self.content;
                            *sum += self.stand_in.at(standard.scale * (content - standard.mean));
                        }
                        continue;
                    }
                    Source::Content => content,
                    Source::Taste => taste,
                    Source::Rules => {
                        let film = catalogue.candidate(*row);
                        self.rules.score(self.rules.values(film)) as f32
                    }
                    Source::Popularity => catalogue.popularity()[*row] as f32,
                };
                *sum += part.scale * (raw - part.mean);
            }
        }
    }

    fn tell(&self, row: usize, score: i64, sums: &Sums) -> ListedFilm {
        let parts: Vec<f64> = sums.parts.iter().map(|part| f64::from(*part)).collect();
        let mut films: Vec<(usize, f32)> = sums
            .films
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, amount)| *amount != 0.0)
            .collect();
        films.sort_by(|(_, one), (_, two)| two.total_cmp(one));
        let positive = films.iter().filter(|(_, amount)| *amount > 0.0).count();
        let rest = films.split_off(positive.min(BECAUSE));
        let others: f64 = rest.iter().map(|(_, amount)| f64::from(*amount)).sum();
        let ten_thousandths =
            |amount: f32| i32::try_from(rounded(f64::from(amount))).unwrap_or(i32::MAX);
        ListedFilm {
            id: self.question.catalogue.id(row),
            score,
            amounts: apportion(&parts, score),
            because: films
                .iter()
                .map(|(owner, amount)| (self.known[*owner].id, ten_thousandths(*amount)))
                .collect(),
            others: (
                u32::try_from(rest.len()).unwrap_or(u32::MAX),
                rounded(others),
            ),
            reason: self.reason(row, sums, &films),
        }
    }

    fn reason(&self, row: usize, sums: &Sums, films: &[(usize, f32)]) -> String {
        let all: f32 = sums.parts.iter().map(|part| part.max(0.0)).sum();
        let mut words = Vec::new();
        let first = films.first().filter(|(_, amount)| *amount > 0.0);
        let because = first.and_then(|(owner, amount)| {
            let id = self.known[*owner].id;
            let because = format!("because you {} {}", self.verb(id), self.title(id)?);
            Some((because, *amount >= WORTH_NAMING * all))
        });
        if let Some((because, true)) = &because {
            words.push(because.clone());
        }
        if sums.edited > WORTH_NAMING * all {
            words.push("fits the taste you described".to_owned());
        }
        let strongest = self
            .parts
            .iter()
            .zip(&sums.parts)
            .max_by(|(_, one), (_, two)| one.total_cmp(two));
        if let Some((part, amount)) = strongest
            && *amount > 0.0
        {
            match part.source {
                _ if part.name == "popularity" => words.push("popular now".to_owned()),
                Source::Rules => {
                    let values = self.rules.values(self.question.catalogue.candidate(row));
                    words.push(self.rules.reason(values));
                }
                Source::Content | Source::Taste if words.is_empty() => {
                    words.push("like films you like".to_owned());
                }
                _ => {}
            }
        }
        if words.is_empty() {
            words.push(match because {
                // Of many films each makes little of the score.
                Some((because, _)) => format!("{because}, among others"),
                None => "recommended for you".to_owned(),
            });
        }
        words.join(", ")
    }

    fn title(&self, id: i64) -> Option<&str> {
        let catalogue = self.question.catalogue;
        catalogue.row(id).map(|row| catalogue.title(row))
    }

    /// What the user did with film `id`, in a word.
    fn verb(&self, id: i64) -> &'static str {
        match self.question.profile.standing(id) {
            Some(standing) => match standing.reaction {
                Some(Reaction::Superlike) => "love",
                Some(Reaction::Like) => "liked",
                _ if standing.rating.is_some_and(|stars| stars >= LIKED_STARS) => "rated highly",
                _ if standing.completed_at.is_some() => "watched",
                _ if standing.bookmarked => "want to watch",
                _ => "watched some of",
            },
            None => "liked",
        }
    }
}

/// What adds up to the score of one film.
struct Sums {
    /// By part.
    parts: Vec<f32>,
    /// By film of the user.
    films: Vec<f32>,
    /// What the user says of their taste adds.
    edited: f32,
}

impl Sums {
    fn new(parts: usize, films: usize) -> Self {
        Self {
            parts: vec![0.0; parts],
            films: vec![0.0; films],
            edited: 0.0,
        }
    }
}

/// The line that fits best what learned models say of the films that they know, by their content.
fn stand_in(placed: &Placed, learned: &[f32], content: &[f32]) -> StandIn {
    let (mut count, mut x, mut y, mut xx, mut xy) = (0.0_f64, 0.0, 0.0, 0.0, 0.0);
    for (column, row) in placed.places() {
        let (content, learned) = (f64::from(content[row]), f64::from(learned[column]));
        count += 1.0;
        x += content;
        y += learned;
        xx += content * content;
        xy += content * learned;
    }
    if count == 0.0 {
        return StandIn::default();
    }
    let variance = xx / count - (x / count) * (x / count);
    let covariance = xy / count - (x / count) * (y / count);
    let slope = if variance > 1e-9 {
        (covariance / variance).max(0.0)
    } else {
        0.0
    };
    StandIn {
        base: ((y - slope * x) / count) as f32,
        slope: slope as f32,
    }
}

/// `amounts` in ten-thousandths, rounded so that they add up to `total`: what rounding leaves goes to
/// those that lost most by it (the method of largest remainders).
#[must_use]
pub fn apportion(amounts: &[f64], total: i64) -> Vec<i32> {
    let scaled: Vec<f64> = amounts.iter().map(|amount| amount * 10_000.0).collect();
    let mut whole: Vec<i64> = scaled.iter().map(|amount| amount.floor() as i64).collect();
    let mut order: Vec<usize> = (0..amounts.len()).collect();
    order.sort_by(|one, two| {
        let remainder = |place: usize| scaled[place] - scaled[place].floor();
        remainder(*two)
            .total_cmp(&remainder(*one))
            .then(one.cmp(two))
    });
    if let Ok(count) = i64::try_from(order.len())
        && count > 0
    {
        let left = total - whole.iter().sum::<i64>();
        let (each, rest) = (left.div_euclid(count), left.rem_euclid(count));
        for (rank, place) in (0..).zip(order) {
            whole[place] += each + i64::from(rank < rest);
        }
    }
    whole
        .into_iter()
        .map(|amount| i32::try_from(amount).unwrap_or(i32::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_apportioned_adds_up_and_stays_near(
            amounts in prop::collection::vec(-3.0_f64..3.0, 1..9),
        ) {
            let total = rounded(amounts.iter().sum());
            let whole = apportion(&amounts, total);
            prop_assert_eq!(whole.iter().map(|amount| i64::from(*amount)).sum::<i64>(), total);
            for (amount, whole) in amounts.iter().zip(whole) {
                prop_assert!((amount * 10_000.0 - f64::from(whole)).abs() <= 1.5);
            }
        }
    }
}
