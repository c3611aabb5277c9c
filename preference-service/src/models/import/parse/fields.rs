//! The fields of a CSV row, parsed and validated by column.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Utc};
use csv::ByteRecord;

use super::header::{Header, normalize};
use crate::models::{MovieId, Rating};

/// The maximum length of a title, in characters.
const MAX_TITLE_CHARS: usize = 500;
/// The years in which movies may be released.
pub(super) const YEARS: RangeInclusive<i32> = 1870..=2200;
/// The types of titles that are not movies.
const OTHER_TITLES: [&str; 10] = [
    "tvseries",
    "tvminiseries",
    "tvepisode",
    "show",
    "season",
    "episode",
    "videogame",
    "podcastseries",
    "podcastepisode",
    "musicvideo",
];

/// The column of an invalid field, and the message about it.
pub(super) type InvalidField = (&'static str, String);

/// The message about a column that must have a value.
pub(super) const REQUIRED: &str = "is required";

/// The fields of a row, read by the names of their columns. Each method fails with the column and a message.
pub(super) struct Fields<'a> {
    pub(super) header: &'a Header,
    pub(super) record: &'a ByteRecord,
    pub(super) now: DateTime<Utc>,
}

impl<'a> Fields<'a> {
    /// The trimmed text of a column; empty if there is no such column.
    pub(super) fn get(&self, name: &'static str) -> Result<&'a str, InvalidField> {
        let column = self.header.column(name);
        let bytes = column.and_then(|column| self.record.get(column));
        let text = std::str::from_utf8(bytes.unwrap_or_default())
            .map_err(|_| (name, "must be text in UTF-8".to_owned()))?;
        if text.contains('\0') {
            return Err((name, "must be text without NUL".to_owned()));
        }
        Ok(text.trim())
    }

    pub(super) fn if_present<T>(
        &self,
        name: &'static str,
        read: impl FnOnce(&Self, &'static str) -> Result<T, InvalidField>,
    ) -> Result<Option<T>, InvalidField> {
        if self.get(name)?.is_empty() {
            return Ok(None);
        }
        read(self, name).map(Some)
    }

    pub(super) fn optional(&self, name: &'static str) -> Result<Option<String>, InvalidField> {
        self.if_present(name, Self::required)
    }

    pub(super) fn required(&self, name: &'static str) -> Result<String, InvalidField> {
        let text = self.get(name)?;
        if text.is_empty() {
            return Err((name, REQUIRED.to_owned()));
        }
        if text.chars().count() > MAX_TITLE_CHARS {
            let message = format!("must be at most {MAX_TITLE_CHARS} characters");
            return Err((name, message));
        }
        Ok(text.to_owned())
    }

    pub(super) fn number(&self, name: &'static str) -> Result<u64, InvalidField> {
        let text = self.get(name)?;
        text.parse()
            .map_err(|_| (name, "must be a whole number".to_owned()))
    }

    pub(super) fn year(&self, name: &'static str) -> Result<Option<i32>, InvalidField> {
        self.if_present(name, |fields, name| {
            let year = fields.get(name)?.parse().ok();
            year.filter(|year| YEARS.contains(year)).ok_or_else(|| {
                let message = format!("must be a year from {} to {}", YEARS.start(), YEARS.end());
                (name, message)
            })
        })
    }

    pub(super) fn tmdb_id(&self, name: &'static str) -> Result<Option<MovieId>, InvalidField> {
        self.if_present(name, |fields, name| {
            // Some exports write `603.0`.
            let text = fields.get(name)?.trim_end_matches(".0");
            let id = text.parse().ok().and_then(MovieId::new);
            id.ok_or_else(|| (name, "must be a whole number from 1".to_owned()))
        })
    }

    pub(super) fn imdb_id(&self, name: &'static str) -> Result<Option<String>, InvalidField> {
        self.if_present(name, |fields, name| {
            let id = fields.get(name)?;
            let digits = id.strip_prefix("tt").unwrap_or_default();
            let is_id = (7..=10).contains(&digits.len())
                && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_id
                .then(|| id.to_owned())
                .ok_or_else(|| (name, "must be `tt` and seven to ten digits".to_owned()))
        })
    }

    /// An IMDb id as MovieLens writes it: its number.
    pub(super) fn imdb_number(&self, name: &'static str) -> Result<Option<String>, InvalidField> {
        if self.get(name)?.starts_with("tt") {
            return self.imdb_id(name);
        }
        self.if_present(name, |fields, name| {
            let number = fields.number(name)?;
            let is_id = number < 10_000_000_000;
            is_id
                .then(|| format!("tt{number:07}"))
                .ok_or_else(|| (name, "must have at most ten digits".to_owned()))
        })
    }

    pub(super) fn stars(&self, name: &'static str) -> Result<Rating, InvalidField> {
        let stars = self.get(name)?.parse().ok();
        stars.and_then(Rating::from_stars).ok_or_else(|| {
            let message = "must be a number of stars from 0.5 to 5, in halves";
            (name, message.to_owned())
        })
    }

    /// A rating from 1 to 10 in half stars.
    pub(super) fn tenths(&self, name: &'static str) -> Result<Rating, InvalidField> {
        let points = self.get(name)?.parse().ok();
        points
            .and_then(Rating::from_half_stars)
            .ok_or_else(|| (name, "must be a whole number from 1 to 10".to_owned()))
    }

    /// A day or an instant; the present time if the field is empty.
    pub(super) fn date(&self, name: &'static str) -> Result<DateTime<Utc>, InvalidField> {
        let at = self.if_present(name, |fields, name| {
            let text = fields.get(name)?;
            let day = |text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
            let instant = |format| NaiveDateTime::parse_from_str(text, format).ok();
            let at = DateTime::parse_from_rfc3339(text)
                .map(|at| at.to_utc())
                .ok()
                .or_else(|| Some(day(text)?.and_hms_opt(0, 0, 0)?.and_utc()))
                .or_else(|| instant("%Y-%m-%d %H:%M:%S").map(|at| at.and_utc()))
                .or_else(|| instant("%a %b %e %H:%M:%S %Y").map(|at| at.and_utc()));
            at.filter(|at| YEARS.contains(&at.year()))
                .ok_or_else(|| (name, "must be a day, as 2026-02-13".to_owned()))
        })?;
        Ok(at.unwrap_or(self.now))
    }

    /// Seconds since 1970; the present time if the field is empty.
    pub(super) fn timestamp(&self, name: &'static str) -> Result<DateTime<Utc>, InvalidField> {
        let at = self.if_present(name, |fields, name| {
            let at = DateTime::from_timestamp(fields.get(name)?.parse().unwrap_or(i64::MIN), 0);
            at.filter(|at| YEARS.contains(&at.year()))
                .ok_or_else(|| (name, "must be a number of seconds since 1970".to_owned()))
        })?;
        Ok(at.unwrap_or(self.now))
    }

    pub(super) fn is_other_title(&self) -> Result<bool, InvalidField> {
        let kind = match self.get("Title Type")? {
            "" => self.get("type")?,
            kind => kind,
        };
        Ok(OTHER_TITLES.contains(&normalize(kind).as_str()))
    }
}
