//! Viewings: the times that a user saw a movie, and the merging of reports about them. A pure, commutative and
//! idempotent merge: the result depends neither on the order of the reports nor on their repetition. Called by
//! [`UserMovie::apply`], which derives the watch state from the viewings that count.

use std::{cmp::Ordering, fmt};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use histories::MAX_ORIGIN_BYTES;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

use super::{MovieId, Rating, UserId, UserMovie};

/// The time of a viewing: an instant, a day of UTC whose midnight stands for it, or unknown. Unknown is stored as
/// 1970-01-01, as other sites do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewingTime(DateTime<Utc>);

impl ViewingTime {
    /// The time of a viewing whose day is unknown.
    pub const UNKNOWN: Self = Self(DateTime::UNIX_EPOCH);

    /// A viewing at `instant`. Any instant of 1970-01-01 is unknown.
    pub fn at(instant: DateTime<Utc>) -> Self {
        let time = Self(instant);
        if time.is_known() { time } else { Self::UNKNOWN }
    }

    /// A viewing on `day`, of which the hour is unknown.
    pub fn on(day: NaiveDate) -> Self {
        Self::at(day.and_time(NaiveTime::MIN).and_utc())
    }

    /// The day, `None` if unknown.
    pub fn day(self) -> Option<NaiveDate> {
        self.is_known().then(|| self.key())
    }

    /// The instant, `None` if at most the day is known.
    pub fn instant(self) -> Option<DateTime<Utc>> {
        (self.0.time() != NaiveTime::MIN).then_some(self.0)
    }

    /// The instant, or the midnight that stands for the day.
    pub fn or_midnight(self) -> DateTime<Utc> {
        self.0
    }

    /// True if the day is known.
    pub fn is_known(self) -> bool {
        self.key() != DateTime::UNIX_EPOCH.date_naive()
    }

    /// The day that identifies the viewing of a user and movie.
    fn key(self) -> NaiveDate {
        self.0.date_naive()
    }
}

/// The origin of a viewing, such as `manual`, `letterboxd` or `jellyfin`: 1 to 20 of a-z, 0-9, `-` and `_`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(as = ViewingSource, value_type = String, pattern = "^[a-z0-9][a-z0-9_-]{0,19}$", example = "letterboxd")]
pub struct Source([u8; MAX_ORIGIN_BYTES]);

impl Source {
    /// Reported by the user, or a client of theirs.
    pub const MANUAL: Self = Self::literal("manual");

    /// A media server, of marks that concern all of them.
    pub const PLAYER: Self = Self::literal("player");

    /// Returns the source named `name`, `None` if that is not a valid name.
    pub fn new(name: &str) -> Option<Self> {
        histories::is_origin(name).then(|| Self::literal(name))
    }

    /// The name, which must be at most [`MAX_ORIGIN_BYTES`] bytes of ASCII.
    const fn literal(name: &str) -> Self {
        let (mut bytes, mut at) = ([0; MAX_ORIGIN_BYTES], 0);
        while at < name.len() && at < MAX_ORIGIN_BYTES {
            bytes[at] = name.as_bytes()[at];
            at += 1;
        }
        Self(bytes)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0);
        let name = self.0.get(..end.unwrap_or(MAX_ORIGIN_BYTES));
        name.and_then(|name| str::from_utf8(name).ok())
            .unwrap_or_default()
    }
}

impl Source {
    /// True for media servers, whose marks that a movie was not played concern what any of them has reported.
    pub fn is_player(&self) -> bool {
        matches!(self.as_str(), "jellyfin" | "plex" | "emby" | "kodi")
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), formatter)
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let message = "a source is 1 to 20 of a-z, 0-9, - and _";
        Self::new(&name).ok_or_else(|| de::Error::custom(message))
    }
}

/// A report of a viewing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewViewing {
    /// The time of the viewing.
    pub time: ViewingTime,
    /// The rating of this viewing.
    pub rating: Option<Rating>,
    /// The origin of the report.
    pub source: Option<Source>,
}

/// A viewing: all reports about one day, merged. Each value is that of the newest report that has one, and of several
/// that are equally new the greatest; reports of media servers yield to all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Viewing {
    /// The time of the viewing.
    pub time: ViewingTime,
    /// The rating of this viewing.
    pub rating: Option<Rating>,
    /// The time of the report that rated it.
    pub rated_at: Option<DateTime<Utc>>,
    /// The origin of the newest report.
    pub source: Option<Source>,
    /// The time of the newest report.
    pub added_at: DateTime<Utc>,
    /// The time of the newest removal.
    pub removed_at: Option<DateTime<Utc>>,
}

impl Viewing {
    fn new(report: &NewViewing, at: DateTime<Utc>) -> Self {
        Self {
            time: report.time,
            rating: report.rating,
            rated_at: report.rating.map(|_| at),
            source: report.source,
            added_at: at,
            removed_at: None,
        }
    }

    /// True unless the viewing was removed and not reported again since.
    pub fn is_present(&self) -> bool {
        self.removed_at
            .is_none_or(|removed| removed <= self.added_at)
    }

    /// True if a report of the same day is no news.
    pub(super) fn covers(&self, report: &NewViewing) -> bool {
        self.is_present()
            && (report.rating.is_none() || report.rating == self.rating)
            && (report.time <= self.time || (is_player(report.source) && !is_player(self.source)))
    }

    /// Merges a report of the same day.
    fn merge(&mut self, report: &NewViewing, at: DateTime<Utc>) {
        if self.removed_at.is_some_and(|removed| at < removed) {
            return;
        }
        if !self.is_present() {
            let removed_at = self.removed_at;
            *self = Self {
                removed_at,
                ..Self::new(report, at)
            };
            return;
        }
        // What a media server reports of a day does not replace what the user or another site does.
        match is_player(self.source).cmp(&is_player(report.source)) {
            Ordering::Equal => {
                self.time = self.time.max(report.time);
                self.source = (self.added_at, self.source).max((at, report.source)).1;
            }
            Ordering::Greater => (self.time, self.source) = (report.time, report.source),
            Ordering::Less => {}
        }
        self.added_at = self.added_at.max(at);
        if report.rating.is_some() {
            let rated = (self.rated_at, self.rating).max((Some(at), report.rating));
            (self.rated_at, self.rating) = rated;
        }
    }

    /// Removes the reports before `at`.
    fn remove(&mut self, at: DateTime<Utc>) {
        self.removed_at = self.removed_at.max(Some(at));
        self.unrate(at);
    }

    /// Removes what media servers report, so that other reports, also older ones, count.
    fn unplay(&mut self) {
        *self = Self {
            time: ViewingTime::on(self.time.key()),
            rating: None,
            rated_at: None,
            source: None,
            added_at: DateTime::UNIX_EPOCH,
            removed_at: Some(DateTime::UNIX_EPOCH + TimeDelta::microseconds(1)),
        };
    }

    /// Drops a rating that was reported before `at`.
    fn unrate(&mut self, at: DateTime<Utc>) {
        if self.rated_at.is_some_and(|rated| rated < at) {
            (self.rated_at, self.rating) = (None, None);
        }
    }
}

fn is_player(source: Option<Source>) -> bool {
    source.is_some_and(|source| source.is_player())
}

/// The viewings of a user and movie, with those that were removed, by day; one per day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Viewings(Vec<Viewing>);

impl From<Vec<Viewing>> for Viewings {
    fn from(mut stored: Vec<Viewing>) -> Self {
        stored.sort_unstable_by_key(|viewing| viewing.time);
        Self(stored)
    }
}

impl Viewings {
    /// Returns the viewings of `state`, of which `stored` are the rows. A movie without rows that was completed has one
    /// viewing, see migration 0013.
    pub fn of(state: &UserMovie, stored: Vec<Viewing>) -> Self {
        let mut viewings = Self::from(stored);
        let counted = viewings.counted().next().copied();
        match (state.completed_at, counted) {
            (Some(at), None) => {
                let report = NewViewing {
                    time: ViewingTime::at(at),
                    rating: None,
                    source: None,
                };
                viewings.add(&report, at);
            }
            // A replica of the previous release has removed the movie from the history.
            (None, Some(_)) => {
                let at = state.watched_at.unwrap_or(DateTime::<Utc>::MAX_UTC);
                viewings.forget(at, false);
            }
            _ => {}
        }
        viewings
    }

    /// The viewings that count, by time: those of known days, else the one of an unknown day.
    pub fn counted(&self) -> impl Iterator<Item = &Viewing> + Clone {
        let present = self.0.iter().filter(|viewing| viewing.is_present());
        let is_known = |viewing: &&Viewing| viewing.time.is_known();
        let any_known = present.clone().any(|viewing| is_known(&viewing));
        present.filter(move |viewing| is_known(viewing) == any_known)
    }

    /// Finds the viewing of a day, also a removed one.
    pub fn find(&self, time: ViewingTime) -> Option<&Viewing> {
        self.0.iter().find(|known| known.time.key() == time.key())
    }

    /// Returns the viewings that differ from those in `before`.
    pub fn changed_since(&self, before: &Self) -> Vec<Viewing> {
        let is_new = |viewing: &&Viewing| before.find(viewing.time) != Some(*viewing);
        self.0.iter().filter(is_new).copied().collect()
    }

    /// Merges a report, which was made `at`. True if it changes anything.
    pub(super) fn add(&mut self, report: &NewViewing, at: DateTime<Utc>) -> bool {
        let key = report.time.key();
        match self.0.iter_mut().find(|known| known.time.key() == key) {
            Some(known) => {
                let before = *known;
                known.merge(report, at);
                before != *known
            }
            None => {
                let index = self.0.partition_point(|known| known.time < report.time);
                self.0.insert(index, Viewing::new(report, at));
                true
            }
        }
    }

    /// Removes the viewing of a day. False if there is none.
    pub(super) fn remove(&mut self, time: ViewingTime, at: DateTime<Utc>) -> bool {
        let known = self
            .0
            .iter_mut()
            .find(|known| known.time.key() == time.key());
        let Some(known) = known.filter(|known| known.is_present()) else {
            return false;
        };
        known.remove(at);
        true
    }

    /// Removes all reports before `at`, or those of media servers. True if that changes anything.
    pub(super) fn forget(&mut self, at: DateTime<Utc>, only_players: bool) -> bool {
        let mut changed = false;
        for viewing in &mut self.0 {
            let before = *viewing;
            if only_players {
                if is_player(viewing.source) && viewing.is_present() && viewing.added_at < at {
                    viewing.unplay();
                }
            } else if viewing.added_at < at && viewing.is_present() {
                viewing.remove(at);
            } else {
                viewing.unrate(at);
            }
            changed |= before != *viewing;
        }
        changed
    }

    /// The time of the newest report.
    pub(super) fn newest(&self) -> Option<DateTime<Utc>> {
        self.0.iter().map(|viewing| viewing.added_at).max()
    }

    /// The time of the newest removal.
    pub(super) fn newest_removal(&self) -> Option<DateTime<Utc>> {
        self.0.iter().filter_map(|viewing| viewing.removed_at).max()
    }
}

/// A viewing of a user's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedViewing {
    /// The user.
    pub user_id: UserId,
    /// The movie.
    pub movie_id: MovieId,
    /// The time of the viewing.
    pub time: ViewingTime,
    /// The rating of this viewing.
    pub rating: Option<Rating>,
    /// The origin.
    pub source: Option<Source>,
}

/// The id of a viewing within a user's: the movie and the day, such as `603-2021-05-01` or `603-unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewingId {
    /// The movie.
    pub movie_id: MovieId,
    /// The day.
    pub time: ViewingTime,
}

impl fmt::Display for ViewingId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time.day() {
            Some(day) => write!(formatter, "{}-{day}", self.movie_id),
            None => write!(formatter, "{}-unknown", self.movie_id),
        }
    }
}

impl Serialize for ViewingId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ViewingId {
    /// Parses an id, `None` if `text` is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let (movie, day) = text.split_once('-')?;
        let is_digits = movie.bytes().all(|byte| byte.is_ascii_digit());
        let movie_id = movie
            .parse()
            .ok()
            .filter(|_| is_digits)
            .and_then(MovieId::new)?;
        let time = match day {
            "unknown" => ViewingTime::UNKNOWN,
            day => ViewingTime::on(NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?),
        };
        Some(Self { movie_id, time }).filter(|id| id.to_string() == text)
    }
}
