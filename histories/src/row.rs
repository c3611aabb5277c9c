//! The neutral row: a movie as another site names it, and the actions of a user on it.

use std::fmt;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

/// The time of an action.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The file does not state it, or states a placeholder such as 1970. Orders before every known time.
    #[default]
    Unknown,
    /// A day, in the time zone of the user.
    Day(NaiveDate),
    /// An instant.
    At(DateTime<Utc>),
}

impl When {
    /// The day; that of an instant is in UTC.
    pub fn day(self) -> Option<NaiveDate> {
        match self {
            Self::Unknown => None,
            Self::Day(day) => Some(day),
            Self::At(at) => Some(at.date_naive()),
        }
    }

    /// The instant, of a day its first one; `None` if the time is unknown.
    pub fn instant(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Unknown => None,
            Self::Day(day) => Some(day.and_time(NaiveTime::MIN).and_utc()),
            Self::At(at) => Some(at),
        }
    }
}

/// A rating on the product's scale: half stars, 1 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HalfStars(u8);

impl HalfStars {
    /// The rating of `halves` half stars, `None` if it is not in 1..=10.
    pub fn new(halves: u8) -> Option<Self> {
        (1..=10).contains(&halves).then_some(Self(halves))
    }

    /// The number of half stars, 1 to 10.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// The site from which a row comes.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// An export of Marquee.
    #[default]
    Marquee,
    /// Letterboxd, or a file in its import layout.
    Letterboxd,
    /// IMDb.
    Imdb,
    /// Trakt.
    Trakt,
    /// MovieLens.
    Movielens,
    /// TMDB.
    Tmdb,
    /// Simkl.
    Simkl,
    /// Yamtrack.
    Yamtrack,
    /// Movary.
    Movary,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

/// An opinion without a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// The user likes the movie.
    Like,
    /// The user dislikes the movie.
    Dislike,
    /// The user likes the movie very much.
    Superlike,
}

/// A playback position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Progress {
    /// The position, in seconds from 0.
    pub position: i32,
    /// The runtime, in seconds from 1; not less than the position.
    pub duration: i32,
}

/// The maximum length of the name of a viewing's origin, in bytes.
pub const MAX_ORIGIN_BYTES: usize = 20;

/// True for names of origins: 1 to 20 of a-z, 0-9, `-` and `_`, of which the last two do not come first.
pub fn is_origin(name: &str) -> bool {
    (1..=MAX_ORIGIN_BYTES).contains(&name.len())
        && !name.starts_with(['-', '_'])
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

/// A movie as a file names it. At least one of the ids or the title is present in rows of readers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Film {
    /// The title, 1 to 500 characters.
    pub title: Option<String>,
    /// The original title, if the file has a column for it.
    pub original_title: Option<String>,
    /// The year of release, 1870 to 2200.
    pub year: Option<i32>,
    /// TMDB's id, from 1.
    pub tmdb_id: Option<i64>,
    /// IMDb's id: `tt` and seven to ten digits.
    pub imdb_id: Option<String>,
    /// Letterboxd's address of the movie or of the diary entry.
    pub letterboxd_uri: Option<String>,
}

/// A value that the user gave at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// The time.
    pub when: When,
}

/// A row of a file: a movie, and the user's actions on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The index of the file, from 0.
    pub file: usize,
    /// The line on which the row begins, from 1; in JSON the number of the element, from 1.
    pub line: u64,
    /// The site.
    pub source: Source,
    /// The movie.
    pub film: Film,
    /// The time of a viewing; `None` if the row is about none.
    pub viewing: Option<When>,
    /// The rating of the movie. In a row with a viewing it is also that of the viewing.
    pub rating: Option<Given<HalfStars>>,
    /// The rating of the viewing, where it is not one of the movie.
    pub viewing_rating: Option<HalfStars>,
    /// The origin of the viewing, if it is another than `source`; see [`is_origin`].
    pub origin: Option<String>,
    /// The reaction; sites other than Marquee have only likes.
    pub reaction: Option<Given<Reaction>>,
    /// A playback position.
    pub progress: Option<Given<Progress>>,
    /// The time at which the user put the movie on the watchlist.
    pub watchlist: Option<When>,
}

impl Row {
    /// The time at which the user liked the movie.
    pub fn like(&self) -> Option<When> {
        let like = self
            .reaction
            .filter(|given| given.value != Reaction::Dislike);
        like.map(|given| given.when)
    }
}

impl Given<Reaction> {
    /// A like.
    pub fn like(when: When) -> Self {
        let value = Reaction::Like;
        Self { value, when }
    }
}
