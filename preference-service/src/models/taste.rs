//! Taste: what a user's films have in common. It is not stored but computed from where the user
//! stands with each film, so it can never differ from that:
//!
//! score(tag) = Σ over the user's films with the tag, Σ over what they did: weight · 2^(−age ÷ half-life)
//!
//! What was taken back, or replaced by a change of mind, no longer stands and so no longer counts.

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Rating, Reaction, UserMovie};

const SUPERLIKE: f64 = 7.0;
const LIKE: f64 = 5.0;
const DISLIKE: f64 = -5.0;
const COMPLETION: f64 = 3.0;
const MINUTE: f64 = 0.1;
const BOOKMARK: f64 = 1.0;
/// A rating counts by how far it is from this, in stars, times the weight of a star.
const NEUTRAL_STARS: f64 = 3.0;
const STAR: f64 = 2.0;

const SECONDS_PER_DAY: f64 = 86_400.0;

/// What kind of thing a tag is; its id is of that kind.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
    sqlx::Type,
)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum TagKind {
    /// A genre.
    Genre,
    /// A keyword.
    Keyword,
    /// A director, or one of the first of the cast.
    Person,
    /// The language a film was made in.
    Language,
}

impl TagKind {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Genre, Self::Keyword, Self::Person, Self::Language];

    /// Its name, as clients and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Genre => "genre",
            Self::Keyword => "keyword",
            Self::Person => "person",
            Self::Language => "language",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

impl fmt::Display for TagKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Something that films are about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagKey {
    /// A genre, keyword or person, by TMDB's id.
    Numbered(TagKind, i64),
    /// A language, by its ISO 639-1 code.
    Language(String),
}

impl TagKey {
    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> TagKind {
        match self {
            Self::Numbered(kind, _) => *kind,
            Self::Language(_) => TagKind::Language,
        }
    }

    /// Its id, or the code of a language, as text.
    #[must_use]
    pub fn tag(&self) -> String {
        match self {
            Self::Numbered(_, id) => id.to_string(),
            Self::Language(code) => code.clone(),
        }
    }

    /// The key that [`TagKey::kind`] and [`TagKey::tag`] gave.
    #[must_use]
    pub fn parse(kind: &str, tag: &str) -> Option<Self> {
        Some(match TagKind::parse(kind)? {
            TagKind::Language => Self::Language(tag.to_owned()),
            numbered => Self::Numbered(numbered, tag.parse().ok()?),
        })
    }
}

/// What a film is about, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilmTags {
    /// Its genres.
    pub genres: Vec<i64>,
    /// Its keywords.
    pub keywords: Vec<i64>,
    /// Its people.
    pub people: Vec<i64>,
    /// Its language.
    pub language: Option<String>,
}

impl FilmTags {
    fn keys(&self) -> impl Iterator<Item = TagKey> {
        let numbered = |kind: TagKind, ids: &[i64]| {
            ids.iter()
                .map(|id| TagKey::Numbered(kind, *id))
                .collect::<Vec<_>>()
        };
        numbered(TagKind::Genre, &self.genres)
            .into_iter()
            .chain(numbered(TagKind::Keyword, &self.keywords))
            .chain(numbered(TagKind::Person, &self.people))
            .chain(self.language.clone().map(TagKey::Language))
    }
}

/// How fast what was done loses weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfLife {
    /// After so many days it weighs half; 0: it never loses any.
    pub days: f64,
}

impl HalfLife {
    fn factor(self, age_seconds: f64) -> f64 {
        if self.days <= 0.0 {
            return 1.0;
        }
        (-age_seconds.max(0.0) / SECONDS_PER_DAY / self.days).exp2()
    }
}

/// How much a film says of a user's taste at `now`.
#[must_use]
pub fn weight(state: &UserMovie, now: DateTime<Utc>, half_life: HalfLife) -> f64 {
    let reaction = state.reaction.value.map(|reaction| match reaction {
        Reaction::Superlike => SUPERLIKE,
        Reaction::Like => LIKE,
        Reaction::Dislike => DISLIKE,
    });
    let rating = state.rating.value.map(Rating::stars);
    let watch = &state.watch;
    [
        (reaction, state.reaction.since()),
        (
            state.bookmark.value.map(|()| BOOKMARK),
            state.bookmark.since(),
        ),
        (
            rating.map(|stars| (stars - NEUTRAL_STARS) * STAR),
            state.rating.since(),
        ),
        (
            Some(f64::from(watch.watched_seconds / 60) * MINUTE),
            watch.mark.map(|mark| mark.at),
        ),
        (
            watch.completed.map(|_| COMPLETION),
            watch.completed.map(|mark| mark.at),
        ),
    ]
    .into_iter()
    .filter_map(|(weight, at)| weight.zip(at))
    .map(|(weight, at)| {
        let age = (now - at).as_seconds_f64();
        weight * half_life.factor(age)
    })
    .sum()
}

/// Scores of tags as they add up, film by film.
#[derive(Debug, Default)]
pub struct TasteScores(HashMap<TagKey, f64>);

impl TasteScores {
    /// Adds what a film says.
    pub fn add(&mut self, tags: &FilmTags, weight: f64) {
        if weight == 0.0 {
            return;
        }
        for key in tags.keys() {
            *self.0.entry(key).or_default() += weight;
        }
    }

    /// The scores, with those that the user pins in place of what adds up; of each kind at most
    /// `limit`, the strongest first, be it for or against.
    #[must_use]
    pub fn profile(self, edits: &[TasteEdit], limit: usize) -> Vec<TasteScore> {
        let mut scores: HashMap<TagKey, TasteScore> = self
            .0
            .into_iter()
            .map(|(key, score)| {
                let score = TasteScore {
                    key: key.clone(),
                    score,
                    edited: false,
                };
                (key, score)
            })
            .collect();
        for edit in edits {
            let edited = TasteScore {
                key: edit.key.clone(),
                score: edit.score,
                edited: true,
            };
            scores.insert(edit.key.clone(), edited);
        }
        let mut scores: Vec<TasteScore> = scores.into_values().collect();
        scores.sort_unstable_by(|one, other| {
            one.key
                .kind()
                .cmp(&other.key.kind())
                .then(other.score.abs().total_cmp(&one.score.abs()))
                .then_with(|| one.key.cmp(&other.key))
        });
        let mut taken: HashMap<TagKind, usize> = HashMap::new();
        scores.retain(|score| {
            let taken = taken.entry(score.key.kind()).or_default();
            *taken += 1;
            *taken <= limit
        });
        scores
    }

    /// In how many tags they differ from `other`, rounding apart.
    #[must_use]
    pub fn differences(&self, other: &Self) -> usize {
        let differs = |key: &TagKey| {
            let score = |scores: &Self| scores.0.get(key).copied().unwrap_or_default();
            (score(self) - score(other)).abs() > 1e-9
        };
        let only_there = other.0.keys().filter(|key| !self.0.contains_key(*key));
        self.0
            .keys()
            .chain(only_there)
            .filter(|key| differs(key))
            .count()
    }
}

/// What a user says of their own taste.
#[derive(Debug, Clone, PartialEq)]
pub struct TasteEdit {
    /// Of which tag.
    pub key: TagKey,
    /// How much they like it.
    pub score: f64,
}

/// The highest score that a user may give, and the lowest below zero.
pub const STRONGEST_EDIT: f64 = 100.0;

/// How much a user likes what films are about.
#[derive(Debug, Clone, PartialEq)]
pub struct TasteScore {
    /// The tag.
    pub key: TagKey,
    /// How much; below zero: they do not.
    pub score: f64,
    /// Whether the user said so.
    pub edited: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::{Action, InteractionId, MovieId, EventContext, Progress, UserId};

    const NEVER: HalfLife = HalfLife { days: 0.0 };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("in range")
    }

    fn after(actions: &[Action]) -> UserMovie {
        let mut state = UserMovie::default();
        for (number, action) in (1..).zip(actions) {
            let context = EventContext {
                id: InteractionId::new(number).expect("positive"),
                now: at(0),
                occurred_at: None,
            };
            let user = UserId::new(1).expect("positive");
            let movie = MovieId::new(1).expect("positive");
            if let Some(changed) = state.apply(user, movie, *action, &context) {
                state = changed.state;
            }
        }
        state
    }

    fn watch(position: i32) -> Action {
        Action::Watch(Progress::new(position, 6000).expect("within"))
    }

    #[test]
    fn what_users_do_weighs_as_agreed_and_a_change_of_mind_takes_back() {
        let like = Action::React(Some(Reaction::Like));
        let dislike = Action::React(Some(Reaction::Dislike));
        let superlike = Action::React(Some(Reaction::Superlike));
        let rate = |halves| Action::Rate(Rating::from_half_stars(halves));
        for (actions, expected) in [
            (&[superlike][..], 7.0),
            (&[like], 5.0),
            (&[like, dislike], -5.0),
            (&[like, Action::React(None)], 0.0),
            (&[Action::Bookmark(true)], 1.0),
            (&[rate(10)], 4.0),
            (&[rate(6)], 0.0),
            (&[rate(1)], -5.0),
            (&[watch(119)], 0.1),
            (&[watch(600), watch(60), watch(600)], 1.0),
            (&[watch(5400)], 12.0),
            (&[Action::Complete], 3.0),
            (&[watch(5400), Action::ForgetWatch], 0.0),
        ] {
            let weight = weight(&after(actions), at(0), NEVER);
            assert!((weight - expected).abs() < 1e-12, "{actions:?}: {weight}");
        }
    }

    #[test]
    fn after_its_half_life_it_weighs_half() {
        let state = after(&[Action::React(Some(Reaction::Superlike))]);
        let half_life = HalfLife { days: 10.0 };
        for (days, expected) in [(0, 7.0), (10, 3.5), (20, 1.75), (-1, 7.0)] {
            let weight = weight(&state, at(days * 86_400), half_life);
            assert!((weight - expected).abs() < 1e-12, "{days}: {weight}");
        }
    }

    #[test]
    fn an_edit_stands_whatever_was_done_and_the_strongest_come_first() {
        let mut scores = TasteScores::default();
        let film = |genres: &[i64]| FilmTags {
            genres: genres.to_vec(),
            language: Some("ko".to_owned()),
            ..FilmTags::default()
        };
        scores.add(&film(&[18, 35]), 5.0);
        scores.add(&film(&[35, 27]), -8.0);
        let pinned = TagKey::Numbered(TagKind::Genre, 18);
        let edits = [TasteEdit {
            key: pinned.clone(),
            score: -1.0,
        }];
        let profile = scores.profile(&edits, 2);
        let shown: Vec<(String, f64, bool)> = profile
            .iter()
            .map(|score| (score.key.tag(), score.score, score.edited))
            .collect();
        assert_eq!(
            shown,
            [
                ("27".to_owned(), -8.0, false),
                ("35".to_owned(), -3.0, false),
                ("ko".to_owned(), -3.0, false)
            ]
        );
        assert_eq!(TagKey::parse("genre", "18"), Some(pinned));
    }

    proptest! {
        #[test]
        fn the_order_of_films_does_not_matter(
            films in prop::collection::vec((prop::collection::vec(0..5_i64, 0..4), -8..8_i32), 0..20),
        ) {
            let sum = |films: &mut dyn Iterator<Item = &(Vec<i64>, i32)>| {
                let mut scores = TasteScores::default();
                for (genres, weight) in films {
                    let tags = FilmTags { genres: genres.clone(), ..FilmTags::default() };
                    scores.add(&tags, f64::from(*weight));
                }
                scores
            };
            let (there, back) = (sum(&mut films.iter()), sum(&mut films.iter().rev()));
            prop_assert_eq!(there.differences(&back), 0);
        }
    }
}
