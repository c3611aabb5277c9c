//! Charts: which films most users stand so with. What is counted, and over which time.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MovieId, Reaction, UserMovie};

/// What a chart counts; each user once.
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
#[schema(example = "bookmarks")]
pub enum Metric {
    /// Users who want to watch the film.
    Bookmarks,
    /// Users who like it, or like it above others.
    Likes,
    /// Users who watched it to its end.
    Watches,
}

impl Metric {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Bookmarks, Self::Likes, Self::Watches];

    /// Its name, as clients and the stores write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bookmarks => "bookmarks",
            Self::Likes => "likes",
            Self::Watches => "watches",
        }
    }

    /// The metric of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// Since when a user counts; none where they do not.
    fn since(self, state: &UserMovie) -> Option<DateTime<Utc>> {
        match self {
            Self::Bookmarks => state.bookmark.since(),
            Self::Likes => state
                .reaction
                .since()
                .filter(|_| state.reaction.value != Some(Reaction::Dislike)),
            Self::Watches => state.watch.completed.map(|mark| mark.at),
        }
    }
}

/// Over which time a chart counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[schema(example = "week")]
pub enum Window {
    /// The present hour and the 23 before it.
    Day,
    /// The present hour and the 167 before it.
    Week,
    /// All time.
    All,
}

impl Window {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::All];

    /// Its name, as clients and the stores write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::All => "all",
        }
    }

    /// The window of this name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// The first of its hours, where `hour` is the last; none: it has no first.
    #[must_use]
    pub fn begin(self, hour: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Day => Some(hour - TimeDelta::hours(23)),
            Self::Week => Some(hour - TimeDelta::hours(7 * 24 - 1)),
            Self::All => None,
        }
    }
}

/// The beginning of the hour of `at`.
#[must_use]
pub fn hour_of(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at)
}

/// A place in a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChartEntry {
    /// The film.
    pub movie_id: MovieId,
    /// How many users.
    pub count: i64,
}

/// How one hour's count of a film moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(type_name = "chart_shift_row")]
pub struct ChartShift {
    /// The film.
    pub movie_id: MovieId,
    /// What is counted.
    pub metric: Metric,
    /// The hour's beginning.
    pub hour: DateTime<Utc>,
    /// By how much.
    pub by: i64,
}

/// Longer than any window, so that an hour counts in none when it is forgotten.
pub const KEPT: TimeDelta = TimeDelta::days(8);

/// How the counts of a film move where a user stood as `from` and stands as `to`, as of `now`.
pub fn chart_shifts(
    movie_id: MovieId,
    from: &UserMovie,
    to: &UserMovie,
    now: DateTime<Utc>,
) -> impl Iterator<Item = ChartShift> {
    let hours = Metric::ALL.map(|metric| {
        let (from, to) = (metric.since(from), metric.since(to));
        (metric, from.map(hour_of), to.map(hour_of))
    });
    hours
        .into_iter()
        .filter(|(_, from, to)| from != to)
        .flat_map(|(metric, from, to)| [(metric, from, -1), (metric, to, 1)])
        .filter_map(move |(metric, hour, by)| {
            let hour = hour.filter(|hour| *hour > now - KEPT)?;
            Some(ChartShift {
                movie_id,
                metric,
                hour,
                by,
            })
        })
}
