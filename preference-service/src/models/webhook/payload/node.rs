//! Parts of a payload: each may be absent, and a number may be a text.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::Value;

/// The maximum length of texts that are kept of a payload, in characters.
const MAX_TEXT: usize = 200;

/// The text without control characters that are no space: Postgres cannot store NUL, and no name has the others.
fn readable(text: &str) -> String {
    let is_readable = |letter: &char| !letter.is_control() || letter.is_whitespace();
    text.chars().filter(is_readable).collect()
}

/// A part of a payload; absent parts have absent parts.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(Option<&'a Value>);

impl<'a> Node<'a> {
    pub(super) fn new(value: &'a Value) -> Self {
        Self(Some(value))
    }

    pub(super) fn get(self, key: &str) -> Self {
        Self(
            self.0
                .and_then(|value| value.get(key))
                .filter(|value| !value.is_null()),
        )
    }

    /// The member with one of these names, ignoring case.
    pub(super) fn any(self, keys: &[&str]) -> Self {
        let members = self.0.and_then(Value::as_object);
        let named = |key: &&&str| {
            let mut members = members.into_iter().flatten();
            members.find(|(name, value)| name.eq_ignore_ascii_case(key) && !value.is_null())
        };
        Self(
            keys.iter()
                .find_map(|key| named(&key))
                .map(|(_, value)| value),
        )
    }

    pub(super) fn is_some(self) -> bool {
        self.0.is_some()
    }

    pub(super) fn text(self) -> Option<String> {
        let text = match self.0? {
            Value::String(text) => readable(text).trim().chars().take(MAX_TEXT).collect(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(text).filter(|text: &String| !text.is_empty())
    }

    pub(super) fn integer(self) -> Option<i64> {
        match self.0? {
            Value::String(text) => text.trim().parse().ok(),
            // Positions and times may come with fractions.
            value => value
                .as_i64()
                .or_else(|| value.as_f64().map(|number| number as i64)),
        }
    }

    pub(super) fn number(self) -> Option<f64> {
        let number = match self.0? {
            Value::String(text) => text.trim().parse().ok()?,
            value => value.as_f64()?,
        };
        Some(number).filter(|number| number.is_finite())
    }

    pub(super) fn boolean(self) -> Option<bool> {
        match self.0? {
            Value::Bool(value) => Some(*value),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    pub(super) fn items(self) -> impl Iterator<Item = Self> {
        let items = self.0.and_then(Value::as_array);
        items.into_iter().flatten().map(|item| Self(Some(item)))
    }

    /// An instant: ISO 8601 with a zone, or without one in UTC, or seconds since 1970.
    pub(super) fn instant(self) -> Option<DateTime<Utc>> {
        let at = match self.0? {
            Value::Number(_) => DateTime::from_timestamp(self.integer()?, 0)?,
            _ => {
                let text = self.text()?;
                let with_zone = DateTime::parse_from_rfc3339(&text)
                    .ok()
                    .map(|at| at.to_utc());
                let without = || {
                    let text = text.replace(' ', "T");
                    NaiveDateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M:%S%.f").ok()
                };
                with_zone.or_else(|| without().map(|at| at.and_utc()))?
            }
        };
        // Zero is the absence of a time, and a server without a clock starts in 1970.
        (at.timestamp() > 86_400).then_some(at)
    }
}
