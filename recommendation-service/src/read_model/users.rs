//! All users in memory. Written by the feed of preference-service; a reader takes the profile that it needs and lets go
//! of the lock.

use std::{collections::HashMap, sync::Arc};

use crate::read_model::{Interaction, Preferences, Profile, UserId};

/// All users by id. Each profile is shared with its readers until it changes.
#[derive(Debug, Default, PartialEq)]
pub struct Users(HashMap<i64, Arc<Profile>>);

impl Users {
    /// The profile of user `id`, once their preferences have arrived.
    pub fn find(&self, id: UserId) -> Option<&Arc<Profile>> {
        self.0
            .get(&id.get())
            .filter(|profile| profile.preferences().is_some())
    }

    /// The number of users.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are no users.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Stores preferences unless newer ones are known.
    pub fn prefer(&mut self, preferences: Preferences) {
        let profile = self.0.entry(preferences.user_id).or_default();
        Arc::make_mut(profile).prefer(preferences);
    }

    /// Removes a user who was erased.
    pub fn forget(&mut self, user_id: i64) {
        self.0.remove(&user_id);
    }

    /// Stores an interaction unless a newer one with the same movie is known.
    pub fn record(&mut self, interaction: &Interaction) {
        let profile = self.0.entry(interaction.user_id).or_default();
        Arc::make_mut(profile).record(interaction);
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::read_model::{InteractionState, Reaction};

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
                    let state = InteractionState {
                        reaction,
                        bookmarked,
                        ..InteractionState::default()
                    };
                    interaction(id, user_id, movie_id, state)
                })
                .collect()
        })
    }

    fn interaction(id: i64, user_id: i64, movie_id: i64, state: InteractionState) -> Interaction {
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
        fn interactions_in_any_order_and_number_give_the_same_users(all in interactions()) {
            prop_assert_eq!(replay(all.iter()), replay(all.iter().rev().chain(all.iter())));
        }
    }

    #[test]
    fn a_user_exists_once_preferences_arrived_and_the_newest_stay() {
        let mut users = Users::default();
        let user = UserId::new(7).expect("positive");
        let prefer = |version, min_rating| Preferences {
            user_id: 7,
            version,
            min_rating,
            ..Preferences::default()
        };
        let liked = InteractionState {
            reaction: Some(Reaction::Like),
            ..InteractionState::default()
        };
        users.record(&interaction(1, 7, 1, liked));
        assert!(users.find(user).is_none());
        users.prefer(prefer(2, 8.0));
        users.prefer(prefer(1, 3.0));
        let profile = users.find(user).expect("stored");
        assert_eq!(profile.preferences().map(|p| p.min_rating), Some(8.0));
        assert_eq!(profile.known_films().collect::<Vec<_>>(), [1]);
    }
}
