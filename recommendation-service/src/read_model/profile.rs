//! The profile of a user as ranking reads it: stated preferences, and the state towards each movie.

use std::collections::HashMap;

use chassis::language::Language;
use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IntoDeserializer, value::StrDeserializer},
};
use utoipa::ToSchema;

use crate::read_model::Revision;

/// A user's id: 1 and up, in the order of signing up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, minimum = 1, example = 1)]
pub struct UserId(i64);

impl UserId {
    /// The id, if it is 1 or more.
    pub fn new(id: i64) -> Option<Self> {
        (id > 0).then_some(Self(id))
    }

    /// The number.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| serde::de::Error::custom("invalid user ID"))
    }
}

/// The preferences of a user, as preference-service's feed sends them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// The user.
    pub user_id: i64,
    /// Increases with every change.
    pub version: i64,
    /// Names of genres.
    pub preferred_genres: Vec<String>,
    /// The only language of movies to recommend, ISO 639-1; `None` for any.
    pub preferred_language: Option<String>,
    /// The lowest vote average of movies to recommend, 0 to 10.
    pub min_rating: f64,
    /// The tastes that the user edited.
    #[serde(default)]
    pub taste_edits: Vec<TasteEdit>,
}

/// A taste that a user edited: their affinity for a tag.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TasteEdit {
    /// `genre`, `keyword`, `person` or `language`.
    pub kind: String,
    /// TMDB's id, or the code of a language.
    pub tag: String,
    /// The affinity, -100 to 100.
    pub score: f64,
}

/// A reaction of a user to a movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// Liked.
    Like,
    /// Liked very much.
    Superlike,
    /// Disliked.
    Dislike,
    /// A reaction that this version of the service does not support.
    #[serde(other)]
    Unknown,
}

impl From<&str> for Reaction {
    fn from(name: &str) -> Self {
        let name: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
        Self::deserialize(name).unwrap_or(Self::Unknown)
    }
}

/// The state of a user towards a movie: the latest reaction, bookmark, rating and watch progress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct InteractionState {
    /// The reaction.
    pub reaction: Option<Reaction>,
    /// The time of the reaction.
    pub reacted_at: Option<DateTime<Utc>>,
    /// True if the movie is on the watchlist.
    #[serde(default)]
    pub bookmarked: bool,
    /// The time of the bookmark.
    pub bookmarked_at: Option<DateTime<Utc>>,
    /// The rating in stars, 0.5 to 5.
    pub rating: Option<f32>,
    /// The time of the rating.
    pub rated_at: Option<DateTime<Utc>>,
    /// True if any of it was watched.
    #[serde(default)]
    pub watched: bool,
    /// The furthest position that was watched, in seconds.
    #[serde(default)]
    pub watched_seconds: i32,
    /// The time of the last watch event.
    pub watched_at: Option<DateTime<Utc>>,
    /// The time of the first completion; `None` if it was not watched to the end.
    pub completed_at: Option<DateTime<Utc>>,
    /// The number of times it was watched to the end, if more than once; else 0.
    #[serde(default)]
    pub viewings: i32,
    /// The time of the last of them.
    pub viewed_at: Option<DateTime<Utc>>,
}

impl InteractionState {
    /// True if the movie was completed or judged. One that was only begun or bookmarked may still be recommended.
    pub fn is_known(&self) -> bool {
        self.reaction.is_some() || self.rating.is_some() || self.completed_at.is_some()
    }
}

/// The latest interaction of a user with a movie and the state since, as preference-service's feed sends it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// The interaction's id; a later one of the same user is higher.
    pub id: i64,
    /// The user.
    pub user_id: i64,
    /// The movie.
    pub movie_id: i64,
    /// The time of the interaction.
    pub occurred_at: DateTime<Utc>,
    /// The time at which it was stored.
    pub created_at: DateTime<Utc>,
    /// The state since.
    pub state: InteractionState,
}

/// The profile of a user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    preferences: Option<Preferences>,
    /// By movie: the id of the latest interaction, and the state since.
    films: HashMap<i64, (i64, InteractionState)>,
    /// The time at which the newest applied interaction was stored.
    pub fresh_as_of: Option<DateTime<Utc>>,
    revision: Revision,
}

impl Profile {
    /// A profile without interactions.
    pub fn new(preferences: Preferences) -> Self {
        Self {
            preferences: Some(preferences),
            ..Self::default()
        }
    }

    /// The preferences; `None` if only interactions have arrived so far.
    pub fn preferences(&self) -> Option<&Preferences> {
        self.preferences.as_ref()
    }

    /// The language that the user prefers, if they stated one.
    pub fn preferred_language(&self) -> Option<Language> {
        Language::parse(self.preferences()?.preferred_language.as_deref()?)
    }

    /// The revision, another one after every change.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The state towards movie `id`, if there was any interaction.
    pub fn state(&self, id: i64) -> Option<&InteractionState> {
        self.films.get(&id).map(|(_, state)| state)
    }

    /// The profile with a hypothetical `change` of the state towards movie `id`.
    pub fn with_hypothetical(
        mut self,
        id: i64,
        change: impl FnOnce(&mut InteractionState),
    ) -> Self {
        change(&mut self.films.entry(id).or_default().1);
        self.revision = Revision::next();
        self
    }

    /// The profile with a hypothetical `change` of the preferences.
    pub fn with_hypothetical_preferences(mut self, change: impl FnOnce(&mut Preferences)) -> Self {
        if let Some(preferences) = &mut self.preferences {
            change(preferences);
            self.revision = Revision::next();
        }
        self
    }

    /// Stores preferences unless newer ones are known.
    pub(super) fn prefer(&mut self, preferences: Preferences) {
        let known = self.preferences.as_ref();
        if known.is_none_or(|known| known.version < preferences.version) {
            self.preferences = Some(preferences);
            self.revision = Revision::next();
        }
    }

    /// The movies that were completed or judged.
    pub fn known_films(&self) -> impl Iterator<Item = i64> {
        self.films
            .iter()
            .filter(|(_, (_, state))| state.is_known())
            .map(|(id, _)| *id)
    }

    /// The states by movie.
    pub fn films(&self) -> impl Iterator<Item = (i64, &InteractionState)> {
        self.films.iter().map(|(id, (_, state))| (*id, state))
    }

    pub(super) fn record(&mut self, interaction: &Interaction) {
        let known = self.films.get(&interaction.movie_id);
        if known.is_none_or(|(id, _)| *id < interaction.id) {
            let state = (interaction.id, interaction.state.clone());
            self.films.insert(interaction.movie_id, state);
            self.revision = Revision::next();
        }
        self.fresh_as_of = self.fresh_as_of.max(Some(interaction.created_at));
    }
}
