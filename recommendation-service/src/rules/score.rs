//! The scores of the three rules, with reasons. Pure.
//!
//! score = Σ weight × value over the active rules, rounded half away from zero to four decimals;
//! each value lies in 0..=1. The formulas are the original system's, see the openapi README.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use filter::{CHUNK_ROWS, UNKNOWN_DAY};

use crate::{
    read_model::{Candidate, Catalogue, GenreSet, NO_DATE},
    reason::Reason,
    rules::Weights,
};

/// The age in days at which recency is 0.
const RECENCY_DAYS: f64 = 730.0;
const SECONDS_PER_DAY: f64 = 86_400.0;
/// The value above which a rule is named as a reason.
const MIN_REASON_VALUE: f64 = 0.7;

/// The parameters of a score beside the movie.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// The weights of the active rules.
    pub weights: Weights,
    /// The largest popularity among the candidates, or one that few of them exceed.
    pub max_popularity: f64,
    /// The genres that the user prefers.
    pub preferred: GenreSet,
    /// True if the user prefers any genres, even if no movie has them.
    pub has_preferred: bool,
    /// Days from 1970-01-01T00:00Z to now, with fraction.
    pub today: f64,
}

/// The values of the rules for a movie, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Values {
    /// Popularity ÷ the largest among the candidates, at most 1; 1 where that is 0.
    pub popularity: f64,
    /// max(0, 1 − days since release ÷ 730); 1 for what is still to come, 0 without a date.
    pub recency: f64,
    /// Matching genres ÷ the film's genres.
    pub genre_match: f64,
}

/// Days from 1970-01-01T00:00Z to `instant`, with fraction.
pub fn days_since_epoch(instant: DateTime<Utc>) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of any year fit f64's 53 bits"
    )]
    let milliseconds = instant.timestamp_millis() as f64;
    milliseconds / 1000.0 / SECONDS_PER_DAY
}

impl Context {
    /// The values of the rules for `film`.
    pub fn values(&self, film: Candidate) -> Values {
        let popularity = if self.max_popularity > 0.0 {
            (film.popularity / self.max_popularity).min(1.0)
        } else {
            1.0
        };
        let recency = if film.release_day == NO_DATE {
            0.0
        } else {
            let days = (self.today - f64::from(film.release_day)).max(0.0);
            (1.0 - days / RECENCY_DAYS).max(0.0)
        };
        let genre_match = if self.has_preferred && film.genres != 0 {
            f64::from((film.genres & self.preferred).count_ones())
                / f64::from(film.genres.count_ones())
        } else {
            0.0
        };
        Values {
            popularity,
            recency,
            genre_match,
        }
    }

    /// The weighted sum of `values`, rounded to four decimals.
    pub fn score(&self, values: Values) -> f64 {
        let sum = self.weights.popularity * values.popularity
            + self.weights.recency * values.recency
            + self.weights.genre_match * values.genre_match;
        (sum * 10_000.0).round() / 10_000.0
    }

    /// The weighted genre match of each combination of genres of `catalogue`, by its number, in single precision.
    pub fn genre_worth(&self, catalogue: &Catalogue) -> Vec<f32> {
        catalogue
            .genres()
            .sets()
            .iter()
            .map(|genres| {
                let film = Candidate {
                    popularity: 0.0,
                    release_day: NO_DATE,
                    genres: *genres,
                };
                (self.weights.genre_match * self.values(film).genre_match) as f32
            })
            .collect()
    }

    /// Writes to `scores` the scores of the movies from row `first` on, to within 10⁻⁴ of [`Context::score`];
    /// `genre_worth` is [`Context::genre_worth`].
    pub fn estimate(
        &self,
        catalogue: &Catalogue,
        genre_worth: &[f32],
        first: usize,
        scores: &mut [f32],
    ) {
        /// The maximum age in days; recency is 0 long before.
        const OLD: i32 = 100_000;
        let (popular, flat) = if self.max_popularity > 0.0 {
            (self.weights.popularity / self.max_popularity, 0.0)
        } else {
            (0.0, self.weights.popularity)
        };
        let (popular, flat) = (popular as f32, flat as f32);
        let most = self.weights.popularity as f32;
        let recent = self.weights.recency as f32;
        let whole = self.today.floor();
        let part = (self.today - whole) as f32;
        let today = whole as i32 + NaiveDate::default().num_days_from_ce();
        let mut first = first;
        let mut rest = scores;
        while !rest.is_empty() {
            // Columns are in chunks.
            let count = rest.len().min(CHUNK_ROWS - first % CHUNK_ROWS);
            let (scores, others) = rest.split_at_mut(count);
            let popularity = catalogue.popularity().block(first, count);
            let days = catalogue.films().days().block(first, count);
            let genres = catalogue.genre_numbers().block(first, count);
            let columns = popularity.iter().zip(days).zip(genres);
            for (score, ((popularity, day), genres)) in scores.iter_mut().zip(columns) {
                let has_day = if *day == UNKNOWN_DAY { 0.0 } else { recent };
                let days = ((today - (*day).max(today - OLD)) as f32 + part).max(0.0);
                let recency = (1.0 - days * (1.0 / RECENCY_DAYS as f32)).max(0.0);
                *score = (popular * *popularity as f32).min(most)
                    + flat
                    + has_day * recency
                    + genre_worth[*genres as usize];
            }
            first += count;
            rest = others;
        }
    }

    /// The reasons, of active rules; at least one.
    pub fn reasons(&self, values: Values) -> Vec<Reason> {
        let weights = self.weights;
        let is_high = |value: f64| value > MIN_REASON_VALUE;
        let reasons = [
            (
                weights.popularity,
                is_high(values.popularity),
                Reason::HighlyPopular,
            ),
            (
                weights.recency,
                is_high(values.recency),
                Reason::RecentlyReleased,
            ),
            (
                weights.genre_match,
                values.genre_match > 0.0,
                Reason::PreferredGenres,
            ),
        ];
        let mut reasons: Vec<Reason> = reasons
            .into_iter()
            .filter(|(weight, fulfilled, _)| *weight != 0.0 && *fulfilled)
            .map(|(_, _, reason)| reason)
            .collect();
        if reasons.is_empty() {
            reasons.push(Reason::Recommended);
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn context() -> Context {
        Context {
            weights: Weights {
                popularity: 0.4,
                recency: 0.3,
                genre_match: 0.3,
            },
            max_popularity: 100.0,
            preferred: 0b01,
            has_preferred: true,
            today: 20_000.0,
        }
    }

    fn film(popularity: f64, release_day: i32, genres: GenreSet) -> Candidate {
        Candidate {
            popularity,
            release_day,
            genres,
        }
    }

    #[test]
    fn each_rule_has_the_contracts_boundaries() {
        let context = context();
        // Still to come, without a date, too old.
        for (release_day, recency) in [(20_010, 1.0), (NO_DATE, 0.0), (20_000 - 731, 0.0)] {
            let values = context.values(film(0.0, release_day, 0));
            assert_eq!(values.recency, recency, "{release_day}");
            assert_eq!(values.genre_match, 0.0, "no genres");
        }
        let flat = Context {
            max_popularity: 0.0,
            ..context
        };
        assert_eq!(
            flat.values(film(0.0, NO_DATE, 0)).popularity,
            1.0,
            "nothing is popular"
        );
        let indifferent = Context {
            has_preferred: false,
            ..context
        };
        assert_eq!(
            indifferent.values(film(0.0, NO_DATE, 0b01)).genre_match,
            0.0,
            "no preference"
        );
    }

    #[test]
    fn reasons_are_ordered_and_never_empty() {
        let context = context();
        let reasons = |film| context.reasons(context.values(film));
        assert_eq!(
            reasons(film(71.0, 20_000, 0b01)),
            [
                Reason::HighlyPopular,
                Reason::RecentlyReleased,
                Reason::PreferredGenres
            ]
        );
        assert_eq!(reasons(film(70.0, NO_DATE, 0b10)), [Reason::Recommended]);
        let silent = Context {
            weights: Weights {
                popularity: 0.0,
                ..context.weights
            },
            ..context
        };
        assert_eq!(
            silent.reasons(silent.values(film(99.0, NO_DATE, 0))),
            [Reason::Recommended]
        );
    }

    #[test]
    fn scores_are_rounded_half_away_from_zero() {
        let weights = Weights {
            popularity: 1.0,
            recency: 0.0,
            genre_match: 0.0,
        };
        let context = Context {
            weights,
            max_popularity: 1.0,
            ..context()
        };
        for (popularity, score) in [(0.031_25, 0.0313), (0.000_04, 0.0), (0.999_96, 1.0)] {
            assert_eq!(
                context.score(context.values(film(popularity, NO_DATE, 0))),
                score
            );
        }
    }

    proptest! {
        #[test]
        fn every_value_and_score_lies_between_0_and_1(
            popularity in 0.0..=100.0_f64, day in -10_000..30_000_i32, genres: u64, preferred: u64,
        ) {
            let context = Context { preferred, ..context() };
            let values = context.values(film(popularity, day, genres));
            for value in [values.popularity, values.recency, values.genre_match, context.score(values)] {
                prop_assert!((0.0..=1.0).contains(&value), "{value}");
            }
        }
    }
}
