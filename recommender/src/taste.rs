//! The formula of taste: the weight of each movie of a user, from what the user did with it. Services that rank and
//! services that show users their taste call it with the same actions, so that both have the same weights.
//!
//! weight(movie) = Σ over the actions on it: base · max(2^(−age ÷ half-life), [`MIN_DECAY`])
//!
//! The age of an action counts back from the user's newest action, not from the present: a user who returns after years
//! has the taste that they left with. The exponential decay is that of Ding and Li, "Time weight collaborative filtering"
//! (CIKM 2005). Actions that were taken back, or replaced by a change of mind, are not passed in and do not count.

use chrono::{DateTime, Utc};

const SUPERLIKE: f64 = 7.0;
const DISLIKE: f64 = -5.0;
const COMPLETION: f64 = 3.0;
/// The weight of each doubling of the number of viewings: that they are evidence by their logarithm is the confidence of
/// Hu, Koren and Volinsky, "Collaborative filtering for implicit feedback datasets" (ICDM 2008).
const REWATCH: f64 = 3.0;
const WATCHED_MINUTE: f64 = 0.1;
const BOOKMARK: f64 = 1.0;
/// A rating of so many stars weighs nothing; each star above or below weighs [`STAR`].
const NEUTRAL_STARS: f64 = 3.0;
const STAR: f64 = 2.0;
/// A disliked movie weighs at most this, even if it was watched to its end. One that is rated below [`NEUTRAL_STARS`], and
/// not liked, weighs at most as much as its rating: a verdict outweighs the time that it took to reach it.
const MAX_DISLIKED: f64 = DISLIKE / 2.0;

/// The weight of a like.
pub const LIKE: f64 = 5.0;
/// The fraction of its weight that an action keeps however old it is.
pub const MIN_DECAY: f64 = 0.125;
/// The maximum number of movies of one user that count: those of the highest absolute weight.
pub const MAX_MOVIES: usize = 500;
/// A movie rated with fewer stars than this does not count as liked, see [`affinity`].
pub const LIKED_STARS: f32 = 3.5;

const SECONDS_PER_DAY: f64 = 86_400.0;
/// Weights below this are rounding errors of actions that cancel out.
const MIN_WEIGHT: f64 = 5e-4;

/// The half-life of an action's weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HalfLife {
    /// Days; 0 for no decay.
    pub days: f64,
}

impl HalfLife {
    /// No decay.
    pub const NEVER: Self = Self { days: 0.0 };

    fn decay(self, age_seconds: f64) -> f64 {
        if self.days <= 0.0 {
            return 1.0;
        }
        let decay = (-age_seconds.max(0.0) / SECONDS_PER_DAY / self.days).exp2();
        decay.max(MIN_DECAY)
    }
}

impl Default for HalfLife {
    fn default() -> Self {
        Self { days: 180.0 }
    }
}

/// A user's opinion of a movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Likes it.
    Like,
    /// Dislikes it.
    Dislike,
    /// Likes it very much.
    Superlike,
}

/// The current actions of a user on one movie. A time without a value is that of the action that cleared the value;
/// a value without a time counts as if set at the user's newest action.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MovieActions {
    /// The reaction.
    pub reaction: Option<Reaction>,
    /// The time of the reaction.
    pub reacted_at: Option<DateTime<Utc>>,
    /// True if the movie is on the watchlist.
    pub is_bookmarked: bool,
    /// The time of the bookmark.
    pub bookmarked_at: Option<DateTime<Utc>>,
    /// The rating in stars, 0.5 to 5.
    pub rating: Option<f32>,
    /// The time of the rating.
    pub rated_at: Option<DateTime<Utc>>,
    /// The furthest position watched, in seconds; each minute counts once.
    pub watched_seconds: i32,
    /// The time it was last watched.
    pub watched_at: Option<DateTime<Utc>>,
    /// The first time its end was reached, `None` if never.
    pub completed_at: Option<DateTime<Utc>>,
    /// The number of times it was watched to its end.
    pub viewings: i32,
    /// The last time its end was reached.
    pub viewed_at: Option<DateTime<Utc>>,
}

impl MovieActions {
    /// The time of the newest action, one that took a value back included.
    #[must_use]
    pub fn newest(&self) -> Option<DateTime<Utc>> {
        [
            self.reacted_at,
            self.bookmarked_at,
            self.rated_at,
            self.watched_at,
            self.completed_at,
            self.viewed_at,
        ]
        .into_iter()
        .flatten()
        .max()
    }

    /// The weight at `now`; negative for a movie that the user dislikes.
    #[must_use]
    pub fn weight(&self, now: DateTime<Utc>, half_life: HalfLife) -> f64 {
        let reaction = self.reaction.map(|reaction| match reaction {
            Reaction::Superlike => SUPERLIKE,
            Reaction::Like => LIKE,
            Reaction::Dislike => DISLIKE,
        });
        let rating = self
            .rating
            .map(|stars| (f64::from(stars) - NEUTRAL_STARS) * STAR);
        let minutes = self.watched_seconds.max(0) / 60;
        let decayed = |weight: f64, at: Option<DateTime<Utc>>| {
            weight * half_life.decay((now - at.unwrap_or(now)).as_seconds_f64())
        };
        let weight: f64 = [
            (reaction, self.reacted_at),
            (self.is_bookmarked.then_some(BOOKMARK), self.bookmarked_at),
            (rating, self.rated_at),
            (Some(f64::from(minutes) * WATCHED_MINUTE), self.watched_at),
            (self.completed_at.map(|_| COMPLETION), self.completed_at),
            (
                (self.viewings > 1).then(|| f64::from(self.viewings).log2() * REWATCH),
                self.viewed_at,
            ),
        ]
        .into_iter()
        .filter_map(|(weight, at)| Some(decayed(weight?, at)))
        .sum();
        let low = rating.filter(|rating| *rating < 0.0);
        match (self.reaction, low) {
            (Some(Reaction::Dislike), _) => f64::min(weight, MAX_DISLIKED),
            (None, Some(rating)) => f64::min(weight, decayed(rating, self.rated_at)),
            _ => weight,
        }
    }
}

/// Returns the weights of a user's movies at `now`: those of the at most [`MAX_MOVIES`] movies that weigh most, by key.
/// Ages count back from the user's newest action.
#[must_use]
pub fn weights<K: Copy + Ord>(
    movies: &[(K, MovieActions)],
    now: DateTime<Utc>,
    half_life: HalfLife,
) -> Vec<(K, f64)> {
    let newest = movies.iter().filter_map(|(_, actions)| actions.newest());
    let now = newest.max().map_or(now, |newest| newest.min(now));
    let mut weights: Vec<(K, f64)> = movies
        .iter()
        .map(|(key, actions)| (*key, actions.weight(now, half_life)))
        .filter(|(_, weight)| weight.is_finite() && weight.abs() > MIN_WEIGHT)
        .collect();
    if weights.len() > MAX_MOVIES {
        weights
            .sort_unstable_by(|(a, one), (b, two)| two.abs().total_cmp(&one.abs()).then(a.cmp(b)));
        weights.truncate(MAX_MOVIES);
    }
    weights.sort_unstable_by_key(|(key, _)| *key);
    weights
}

/// Returns the affinity for a movie, as evidence for similar ones, without decay, in units of a like. `None` if it is
/// not positive, or if the user dislikes the movie or rates it below [`LIKED_STARS`], however often they watched it.
#[must_use]
pub fn affinity(actions: &MovieActions) -> Option<f32> {
    let is_disliked = actions.reaction == Some(Reaction::Dislike)
        || actions.rating.is_some_and(|stars| stars < LIKED_STARS);
    let weight = actions.weight(DateTime::UNIX_EPOCH, HalfLife::NEVER) / LIKE;
    (!is_disliked && weight > 0.0).then_some(weight as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(day * 86_400, 0).expect("in range")
    }

    fn reacted(reaction: Reaction, day: i64) -> MovieActions {
        MovieActions {
            reaction: Some(reaction),
            reacted_at: Some(at(day)),
            ..MovieActions::default()
        }
    }

    fn watched_to_its_end() -> MovieActions {
        MovieActions {
            watched_seconds: 6000,
            watched_at: Some(at(0)),
            completed_at: Some(at(0)),
            ..MovieActions::default()
        }
    }

    fn watched_times(viewings: i32) -> MovieActions {
        MovieActions {
            viewings,
            viewed_at: Some(at(0)),
            ..watched_to_its_end()
        }
    }

    fn disliked_to_its_end() -> MovieActions {
        MovieActions {
            reaction: Some(Reaction::Dislike),
            ..watched_to_its_end()
        }
    }

    fn rated_to_its_end(stars: f32) -> MovieActions {
        MovieActions {
            rating: Some(stars),
            ..watched_to_its_end()
        }
    }

    #[test]
    fn actions_have_the_documented_weights() {
        let rated = |stars| MovieActions {
            rating: Some(stars),
            ..MovieActions::default()
        };
        let watched = |watched_seconds| MovieActions {
            watched_seconds,
            ..MovieActions::default()
        };
        let bookmarked = MovieActions {
            is_bookmarked: true,
            ..MovieActions::default()
        };
        let cleared = MovieActions {
            reacted_at: Some(at(0)),
            ..MovieActions::default()
        };
        for (actions, expected) in [
            (reacted(Reaction::Superlike, 0), 7.0),
            (reacted(Reaction::Like, 0), 5.0),
            (reacted(Reaction::Dislike, 0), -5.0),
            (bookmarked, 1.0),
            (rated(5.0), 4.0),
            (rated(3.0), 0.0),
            (rated(0.5), -5.0),
            (watched(119), 0.1),
            (watched_to_its_end(), 13.0),
            (watched_times(1), 13.0),
            (watched_times(2), 16.0),
            (watched_times(4), 19.0),
            (disliked_to_its_end(), -2.5),
            (rated_to_its_end(1.0), -4.0),
            (rated_to_its_end(2.5), -1.0),
            (rated_to_its_end(3.0), 13.0),
            (rated_to_its_end(5.0), 17.0),
            (cleared, 0.0),
        ] {
            let weight = actions.weight(at(0), HalfLife::NEVER);
            assert!((weight - expected).abs() < 1e-12, "{actions:?}: {weight}");
        }
    }

    #[test]
    fn weights_halve_with_every_half_life_down_to_the_minimum() {
        let like = reacted(Reaction::Like, 0);
        let half_life = HalfLife { days: 10.0 };
        for (day, expected) in [(-1, 5.0), (0, 5.0), (10, 2.5), (20, 1.25), (10_000, 0.625)] {
            assert_eq!(like.weight(at(day), half_life), expected, "day {day}");
        }
    }

    #[test]
    fn ages_count_back_from_the_newest_action() {
        let movies = [
            (1, reacted(Reaction::Like, 0)),
            (2, reacted(Reaction::Like, 10)),
        ];
        let half_life = HalfLife { days: 10.0 };
        let expected = [(1, 2.5), (2, 5.0)];
        assert_eq!(weights(&movies, at(10), half_life), expected);
        assert_eq!(weights(&movies, at(10_000), half_life), expected);
    }

    #[test]
    fn the_movies_that_weigh_most_are_kept_by_key() {
        let mut movies: Vec<(usize, MovieActions)> = (0..MAX_MOVIES)
            .map(|key| (key, reacted(Reaction::Like, 0)))
            .collect();
        movies[3].1.reaction = None;
        movies[4].1.is_bookmarked = true;
        movies[4].1.reaction = None;
        movies.push((MAX_MOVIES, reacted(Reaction::Superlike, 0)));
        movies.push((MAX_MOVIES + 1, reacted(Reaction::Dislike, 0)));
        let keys: Vec<usize> = weights(&movies, at(0), HalfLife::NEVER)
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let expected: Vec<usize> = (0..MAX_MOVIES + 2)
            .filter(|key| ![3, 4].contains(key))
            .collect();
        assert_eq!(keys, expected);
    }

    #[test]
    fn movies_that_are_disliked_or_rated_low_have_no_affinity() {
        assert_eq!(affinity(&watched_to_its_end()), Some(2.6));
        assert_eq!(affinity(&rated_to_its_end(4.0)), Some(3.0));
        assert_eq!(affinity(&rated_to_its_end(3.0)), None);
        assert_eq!(affinity(&disliked_to_its_end()), None);
        assert_eq!(affinity(&MovieActions::default()), None);
    }
}
