//! A user's evidence: the weights of their movies by [`recommender::taste`], the formula that preference-service shows
//! as the user's taste. Called by scoring; [`affinity`] is called by training.

use chrono::{DateTime, Utc};
use recommender::taste::{self, HalfLife, LIKE, MovieActions};

use super::{Profile, Reaction, Standing};

impl From<&Standing> for MovieActions {
    fn from(standing: &Standing) -> Self {
        Self {
            reaction: standing.reaction.and_then(|reaction| match reaction {
                Reaction::Like => Some(taste::Reaction::Like),
                Reaction::Superlike => Some(taste::Reaction::Superlike),
                Reaction::Dislike => Some(taste::Reaction::Dislike),
                Reaction::Unknown => None,
            }),
            reacted_at: standing.reacted_at,
            is_bookmarked: standing.bookmarked,
            bookmarked_at: standing.bookmarked_at,
            rating: standing.rating,
            rated_at: standing.rated_at,
            watched_seconds: standing.watched_seconds,
            watched_at: standing.watched_at,
            completed_at: standing.completed_at,
        }
    }
}

/// Returns how much a movie speaks for similar ones, see [`taste::affinity`].
#[must_use]
pub fn affinity(standing: &Standing) -> Option<f32> {
    taste::affinity(&standing.into())
}

/// The weights of a user's movies, by ascending id, in units of a like of today.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    films: Vec<(i64, f32)>,
}

impl Evidence {
    /// The evidence of `profile` at `now`.
    #[must_use]
    pub fn of(profile: &Profile, now: DateTime<Utc>, half_life: HalfLife) -> Self {
        let actions: Vec<(i64, MovieActions)> = profile
            .films()
            .map(|(id, standing)| (id, standing.into()))
            .collect();
        let weights = taste::weights(&actions, now, half_life);
        Self {
            films: weights
                .into_iter()
                .map(|(id, weight)| (id, (weight / LIKE) as f32))
                .collect(),
        }
    }

    /// The movies with their weights.
    #[must_use]
    pub fn films(&self) -> &[(i64, f32)] {
        &self.films
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_records_have_the_weights_of_the_taste_profile() {
        let states = serde_json::json!([
            {"reaction": "superlike", "reacted_at": "2026-01-11T00:00:00.000000Z", "bookmarked": false,
             "watched": false, "watched_seconds": 0, "completed": false},
            {"bookmarked": true, "bookmarked_at": "2026-01-01T00:00:00.000000Z", "rating": 4.5,
             "rated_at": "2026-01-11T00:00:00.000000Z", "watched": false, "watched_seconds": 0,
             "completed": false},
            {"reaction": "dislike", "reacted_at": "2026-01-01T00:00:00.000000Z", "bookmarked": false,
             "watched": true, "watched_seconds": 5400, "watched_at": "2026-01-01T00:00:00.000000Z",
             "completed": true, "completed_at": "2026-01-01T00:00:00.000000Z"},
            {"reacted_at": "2026-01-21T00:00:00.000000Z", "bookmarked": false, "watched": false,
             "watched_seconds": 0, "completed": false},
        ]);
        let states: Vec<Standing> = serde_json::from_value(states).expect("states");
        let mut profile = Profile::default();
        for (movie, state) in (1..).zip(states) {
            profile.suppose(movie, |standing| *standing = state);
        }
        let at = "2027-01-01T00:00:00Z".parse().expect("an instant");
        let evidence = Evidence::of(&profile, at, HalfLife { days: 10.0 });
        // In units of the profile: 7 · ½; 1 · ¼ + 3 · ½; −2.5, the maximum of a disliked movie.
        assert_eq!(evidence.films(), [(1, 0.7), (2, 0.35), (3, -0.5)]);
    }
}
