//! The affinities of a user for movies, by [`recommender::taste`], the formula that preference-service shows as the user's
//! taste profile. Called by scoring and training.

use chrono::{DateTime, Utc};
use recommender::taste::{self, HalfLife, LIKE, MovieActions};

use super::{InteractionState, Profile, Reaction};

impl From<&InteractionState> for MovieActions {
    fn from(state: &InteractionState) -> Self {
        Self {
            reaction: state.reaction.and_then(|reaction| match reaction {
                Reaction::Like => Some(taste::Reaction::Like),
                Reaction::Superlike => Some(taste::Reaction::Superlike),
                Reaction::Dislike => Some(taste::Reaction::Dislike),
                Reaction::Unknown => None,
            }),
            reacted_at: state.reacted_at,
            is_bookmarked: state.bookmarked,
            bookmarked_at: state.bookmarked_at,
            rating: state.rating,
            rated_at: state.rated_at,
            watched_seconds: state.watched_seconds,
            watched_at: state.watched_at,
            completed_at: state.completed_at,
            viewings: state.viewings,
            viewed_at: state.viewed_at,
        }
    }
}

/// Returns the affinity of a user for a movie, as evidence for similar movies; see [`taste::affinity`].
pub fn affinity(state: &InteractionState) -> Option<f32> {
    taste::affinity(&state.into())
}

/// Returns the affinities of a user for their movies at `now`, by ascending id, in units of a like of today.
pub fn affinities(profile: &Profile, now: DateTime<Utc>, half_life: HalfLife) -> Vec<(i64, f32)> {
    let actions: Vec<(i64, MovieActions)> = profile
        .films()
        .map(|(id, state)| (id, state.into()))
        .collect();
    taste::weights(&actions, now, half_life)
        .into_iter()
        .map(|(id, weight)| (id, (weight / LIKE) as f32))
        .collect()
}
