//! Users as scoring reads them: what they say they prefer, and what they did.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

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
}

/// What a user did with a film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InteractionType {
    /// They like it.
    Like,
    /// They like it very much.
    Superlike,
    /// They do not like it.
    Dislike,
    /// They want to see it.
    Watchlist,
    /// They have seen it.
    Watched,
    /// Something that this version of the service does not know.
    #[serde(other)]
    Unknown,
}

/// Something that a user did, as preference-service's feed tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interaction {
    /// Its id; of one user the later one has the higher.
    pub id: i64,
    /// Who did it.
    pub user_id: i64,
    /// With which film.
    pub movie_id: i64,
    /// What.
    pub interaction_type: InteractionType,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// Where a user stands with a film.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Standing {
    /// The latest of like, superlike and dislike, and the id of that interaction.
    reaction: Option<(i64, InteractionType)>,
    watched: bool,
}

/// A user.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Profile {
    preferences: Option<Preferences>,
    films: HashMap<i64, Standing>,
    /// When the newest interaction that is known happened.
    pub fresh_as_of: Option<DateTime<Utc>>,
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

    /// Films that must not be recommended: seen, judged either way. Somebody who likes a film knows
    /// it; a film on the watchlist is not known yet.
    pub fn known_films(&self) -> impl Iterator<Item = i64> {
        self.films
            .iter()
            .filter(|(_, standing)| standing.watched || standing.reaction.is_some())
            .map(|(id, _)| *id)
    }

    fn record(&mut self, interaction: &Interaction) {
        let standing = self.films.entry(interaction.movie_id).or_default();
        match interaction.interaction_type {
            InteractionType::Watched => standing.watched = true,
            InteractionType::Like | InteractionType::Superlike | InteractionType::Dislike => {
                if standing.reaction.is_none_or(|(id, _)| id < interaction.id) {
                    standing.reaction = Some((interaction.id, interaction.interaction_type));
                }
            }
            InteractionType::Watchlist | InteractionType::Unknown => {}
        }
        self.fresh_as_of = self.fresh_as_of.max(Some(interaction.created_at));
    }
}

/// All users.
#[derive(Debug, Default, PartialEq)]
pub struct Users(HashMap<i64, Profile>);

impl Users {
    /// The user `id`, once preference-service has told of them.
    #[must_use]
    pub fn find(&self, id: UserId) -> Option<&Profile> {
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
        let is_newer = profile
            .preferences
            .as_ref()
            .is_none_or(|known| known.version < preferences.version);
        if is_newer {
            profile.preferences = Some(preferences);
        }
    }

    /// Takes over an interaction; one that is known changes nothing.
    pub fn record(&mut self, interaction: &Interaction) {
        self.0
            .entry(interaction.user_id)
            .or_default()
            .record(interaction);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn interactions() -> impl Strategy<Value = Vec<Interaction>> {
        let kinds = prop::sample::select(vec![
            InteractionType::Like,
            InteractionType::Dislike,
            InteractionType::Watchlist,
            InteractionType::Watched,
        ]);
        let one = (1..4_i64, 1..4_i64, kinds);
        prop::collection::vec(one, 0..40).prop_map(|all| {
            all.into_iter()
                .enumerate()
                .map(|(index, (user_id, movie_id, interaction_type))| {
                    let id = i64::try_from(index).expect("few") + 1;
                    Interaction {
                        id,
                        user_id,
                        movie_id,
                        interaction_type,
                        created_at: DateTime::from_timestamp(id, 0).expect("in range"),
                    }
                })
                .collect()
        })
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
        };
        users.record(&Interaction {
            id: 1,
            user_id: 7,
            movie_id: 1,
            interaction_type: InteractionType::Like,
            created_at: DateTime::UNIX_EPOCH,
        });
        assert!(users.find(user).is_none());
        users.prefer(prefer(2, 8.0));
        users.prefer(prefer(1, 3.0));
        let profile = users.find(user).expect("told of");
        assert_eq!(profile.preferences().map(|p| p.min_rating), Some(8.0));
        assert_eq!(profile.known_films().collect::<Vec<_>>(), [1]);
    }
}
