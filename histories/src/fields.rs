//! The fields of a row, parsed and validated by column.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    HalfStars, Reason, When,
    date::{self, DateError, DateOrder, YEARS},
    header::Header,
    table::Record,
};

/// The maximum length of a title, in characters.
const MAX_TITLE_CHARS: usize = 500;
/// A time may lie so far in the future, since days begin earlier in the east.
const MAX_FUTURE: TimeDelta = TimeDelta::days(1);
/// Texts that stand for a missing value.
const MISSING: [&str; 8] = ["", "-", "nan", "null", "none", "n/a", "\\n", "undefined"];

/// A field that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: &'static str,
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            reason: Reason::InvalidField,
            message: message.into(),
        }
    }
}

type Result<T> = std::result::Result<T, FieldError>;

/// The fields of a row, read by the names of their columns.
pub(crate) struct Fields<'a> {
    pub(crate) header: &'a Header,
    pub(crate) record: &'a Record,
    pub(crate) order: Option<DateOrder>,
    pub(crate) now: DateTime<Utc>,
}

impl<'a> Fields<'a> {
    /// The trimmed text of a column; empty if there is no such column.
    pub(crate) fn get(&self, name: &str) -> &'a str {
        let column = self.header.column(name);
        column
            .and_then(|column| self.record.get(column))
            .unwrap_or_default()
            .trim()
    }

    fn present(&self, name: &str) -> Option<&'a str> {
        let text = self.get(name);
        let is_missing = MISSING
            .iter()
            .any(|missing| text.eq_ignore_ascii_case(missing));
        (!is_missing).then_some(text)
    }

    /// A title; `None` if it is empty.
    pub(crate) fn title(&self, name: &'static str) -> Result<Option<String>> {
        title(name, self.get(name))
    }

    pub(crate) fn number(&self, name: &'static str) -> Result<u64> {
        let text = self.get(name).trim_end_matches(".0");
        text.parse()
            .map_err(|_| FieldError::new(name, "must be a whole number"))
    }

    pub(crate) fn year(&self, name: &'static str) -> Result<Option<i32>> {
        self.present(name).map_or(Ok(None), |text| year(name, text))
    }

    /// The year of a date such as `2022-05-04T00:00:00Z`.
    pub(crate) fn year_of_date(&self, name: &str) -> Option<i32> {
        let year = self.get(name).get(..4)?.parse().ok();
        year.filter(|year| YEARS.contains(year))
    }

    pub(crate) fn tmdb_id(&self, name: &'static str) -> Result<Option<i64>> {
        self.present(name)
            .map_or(Ok(None), |text| tmdb_id(name, text))
    }

    pub(crate) fn imdb_id(&self, name: &'static str) -> Result<Option<String>> {
        self.present(name)
            .map_or(Ok(None), |text| imdb_id(name, text))
    }

    /// A rating from 0.5 to 5 stars; `None` if the field is empty.
    pub(crate) fn stars(&self, name: &'static str) -> Result<Option<HalfStars>> {
        self.present(name)
            .map_or(Ok(None), |text| stars(name, text))
    }

    /// A rating from 1 to 10; `None` if the field is empty.
    pub(crate) fn points(&self, name: &'static str) -> Result<Option<HalfStars>> {
        self.present(name)
            .map_or(Ok(None), |text| points(name, text))
    }

    /// A time; unknown if the field is empty or there is no such column.
    pub(crate) fn date(&self, name: &'static str) -> Result<When> {
        when(name, self.get(name), self.order, self.now)
    }

    /// Seconds since 1970; unknown if the field is empty or names the first years, in which no site existed.
    pub(crate) fn timestamp(&self, name: &'static str) -> Result<When> {
        let text = self.get(name);
        if text.len() < 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(When::Unknown);
        }
        self.date(name)
    }

    /// The first of `names` that the file has, else the last.
    pub(crate) fn first_of<const N: usize>(&self, names: [&'static str; N]) -> &'static str {
        let found = names
            .into_iter()
            .find(|name| self.header.column(name).is_some());
        found.or(names.last().copied()).unwrap_or_default()
    }
}

/// The message about a rating that must be there.
pub(crate) fn required<T>(name: &'static str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| FieldError::new(name, "is required"))
}

pub(crate) fn title(name: &'static str, text: &str) -> Result<Option<String>> {
    let text = text.trim();
    if text.contains(['\0', '\u{fffd}']) {
        return Err(FieldError::new(name, "contains bytes that are no text"));
    }
    if text.chars().count() > MAX_TITLE_CHARS {
        return Err(FieldError::new(
            name,
            format!("must be at most {MAX_TITLE_CHARS} characters"),
        ));
    }
    Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
}

pub(crate) fn year(name: &'static str, text: &str) -> Result<Option<i32>> {
    let text = text.trim_end_matches(".0").trim_matches(['(', ')']);
    match text.parse() {
        Ok(0) => Ok(None),
        Ok(year) if YEARS.contains(&year) => Ok(Some(year)),
        _ => Err(FieldError::new(
            name,
            format!("must be a year from {} to {}", YEARS.start(), YEARS.end()),
        )),
    }
}

pub(crate) fn tmdb_id(name: &'static str, text: &str) -> Result<Option<i64>> {
    // Some exports write `603.0` or the address of the movie.
    let text = text.rsplit_once("/movie/").map_or(text, |(_, id)| {
        id.split(['-', '?', '/']).next().unwrap_or(id)
    });
    match text.trim_end_matches(".0").parse::<i64>() {
        Ok(0) => Ok(None),
        Ok(id) if id > 0 => Ok(Some(id)),
        _ => Err(FieldError::new(name, "must be a whole number from 1")),
    }
}

/// An IMDb id, its address, or its number as MovieLens writes it.
pub(crate) fn imdb_id(name: &'static str, text: &str) -> Result<Option<String>> {
    let error = || FieldError::new(name, "must be `tt` and seven to ten digits");
    let text = text
        .rsplit_once("/title/")
        .map_or(text, |(_, id)| id.split(['/', '?']).next().unwrap_or(id));
    let text = text.trim_end_matches(".0");
    let (digits, has_prefix) = match text.get(..2) {
        Some(prefix) if prefix.eq_ignore_ascii_case("tt") => (&text[2..], true),
        _ => (text, false),
    };
    let is_number = !digits.is_empty()
        && digits.len() <= 10
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || (has_prefix && digits.len() < 7) {
        return Err(error());
    }
    let number: u64 = digits.parse().map_err(|_| error())?;
    match number {
        0 if has_prefix => Err(error()),
        0 => Ok(None),
        _ if has_prefix => Ok(Some(format!("tt{digits}"))),
        _ => Ok(Some(format!("tt{number:07}"))),
    }
}

/// A decimal number with a point or a comma, of at most `scale`, maybe followed by `/scale`.
fn decimal(text: &str, scale: u8) -> Option<f64> {
    let text = match text.split_once('/') {
        Some((text, of)) if of.trim().parse() == Ok(scale) => text.trim(),
        Some(_) => return None,
        None => text,
    };
    let value: f64 = text.replacen(',', ".", 1).parse().ok()?;
    value.is_finite().then_some(value)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be in 1..=10"
)]
fn halves(value: f64) -> Option<HalfStars> {
    (1.0..=10.0)
        .contains(&value)
        .then(|| HalfStars::new(value as u8))?
}

pub(crate) fn stars(name: &'static str, text: &str) -> Result<Option<HalfStars>> {
    let symbols = text.chars().filter(|letter| *letter == '★').count();
    let value = if text.ends_with('½') || symbols > 0 {
        let half = if text.ends_with('½') { 0.5 } else { 0.0 };
        let whole = text.trim_end_matches('½');
        let is_symbols = whole.chars().all(|letter| letter == '★');
        let whole = if is_symbols {
            u32::try_from(symbols).ok().map(f64::from)
        } else {
            decimal(whole, 5)
        };
        whole.map(|whole| whole + half)
    } else {
        decimal(text, 5)
    };
    let doubled = value
        .map(|value| value * 2.0)
        .filter(|doubled| doubled.fract() == 0.0);
    let rating = doubled.and_then(halves);
    rating
        .map(Some)
        .ok_or_else(|| FieldError::new(name, "must be a number of stars from 0.5 to 5, in halves"))
}

/// A rating from 1 to 10; fractions, which some sites allow, are rounded to the nearest half star.
pub(crate) fn points(name: &'static str, text: &str) -> Result<Option<HalfStars>> {
    let value = decimal(text, 10).filter(|value| (0.5..=10.0).contains(value));
    let rating = value.map(f64::round).and_then(halves);
    rating
        .map(Some)
        .ok_or_else(|| FieldError::new(name, "must be a number from 1 to 10"))
}

pub(crate) fn when(
    name: &'static str,
    text: &str,
    order: Option<DateOrder>,
    now: DateTime<Utc>,
) -> Result<When> {
    let when = date::parse(text, order).map_err(|error| match error {
        DateError::Ambiguous => FieldError {
            field: name,
            reason: Reason::AmbiguousDates,
            message: AMBIGUOUS.to_owned(),
        },
        DateError::Invalid => FieldError::new(name, "must be a day, as 2026-02-13"),
    })?;
    if when.instant().is_some_and(|at| at > now + MAX_FUTURE) {
        return Err(FieldError::new(name, "is in the future"));
    }
    Ok(when)
}

/// The message about dates that can be read in two ways.
pub(crate) const AMBIGUOUS: &str = "has dates in which day and month may be either, as a spreadsheet writes them: send the file as it was exported, or add dates=day-first or dates=month-first to the address";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_of_all_spellings_come_to_half_stars() {
        let half_stars =
            |rating: Result<Option<HalfStars>>| rating.ok().flatten().map(HalfStars::get);
        for (text, expected) in [
            ("4.5", 9),
            ("4,5", 9),
            ("5", 10),
            ("0.5", 1),
            ("★★★½", 7),
            ("3½", 7),
            ("½", 1),
            ("4/5", 8),
            ("4.0", 8),
        ] {
            assert_eq!(half_stars(stars("R", text)), Some(expected), "{text}");
        }
        for (text, expected) in [
            ("9", 9),
            ("7.5", 8),
            ("8,0", 8),
            ("0.5", 1),
            ("9/10", 9),
            ("10", 10),
        ] {
            assert_eq!(half_stars(points("R", text)), Some(expected), "{text}");
        }
        for text in ["0", "5.5", "x", "-1", "4.3", "4/10", "NaN", "inf", "★x"] {
            assert!(stars("R", text).is_err(), "{text}");
        }
        for text in ["0", "11", "", "0.2"] {
            assert!(points("R", text).is_err(), "{text}");
        }
    }

    #[test]
    fn ids_are_read_in_the_spellings_of_exports() {
        for (text, expected) in [
            ("tt0133093", Some("tt0133093")),
            ("TT0133093", Some("tt0133093")),
            ("133093", Some("tt0133093")),
            (
                "https://www.imdb.com/title/tt0133093/?ref_=x",
                Some("tt0133093"),
            ),
            ("0", None),
        ] {
            assert_eq!(
                imdb_id("I", text).map(|id| id.as_deref().map(str::to_owned)),
                Ok(expected.map(str::to_owned)),
                "{text}"
            );
        }
        for text in ["nm0000001", "tt1", "tt", "tt0000000", "12345678901"] {
            assert!(imdb_id("I", text).is_err(), "{text}");
        }
        for (text, expected) in [
            ("603", Some(603)),
            ("603.0", Some(603)),
            ("https://www.themoviedb.org/movie/603-the-matrix", Some(603)),
            ("0", None),
        ] {
            assert_eq!(tmdb_id("T", text), Ok(expected), "{text}");
        }
        assert!(tmdb_id("T", "https://www.themoviedb.org/tv/1399").is_err());
    }
}
