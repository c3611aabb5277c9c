//! What a user did, as numbers: how much each film says of what they like.

use chrono::{DateTime, Utc};

use crate::read_model::{InteractionState, Profile, Reaction};

const SUPERLIKE: f64 = 7.0;
const LIKE: f64 = 5.0;
const DISLIKE: f64 = -5.0;
const COMPLETION: f64 = 3.0;
const MINUTE: f64 = 0.1;
const BOOKMARK: f64 = 1.0;
/// A rating counts by how far it is from this, in stars, times the weight of a star.
const NEUTRAL_STARS: f64 = 3.0;
const STAR: f64 = 2.0;

/// From so many stars on a rating says that the user likes the film.
pub const LIKED_STARS: f32 = 3.5;

const SECONDS_PER_DAY: f64 = 86_400.0;
/// What is left of its weight however long ago it was done: tastes last, and somebody who comes back after
/// years is not a stranger.
const LEAST: f64 = 0.125;
/// Of one user so many films count, those that say most.
const MOST_FILMS: usize = 500;

/// How fast what was done loses weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfLife {
    /// After so many days it weighs half; 0: it never loses any.
    pub days: f64,
}

impl HalfLife {
    /// What was done keeps its weight.
    pub const NEVER: Self = Self { days: 0.0 };
}

impl Default for HalfLife {
    /// As preference-service has it where it is not set otherwise.
    fn default() -> Self {
        Self { days: 180.0 }
    }
}

impl HalfLife {
    fn factor(self, age_seconds: f64) -> f64 {
        if self.days <= 0.0 {
            return 1.0;
        }
        let factor = (-age_seconds.max(0.0) / SECONDS_PER_DAY / self.days).exp2();
        factor.max(LEAST)
    }
}

/// How much a film says at `now`; below 0: it speaks against its like. The weights are the contract's, and
/// what has no time is as of now.
#[must_use]
pub fn weight(standing: &InteractionState, now: DateTime<Utc>, half_life: HalfLife) -> f64 {
    let reaction = match standing.reaction {
        Some(Reaction::Superlike) => Some(SUPERLIKE),
        Some(Reaction::Like) => Some(LIKE),
        Some(Reaction::Dislike) => Some(DISLIKE),
        Some(Reaction::Unknown) | None => None,
    };
    let rating = standing
        .rating
        .map(|stars| (f64::from(stars) - NEUTRAL_STARS) * STAR);
    let minutes = f64::from(standing.watched_seconds.max(0) / 60) * MINUTE;
    [
        (reaction, standing.reacted_at),
        (
            standing.bookmarked.then_some(BOOKMARK),
            standing.bookmarked_at,
        ),
        (rating, standing.rated_at),
        (standing.watched.then_some(minutes), standing.watched_at),
        (
            standing.completed_at.map(|_| COMPLETION),
            standing.completed_at,
        ),
    ]
    .into_iter()
    .filter_map(|(weight, at)| Some((weight?, at.unwrap_or(now))))
    .map(|(weight, at)| weight * half_life.factor((now - at).as_seconds_f64()))
    .sum()
}

/// How much a film speaks for its like, whenever that was said: 1 is a like. None where nothing does, where
/// the user dislikes it, or rates it below [`LIKED_STARS`], however often they saw it.
#[must_use]
pub fn liking(standing: &InteractionState) -> Option<f32> {
    let is_disliked = standing.reaction == Some(Reaction::Dislike)
        || standing.rating.is_some_and(|stars| stars < LIKED_STARS);
    let weight = weight(standing, DateTime::UNIX_EPOCH, HalfLife::NEVER) / LIKE;
    (!is_disliked && weight > 0.0).then_some(weight as f32)
}

/// The films that say something of a user, by id, rising; with what they say. 1 is a like of today.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    films: Vec<(i64, f32)>,
}

impl Evidence {
    /// What `profile` says at `now`. What was done grows old beside what the user did later, not by itself:
    /// whoever did nothing for a year likes what they liked then.
    #[must_use]
    pub fn of(profile: &Profile, now: DateTime<Utc>, half_life: HalfLife) -> Self {
        let done = profile.films().filter_map(|(_, standing)| standing.last());
        let now = done.max().map_or(now, |newest| newest.min(now));
        let mut films: Vec<(i64, f32)> = profile
            .films()
            .map(|(id, standing)| {
                let weight = weight(standing, now, half_life);
                // Whoever saw a film to its end to dislike it dislikes it.
                let weight = match standing.reaction {
                    Some(Reaction::Dislike) => weight.min(DISLIKE * 0.5),
                    _ => weight,
                };
                (id, (weight / LIKE) as f32)
            })
            .filter(|(_, weight)| weight.is_finite() && weight.abs() > 1e-4)
            .collect();
        films.sort_unstable_by(|(a, one), (b, two)| two.abs().total_cmp(&one.abs()).then(a.cmp(b)));
        films.truncate(MOST_FILMS);
        films.sort_unstable_by_key(|(id, _)| *id);
        Self { films }
    }

    /// The films.
    #[must_use]
    pub fn films(&self) -> &[(i64, f32)] {
        &self.films
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(day * 86_400, 0).expect("in range")
    }

    #[test]
    fn what_users_do_weighs_as_agreed_and_half_after_its_half_life() {
        let of =
            |standing: &InteractionState, day| weight(standing, at(day), HalfLife { days: 10.0 });
        let rated = InteractionState {
            rating: Some(4.5),
            rated_at: Some(at(0)),
            ..InteractionState::default()
        };
        assert_eq!(of(&rated, 0), 3.0);
        assert_eq!(of(&rated, 10), 1.5);
        assert_eq!(of(&rated, 10_000), 3.0 * LEAST);
        let seen_and_disliked = InteractionState {
            reaction: Some(Reaction::Dislike),
            reacted_at: Some(at(0)),
            watched: true,
            watched_seconds: 5400,
            watched_at: Some(at(0)),
            completed_at: Some(at(0)),
            ..InteractionState::default()
        };
        assert_eq!(of(&seen_and_disliked, 0), -5.0 + 9.0 + 3.0);
        let saved = InteractionState {
            bookmarked: true,
            ..InteractionState::default()
        };
        assert_eq!(of(&saved, 99), 1.0, "without a time it is as of now");
        assert_eq!(of(&InteractionState::default(), 0), 0.0);
    }

    #[test]
    fn what_is_disliked_or_rated_low_does_not_speak_for_its_like_however_often_it_was_seen() {
        let seen = InteractionState {
            watched: true,
            watched_seconds: 6000,
            watched_at: Some(at(0)),
            completed_at: Some(at(0)),
            ..InteractionState::default()
        };
        let rated = |stars| InteractionState {
            rating: Some(stars),
            ..seen
        };
        assert_eq!(liking(&seen), Some(2.6));
        assert_eq!(liking(&rated(4.0)), Some(3.0));
        assert_eq!(liking(&rated(3.0)), None);
        let disliked = InteractionState {
            reaction: Some(Reaction::Dislike),
            ..seen
        };
        assert_eq!(liking(&disliked), None);
        assert_eq!(liking(&InteractionState::default()), None);
    }

    #[test]
    fn somebody_who_was_away_for_years_still_likes_what_they_liked() {
        let mut profile = Profile::default();
        for (movie, day) in [(603, 0), (604, 10)] {
            let standing = InteractionState {
                reaction: Some(Reaction::Like),
                reacted_at: Some(at(day)),
                ..InteractionState::default()
            };
            profile = profile.with_hypothetical(movie, |state| *state = standing);
        }
        let of = |day| Evidence::of(&profile, at(day), HalfLife { days: 10.0 });
        assert_eq!(of(10).films(), [(603, 0.5), (604, 1.0)]);
        assert_eq!(of(10_000), of(10));
    }
}
