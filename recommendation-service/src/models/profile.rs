//! Users as scoring reads them: what they say they prefer, and what they did.

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IntoDeserializer, value::StrDeserializer},
};
use utoipa::ToSchema;

use super::Revision;

/// A user's id: 1 and up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = i64, minimum = 1, example = 1)]
pub struct UserId(i64);

impl UserId {
    /// `id`, if it can be one.
    #[must_use]
    pub fn new(id: i64) -> Option<Self> {
        (id > 0).then_some(Self(id))
    }

    /// The number.
    #[must_use]
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

/// What a user says to prefer, as preference-service's feed tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preferences {
    /// Whose they are.
    pub user_id: i64,
    /// Rises with every change.
    pub version: i64,
    /// Names of genres.
    pub preferred_genres: Vec<String>,
    /// The only language of films to recommend; none: any.
    pub preferred_language: Option<String>,
    /// The lowest average vote of films to recommend, 0 to 10.
    pub min_rating: f64,
    /// What they say of their taste.
    #[serde(default)]
    pub taste_edits: Vec<TasteEdit>,
}

/// What a user says of what films are about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TasteEdit {
    /// `genre`, `keyword`, `person` or `language`.
    pub kind: String,
    /// TMDB's id, or the code of a language.
    pub tag: String,
    /// How much they like it, -100 to 100.
    pub score: f64,
}

/// What a user thinks of a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// They like it.
    Like,
    /// They like it very much.
    Superlike,
    /// They do not like it.
    Dislike,
    /// Something that this version of the service does not know.
    #[serde(other)]
    Unknown,
}

impl From<&str> for Reaction {
    fn from(name: &str) -> Self {
        let name: StrDeserializer<'_, serde::de::value::Error> = name.into_deserializer();
        Self::deserialize(name).unwrap_or(Self::Unknown)
    }
}

/// Where a user stands with a film.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// What they think of it.
    pub reaction: Option<Reaction>,
    /// Since when.
    pub reacted_at: Option<DateTime<Utc>>,
    /// Whether they want to see it.
    #[serde(default)]
    pub bookmarked: bool,
    /// Since when.
    pub bookmarked_at: Option<DateTime<Utc>>,
    /// How many stars they give it, 0.5 to 5.
    pub rating: Option<f32>,
    /// Since when.
    pub rated_at: Option<DateTime<Utc>>,
    /// Whether they have seen any of it.
    #[serde(default)]
    pub watched: bool,
    /// The furthest point that they reached, in seconds.
    #[serde(default)]
    pub watched_seconds: i32,
    /// When they watched it last.
    pub watched_at: Option<DateTime<Utc>>,
    /// When they came to its end first; none: they did not.
    pub completed_at: Option<DateTime<Utc>>,
}

impl Standing {
    /// When they did anything with it last.
    #[must_use]
    pub fn last(&self) -> Option<DateTime<Utc>> {
        [
            self.reacted_at,
            self.bookmarked_at,
            self.rated_at,
            self.watched_at,
            self.completed_at,
        ]
        .into_iter()
        .flatten()
        .max()
    }

    /// Whether they have seen it: to its end, or well enough to judge it. Somebody who has begun it
    /// may want to go on, and a film on the watchlist is not known yet.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.reaction.is_some() || self.rating.is_some() || self.completed_at.is_some()
    }
}

/// What a user did last with a film, and where they stand with it since, as preference-service's feed
/// tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// Its id; of one user the later one has the higher.
    pub id: i64,
    /// Who did it.
    pub user_id: i64,
    /// With which film.
    pub movie_id: i64,
    /// When they did it.
    pub occurred_at: DateTime<Utc>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// Where they stand since.
    pub state: Standing,
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    preferences: Option<Preferences>,
    /// By film: the id of the last interaction, and where it left the user.
    films: HashMap<i64, (i64, Standing)>,
    /// When the newest interaction that is known happened.
    pub fresh_as_of: Option<DateTime<Utc>>,
    revision: Revision,
}

impl Profile {
    /// A user of whom nothing but `preferences` is known.
    #[must_use]
    pub fn new(preferences: Preferences) -> Self {
        Self {
            preferences: Some(preferences),
            ..Self::default()
        }
    }

    /// What the user says to prefer; none where only interactions have come so far.
    #[must_use]
    pub fn preferences(&self) -> Option<&Preferences> {
        self.preferences.as_ref()
    }

    /// Another one after every change.
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Where the user stands with film `id`; none: nowhere.
    #[must_use]
    pub fn standing(&self, id: i64) -> Option<&Standing> {
        self.films.get(&id).map(|(_, standing)| standing)
    }

    /// The same user, had they said or done something else: `change` is made to where they stand with
    /// film `id`.
    pub fn suppose(&mut self, id: i64, change: impl FnOnce(&mut Standing)) {
        change(&mut self.films.entry(id).or_default().1);
        self.revision = Revision::next();
    }

    /// The same user, had they these preferences.
    pub fn suppose_preferences(&mut self, change: impl FnOnce(&mut Preferences)) {
        if let Some(preferences) = &mut self.preferences {
            change(preferences);
            self.revision = Revision::next();
        }
    }

    /// Films that must not be recommended, since the user knows them.
    pub fn known_films(&self) -> impl Iterator<Item = i64> {
        self.films
            .iter()
            .filter(|(_, (_, standing))| standing.is_known())
            .map(|(id, _)| *id)
    }

    /// Where the user stands with films.
    pub fn films(&self) -> impl Iterator<Item = (i64, &Standing)> {
        self.films.iter().map(|(id, (_, standing))| (*id, standing))
    }

    fn record(&mut self, interaction: &Interaction) {
        let known = self.films.get(&interaction.movie_id);
        if known.is_none_or(|(id, _)| *id < interaction.id) {
            let standing = (interaction.id, interaction.state.clone());
            self.films.insert(interaction.movie_id, standing);
            self.revision = Revision::next();
        }
        self.fresh_as_of = self.fresh_as_of.max(Some(interaction.created_at));
    }
}

/// All users.
#[derive(Debug, Default, PartialEq)]
pub struct Users(HashMap<i64, Arc<Profile>>);

impl Users {
    /// The user `id`, once preference-service has told of them.
    #[must_use]
    pub fn find(&self, id: UserId) -> Option<&Arc<Profile>> {
        self.0
            .get(&id.get())
            .filter(|profile| profile.preferences.is_some())
    }

    /// How many users are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over preferences unless newer ones are known.
    pub fn prefer(&mut self, preferences: Preferences) {
        let profile = self.0.entry(preferences.user_id).or_default();
        let profile = Arc::make_mut(profile);
        let is_newer = profile
            .preferences
            .as_ref()
            .is_none_or(|known| known.version < preferences.version);
        if is_newer {
            profile.preferences = Some(preferences);
            profile.revision = Revision::next();
        }
    }

    /// Forgets a user who was erased.
    pub fn forget(&mut self, user_id: i64) {
        self.0.remove(&user_id);
    }

    /// Takes over an interaction; one that is older than what is known changes nothing.
    pub fn record(&mut self, interaction: &Interaction) {
        let profile = self.0.entry(interaction.user_id).or_default();
        Arc::make_mut(profile).record(interaction);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interactions() -> impl Strategy<Value = Vec<Interaction>> {
        let reaction = prop::option::of(prop::sample::select(vec![
            Reaction::Like,
            Reaction::Dislike,
        ]));
        let one = (1..4_i64, 1..4_i64, reaction, any::<bool>());
        prop::collection::vec(one, 0..40).prop_map(|all| {
            let numbered = (1..).zip(all);
            numbered
                .map(|(id, (user_id, movie_id, reaction, bookmarked))| {
                    interaction(
                        id,
                        user_id,
                        movie_id,
                        Standing {
                            reaction,
                            bookmarked,
                            ..Standing::default()
                        },
                    )
                })
                .collect()
        })
    }

    fn interaction(id: i64, user_id: i64, movie_id: i64, state: Standing) -> Interaction {
        let at = DateTime::from_timestamp(id, 0).expect("in range");
        Interaction {
            id,
            user_id,
            movie_id,
            occurred_at: at,
            created_at: at,
            state,
        }
    }

    fn replay<'a>(interactions: impl Iterator<Item = &'a Interaction>) -> Users {
        let mut users = Users::default();
        interactions.for_each(|interaction| users.record(interaction));
        users
    }

    proptest! {
        #[test]
        fn interactions_give_the_same_users_in_any_order_and_however_often(all in interactions()) {
            prop_assert_eq!(replay(all.iter()), replay(all.iter().rev().chain(all.iter())));
        }
    }

    #[test]
    fn a_user_is_known_once_their_profile_came_and_newer_preferences_stay() {
        let mut users = Users::default();
        let user = UserId::new(7).expect("positive");
        let prefer = |version, min_rating| Preferences {
            user_id: 7,
            version,
            preferred_genres: Vec::new(),
            preferred_language: None,
            min_rating,
            taste_edits: Vec::new(),
        };
        let liked = Standing {
            reaction: Some(Reaction::Like),
            ..Standing::default()
        };
        users.record(&interaction(1, 7, 1, liked));
        assert!(users.find(user).is_none());
        users.prefer(prefer(2, 8.0));
        users.prefer(prefer(1, 3.0));
        let profile = users.find(user).expect("told of");
        assert_eq!(profile.preferences().map(|p| p.min_rating), Some(8.0));
        assert_eq!(profile.known_films().collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_was_seen_or_judged_is_known_until_it_is_taken_back() {
        let mut users = Users::default();
        let at = Some(DateTime::UNIX_EPOCH);
        let standings = [
            Standing {
                reaction: Some(Reaction::Dislike),
                ..Standing::default()
            },
            Standing {
                rating: Some(0.5),
                ..Standing::default()
            },
            Standing {
                watched: true,
                completed_at: at,
                ..Standing::default()
            },
            Standing {
                watched: true,
                watched_seconds: 60,
                ..Standing::default()
            },
            Standing {
                bookmarked: true,
                ..Standing::default()
            },
        ];
        for (film, standing) in (1..).zip(standings) {
            users.record(&interaction(film, 7, film, standing));
        }
        let known = |users: &Users| {
            let mut known: Vec<i64> = users.0[&7].known_films().collect();
            known.sort_unstable();
            known
        };
        assert_eq!(known(&users), [1, 2, 3]);
        users.record(&interaction(9, 7, 1, Standing::default()));
        users.record(&interaction(8, 7, 2, Standing::default()));
        assert_eq!(known(&users), [3]);
        users.forget(7);
        assert!(users.is_empty());
    }
}
