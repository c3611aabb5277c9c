//! Dates of all exports, and those that spreadsheets make of them.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, Utc};

use serde::Deserialize;
use utoipa::ToSchema;

use crate::When;

/// The years in which movies may be released and watched.
pub(crate) const YEARS: std::ops::RangeInclusive<i32> = 1870..=2200;

/// The order of day and month in dates like `3/1/2024`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ImportDateOrder)]
pub enum DateOrder {
    /// `31/12/2024`.
    DayFirst,
    /// `12/31/2024`.
    MonthFirst,
}

/// The reason for which a date cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DateError {
    /// Day and month may be either.
    Ambiguous,
    /// No date.
    Invalid,
}

/// Texts that stand for a missing date.
const MISSING: [&str; 9] = ["", "-", "--", "n/a", "na", "null", "none", "unknown", "\\n"];

/// Parses a date; `order` decides where day and month may be either.
pub(crate) fn parse(text: &str, order: Option<DateOrder>) -> Result<When, DateError> {
    let text = text.trim();
    if MISSING
        .iter()
        .any(|missing| text.eq_ignore_ascii_case(missing))
        || text.starts_with("000")
    {
        return Ok(When::Unknown);
    }
    let when = match instant(text) {
        Some(at) => When::At(at),
        None => moment(text, order)?,
    };
    let day = when.day().ok_or(DateError::Invalid)?;
    // Sites write the start of Unix time, in any time zone, for an unknown date; spreadsheets write theirs for 0.
    let is_placeholder =
        (day.year() == 1969 && day.ordinal() == 365 && matches!(when, When::At(_)))
            || (day.year() == 1970 && day.ordinal() == 1)
            || (day.year() == 1900 && day.ordinal() <= 1)
            || (day.year() == 1899 && day.ordinal() >= 364);
    match () {
        () if is_placeholder => Ok(When::Unknown),
        () if YEARS.contains(&day.year()) => Ok(when),
        () => Err(DateError::Invalid),
    }
}

/// An instant with an offset, or seconds or milliseconds since 1970.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    if text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        return match text.len() {
            9..=10 => DateTime::from_timestamp(number, 0),
            13 => DateTime::from_timestamp_millis(number),
            _ => None,
        };
    }
    let text = text
        .strip_suffix(" UTC")
        .map_or_else(|| text.to_owned(), |text| format!("{text}+00:00"));
    DateTime::parse_from_rfc3339(&text)
        .or_else(|_| DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z"))
        .or_else(|_| DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f%#z"))
        .map(|at| at.to_utc())
        .ok()
}

/// A day, or a time of day without an offset, which counts as UTC.
fn moment(text: &str, order: Option<DateOrder>) -> Result<When, DateError> {
    // IMDb until 2017: `Thu Mar 12 00:00:00 2015`.
    if let Some((_, rest)) = text.split_once(' ')
        && let Ok(at) = NaiveDateTime::parse_from_str(rest, "%b %e %H:%M:%S %Y")
    {
        return Ok(with_time(at.date(), at.time()));
    }
    for format in [
        "%d-%b-%Y",
        "%d-%b-%y",
        "%d %b %Y",
        "%d. %b %Y",
        "%b %d, %Y",
        "%b %d %Y",
    ] {
        if let Ok(day) = NaiveDate::parse_from_str(text, format)
            && day.year() >= 1000
        {
            return Ok(When::Day(day));
        }
    }
    let (date, time) = match text.find(['T', ' ']) {
        Some(place) => (&text[..place], text[place + 1..].trim()),
        None => (text, ""),
    };
    let day = numeric(date, order)?;
    if time.is_empty() {
        return Ok(When::Day(day));
    }
    ["%H:%M:%S%.f", "%H:%M", "%I:%M:%S %p", "%I:%M %p"]
        .into_iter()
        .find_map(|format| NaiveTime::parse_from_str(time, format).ok())
        .map(|time| with_time(day, time))
        .ok_or(DateError::Invalid)
}

fn with_time(day: NaiveDate, time: NaiveTime) -> When {
    match time == NaiveTime::MIN {
        true => When::Day(day),
        false => When::At(day.and_time(time).and_utc()),
    }
}

/// A day in digits: `2024-03-01`, `1/3/2024`, `1.3.24`, or the number of days that Excel counts.
fn numeric(text: &str, order: Option<DateOrder>) -> Result<NaiveDate, DateError> {
    let parts: Vec<&str> = text
        .split(['-', '/', '.'])
        .filter(|part| !part.is_empty())
        .collect();
    let number = |text: &str| -> Result<u32, DateError> {
        match text.len() {
            1..=5 => text.parse().map_err(|_| DateError::Invalid),
            _ => Err(DateError::Invalid),
        }
    };
    let build = |year: u32, month: u32, day: u32| {
        let year = i32::try_from(year).ok();
        year.and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
            .ok_or(DateError::Invalid)
    };
    match parts[..] {
        [serial] if serial.len() == 5 => {
            let epoch = NaiveDate::from_ymd_opt(1899, 12, 30).ok_or(DateError::Invalid)?;
            let day = epoch.checked_add_days(Days::new(number(serial)?.into()));
            day.filter(|day| (1950..=2100).contains(&day.year()))
                .ok_or(DateError::Invalid)
        }
        [year, month, day] if year.len() == 4 => build(number(year)?, number(month)?, number(day)?),
        [first, second, year]
            if matches!(year.len(), 2 | 4) && first.len() <= 2 && second.len() <= 2 =>
        {
            let (first, second, mut century) = (number(first)?, number(second)?, number(year)?);
            if year.len() == 2 {
                century += if century < 70 { 2000 } else { 1900 };
            }
            let order = match (first > 12, second > 12) {
                (true, _) => DateOrder::DayFirst,
                (_, true) => DateOrder::MonthFirst,
                _ if first == second || text.contains('.') => DateOrder::DayFirst,
                _ => order.ok_or(DateError::Ambiguous)?,
            };
            match order {
                DateOrder::DayFirst => build(century, second, first),
                DateOrder::MonthFirst => build(century, first, second),
            }
        }
        _ => Err(DateError::Invalid),
    }
}

/// The order of day and month that a date proves, `None` if it proves none.
pub(crate) fn proven_order(text: &str) -> Option<DateOrder> {
    let read = |order| parse(text, Some(order)).ok();
    let date = text.trim().split(['T', ' ']).next().unwrap_or_default();
    let mut parts = date.split(['/', '-']);
    let (first, second) = (
        parts.next()?.parse::<u32>().ok()?,
        parts.next()?.parse::<u32>().ok()?,
    );
    if first > 31 || read(DateOrder::DayFirst).is_none() {
        return None;
    }
    match (first > 12, second > 12) {
        (true, false) => Some(DateOrder::DayFirst),
        (false, true) => Some(DateOrder::MonthFirst),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> When {
        When::Day(text.parse().expect("a day"))
    }

    #[test]
    fn dates_of_exports_and_spreadsheets_are_read() {
        let at = |text: &str| When::At(text.parse().expect("an instant"));
        for (text, expected) in [
            ("2024-03-01", day("2024-03-01")),
            ("2024/3/1", day("2024-03-01")),
            ("Thu Mar 12 00:00:00 2015", day("2015-03-12")),
            ("Sun Mar  1 00:00:00 2015", day("2015-03-01")),
            ("13/1/2024", day("2024-01-13")),
            ("1/13/2024", day("2024-01-13")),
            ("1/13/24", day("2024-01-13")),
            ("3.1.2024", day("2024-01-03")),
            ("1/1/2024 0:00", day("2024-01-01")),
            ("1-Mar-24", day("2024-03-01")),
            ("45352", day("2024-03-01")),
            ("2014-04-05T15:27:00.000Z", at("2014-04-05T15:27:00Z")),
            ("2024-01-15 22:00:00+00:00", at("2024-01-15T22:00:00Z")),
            ("2024-01-15 22:00:00", at("2024-01-15T22:00:00Z")),
            ("2026-01-02T03:04:05.000+09:00", at("2026-01-01T18:04:05Z")),
            ("1000000000", at("2001-09-09T01:46:40Z")),
            ("", When::Unknown),
            ("N/A", When::Unknown),
            ("0000-00-00", When::Unknown),
            ("0001-01-01T00:00:00Z", When::Unknown),
            ("1970-01-01", When::Unknown),
            ("1970-01-01T00:00:00.000Z", When::Unknown),
            ("1970-01-01T09:00:00+09:00", When::Unknown),
            ("1969-12-31T16:00:00-08:00", When::Unknown),
        ] {
            assert_eq!(parse(text, None), Ok(expected), "{text}");
        }
        for text in [
            "2024-13-01",
            "soon",
            "1/2",
            "32/1/2024",
            "12024-01-01",
            "1500-01-01",
        ] {
            assert_eq!(parse(text, None), Err(DateError::Invalid), "{text}");
        }
        assert_eq!(parse("3/1/2024", None), Err(DateError::Ambiguous));
        assert_eq!(
            parse("3/1/2024", Some(DateOrder::MonthFirst)),
            Ok(day("2024-03-01"))
        );
    }

    #[test]
    fn one_date_can_prove_the_order_of_a_file() {
        assert_eq!(proven_order("13/1/2024"), Some(DateOrder::DayFirst));
        assert_eq!(proven_order("1/13/2024"), Some(DateOrder::MonthFirst));
        for text in [
            "1/3/2024",
            "2024-01-13",
            "2024-13-01",
            "x",
            "",
            "13/14/2024",
        ] {
            assert_eq!(proven_order(text), None, "{text}");
        }
    }
}
