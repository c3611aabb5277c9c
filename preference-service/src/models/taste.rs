//! Taste: the scores of tags, summed over a user's movies. Scores are not stored but computed from the user's states, so
//! the two can never differ:
//!
//! score(tag) = Σ over the user's movies with the tag: weight(movie)
//!
//! The weight of a movie is that of [`recommender::taste`], by which recommendation-service ranks.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use recommender::taste::{self, HalfLife, MovieActions};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{Reaction, UserMovie};

/// The kind of a tag.
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
    /// A director, or one of the first cast members.
    Person,
    /// The original language.
    Language,
}

/// The identity of a tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TagKey {
    /// A genre, keyword or person, by TMDB's id.
    Numbered(TagKind, i64),
    /// A language, by its ISO 639-1 code.
    Language(String),
}

impl TagKey {
    /// The kind.
    pub fn kind(&self) -> TagKind {
        match self {
            Self::Numbered(kind, _) => *kind,
            Self::Language(_) => TagKind::Language,
        }
    }

    /// The id, or a language's code, as text.
    pub fn tag(&self) -> String {
        match self {
            Self::Numbered(_, id) => id.to_string(),
            Self::Language(code) => code.clone(),
        }
    }

    /// Returns the key with this kind and the text of [`TagKey::tag`], `None` if that is not an id.
    pub fn new(kind: TagKind, tag: String) -> Option<Self> {
        Some(match kind {
            TagKind::Language => Self::Language(tag),
            numbered => Self::Numbered(numbered, tag.parse().ok()?),
        })
    }
}

/// The tags of a movie, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilmTags {
    /// Genres.
    pub genres: Vec<i64>,
    /// Keywords.
    pub keywords: Vec<i64>,
    /// Directors and the first cast members.
    pub people: Vec<i64>,
    /// The original language, an ISO 639-1 code.
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

impl From<&UserMovie> for MovieActions {
    fn from(state: &UserMovie) -> Self {
        Self {
            reaction: state.reaction.map(|reaction| match reaction {
                Reaction::Like => taste::Reaction::Like,
                Reaction::Dislike => taste::Reaction::Dislike,
                Reaction::Superlike => taste::Reaction::Superlike,
            }),
            reacted_at: state.reacted_at,
            is_bookmarked: state.bookmarked,
            bookmarked_at: state.bookmarked_at,
            // Half stars are exact.
            rating: state.rating.map(|rating| rating.stars() as f32),
            rated_at: state.rated_at,
            watched_seconds: state.watched_seconds,
            watched_at: state.watched_at,
            completed_at: state.completed_at,
            viewings: state.viewing_count,
            viewed_at: state.viewed_at,
        }
    }
}

/// Returns the weights of a user's movies at `now`, by key.
pub fn movie_weights<'a, K: Copy + Ord>(
    states: impl IntoIterator<Item = (K, &'a UserMovie)>,
    now: DateTime<Utc>,
    half_life: HalfLife,
) -> Vec<(K, f64)> {
    let actions = states.into_iter().map(|(key, state)| (key, state.into()));
    taste::weights(&actions.collect::<Vec<_>>(), now, half_life)
}

/// The scores of tags as they add up, movie by movie.
#[derive(Debug, Default)]
pub struct TasteScores(HashMap<TagKey, f64>);

impl TasteScores {
    /// Adds the weight of a movie to its tags.
    pub fn add(&mut self, tags: &FilmTags, weight: f64) {
        for key in tags.keys() {
            *self.0.entry(key).or_default() += weight;
        }
    }

    /// Returns at most `limit` scores of each kind, by descending absolute value. Scores that the user has set replace
    /// those that add up.
    pub fn profile(self, edits: Vec<TasteScore>, limit: usize) -> Vec<TasteScore> {
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
        scores.extend(edits.into_iter().map(|edit| (edit.key.clone(), edit)));
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

    /// Counts the tags whose scores differ from those of `other` by more than rounding.
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

/// A request to edit one tag's score.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TasteEditRequest)]
pub struct NewTasteEdit {
    /// The kind of the tag.
    pub kind: TagKind,
    /// The TMDB id of a genre, keyword or person.
    pub id: Option<i64>,
    /// Instead of the id, one of which is required: the name, if it is unique, or a language's ISO 639-1 code in lower
    /// case.
    #[schema(min_length = 1)]
    pub name: Option<String>,
    /// The score, -100 to 100; null removes the edit.
    #[serde(deserialize_with = "nullable")]
    #[schema(required, value_type = Option<f64>, minimum = -100, maximum = 100)]
    pub score: Option<f64>,
}

/// Deserializes a field that may be null but must be present.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::deserialize(deserializer)
}

/// The maximum absolute value of a score that a user sets.
pub const MAX_EDIT_SCORE: f64 = 100.0;

/// A user's score for a tag.
#[derive(Debug, Clone, PartialEq)]
pub struct TasteScore {
    /// The tag.
    pub key: TagKey,
    /// The score; negative if the user dislikes movies with the tag.
    pub score: f64,
    /// True if the user has set it.
    pub edited: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::models::{
        Action, EventContext, InteractionId, MovieId, Progress, Rating, UserId, Viewings,
    };

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("in range")
    }

    fn after(actions: &[Action]) -> UserMovie {
        let user = UserId::new(1).expect("positive");
        let mut state = UserMovie::new(user, MovieId::new(1).expect("positive"));
        let mut viewings = Viewings::default();
        for (number, action) in (1..).zip(actions) {
            let context = EventContext {
                id: InteractionId::new(number).expect("positive"),
                now: at(0),
                occurred_at: None,
            };
            if let Some(changed) = state.apply(&mut viewings, *action, &context) {
                state = changed.state;
            }
        }
        state
    }

    fn watch(position: i32) -> Action {
        Action::Watch(Progress::new(position, 6000).expect("within"))
    }

    #[test]
    fn actions_weigh_as_documented_and_a_change_of_mind_takes_back() {
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
            let weights = movie_weights([(1, &after(actions))], at(0), HalfLife::NEVER);
            let weight: f64 = weights.iter().map(|(_, weight)| weight).sum();
            assert!((weight - expected).abs() < 1e-12, "{actions:?}: {weight}");
        }
    }

    #[test]
    fn edits_replace_computed_scores_and_the_strongest_come_first() {
        let mut scores = TasteScores::default();
        let film = |genres: &[i64]| FilmTags {
            genres: genres.to_vec(),
            language: Some("ko".to_owned()),
            ..FilmTags::default()
        };
        scores.add(&film(&[18, 35]), 5.0);
        scores.add(&film(&[35, 27]), -8.0);
        let pinned = TagKey::Numbered(TagKind::Genre, 18);
        let edit = TasteScore {
            key: pinned.clone(),
            score: -1.0,
            edited: true,
        };
        let profile = scores.profile(vec![edit], 2);
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
        assert_eq!(TagKey::new(TagKind::Genre, "18".to_owned()), Some(pinned));
    }

    proptest! {
        #[test]
        fn scores_do_not_depend_on_the_order_of_movies(
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
