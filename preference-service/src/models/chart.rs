//! Charts: movies ranked by the number of users who bookmarked, like or watched them within a time window. Counts are
//! kept per hour; a window is the sum of its hours.

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MovieId, Reaction, StatePart, UserMovie};

/// The metric of a chart; each user counts once.
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
    /// Users who have the movie on their watchlist.
    Bookmarks,
    /// Users who like or superlike it.
    Likes,
    /// Users who watched it to its end.
    Watches,
}

impl Metric {
    /// All metrics.
    pub const ALL: [Self; 3] = [Self::Bookmarks, Self::Likes, Self::Watches];

    /// The time from which the user counts, `None` if not at all.
    fn since(self, state: &UserMovie) -> Option<DateTime<Utc>> {
        match self {
            Self::Bookmarks => state.since(StatePart::Bookmark),
            Self::Likes => state
                .since(StatePart::Reaction)
                .filter(|_| state.reaction != Some(Reaction::Dislike)),
            // Watched again, the user counts at the last time.
            Self::Watches => state.viewed_at,
        }
    }
}

/// The time window of a chart, in whole hours of UTC.
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
    /// All windows.
    pub const ALL: [Self; 3] = [Self::Day, Self::Week, Self::All];

    /// The first hour of the window that ends with `hour`; `None` for all time.
    pub fn begin(self, hour: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::Day => Some(hour - TimeDelta::hours(23)),
            Self::Week => Some(hour - TimeDelta::hours(7 * 24 - 1)),
            Self::All => None,
        }
    }
}

/// Returns the start of the hour of `at`.
pub fn hour_of(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(TimeDelta::hours(1)).unwrap_or(at)
}

/// An entry of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChartEntry {
    /// The movie.
    pub movie_id: MovieId,
    /// The number of users.
    pub count: i64,
}

/// A change of a movie's count in one hour.
// Field order must match the composite type: shifts are written as composite values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
#[sqlx(type_name = "chart_shift_row")]
pub struct ChartShift {
    /// The movie.
    pub movie_id: MovieId,
    /// The metric.
    pub metric: Metric,
    /// The start of the hour.
    pub hour: DateTime<Utc>,
    /// The difference.
    pub by: i64,
}

/// The retention of hourly counts: longer than any window.
pub const CHART_RETENTION: TimeDelta = TimeDelta::days(8);

/// Returns the shifts of a movie's counts when a user's state changes from `from` to `to` at `now`.
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
            let hour = hour.filter(|hour| *hour > now - CHART_RETENTION)?;
            Some(ChartShift {
                movie_id,
                metric,
                hour,
                by,
            })
        })
}
