//! Validation of untrusted input: collects the field errors of a request, so that a client receives all of them at once.
//!
//! Handlers and parsers of requests use it; it never decides a status. To adopt it: make one [`Validator`] per request,
//! read each parameter with its method (`None`: absent or invalid), report other rules with [`Validator::require`] or
//! [`Validator::error`], end with [`Validator::finish`], and turn the errors into [`crate::Problem::invalid`]. Parsers of
//! a part take `&mut Validator`; those outside (such as `Filter::parse`) take `&mut impl Extend<FieldError>`.
//!
//! ```
//! # use chassis::validate::{FieldError, Validator};
//! # fn parse(limit: Option<&str>, name: &str) -> Result<i64, Vec<FieldError>> {
//! let mut check = Validator::default();
//! let limit = check.integer("limit", limit, 1..=100).unwrap_or(20);
//! check.require(!name.is_empty(), "name", "must not be empty");
//! check.finish(limit)
//! # }
//! # assert_eq!(parse(Some("0"), "").unwrap_err().len(), 2);
//! ```

use std::{fmt::Display, ops::RangeInclusive};

use chrono::NaiveDate;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IntoDeserializer, value::StrDeserializer},
};
use utoipa::ToSchema;

/// An invalid field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// The name of the field, as the client wrote or should have written it.
    #[schema(example = "page")]
    pub field: String,
    /// The rule that the field breaks.
    #[schema(example = "must be a whole number from 1 to 100000")]
    pub message: String,
}

impl FieldError {
    /// An error of `field`; `message` states the rule, such as `must be true or false`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// The field errors of one request.
#[derive(Debug, Default)]
pub struct Validator {
    errors: Vec<FieldError>,
}

impl Validator {
    /// Reports `field` as invalid.
    pub fn error(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError::new(field, message));
    }

    /// Reports `field` as invalid unless `holds`.
    pub fn require(&mut self, holds: bool, field: impl Into<String>, message: impl Into<String>) {
        if !holds {
            self.error(field, message);
        }
    }

    /// The value of `result`, whose error is reported for `field`.
    pub fn take<T>(
        &mut self,
        field: impl Into<String>,
        result: Result<T, impl Into<String>>,
    ) -> Option<T> {
        result.map_err(|message| self.error(field, message)).ok()
    }

    /// `text` as `parse` reads it.
    pub fn parse<T>(
        &mut self,
        field: &str,
        text: Option<&str>,
        parse: impl FnOnce(&str) -> Option<T>,
        message: impl Into<String>,
    ) -> Option<T> {
        self.take(field, parse(text?).ok_or(message))
    }

    /// `text` as a whole number within `range`.
    pub fn integer<T: TryFrom<i64>>(
        &mut self,
        field: &str,
        text: Option<&str>,
        range: RangeInclusive<i64>,
    ) -> Option<T> {
        let number = text?.parse().ok();
        let number = number.filter(|number| range.contains(number));
        let number = number.and_then(|number| T::try_from(number).ok());
        self.take(
            field,
            number.ok_or_else(|| bounds("a whole number", &range)),
        )
    }

    /// `text` as a number within `range`.
    pub fn decimal(
        &mut self,
        field: &str,
        text: Option<&str>,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        // Text that is not a number fails the check of the range, as NaN does.
        let number = text?.parse().unwrap_or(f64::NAN);
        self.number(field, Some(number), range)
    }

    /// `number`, which must lie within `range`.
    pub fn number(
        &mut self,
        field: &str,
        number: Option<f64>,
        range: RangeInclusive<f64>,
    ) -> Option<f64> {
        let number = Some(number?).filter(|number| range.contains(number));
        self.take(field, number.ok_or_else(|| bounds("a number", &range)))
    }

    /// `text` as `true` or `false`.
    pub fn boolean(&mut self, field: &str, text: Option<&str>) -> Option<bool> {
        let read = |text: &str| text.parse().ok();
        self.parse(field, text, read, "must be true or false")
    }

    /// `text` as a day, `YYYY-MM-DD`.
    pub fn date(&mut self, field: &str, text: Option<&str>) -> Option<NaiveDate> {
        // Four digits, so that the year is within the range of Postgres and of clients.
        let read = |text: &str| text.parse().ok().filter(|_| text.len() == 10);
        self.parse(field, text, read, "must be a day, such as 1999-12-31")
    }

    /// `text` as a variant of an enum, by its serialized name; `known` lists the names, such as `asc or desc`.
    pub fn variant<T: DeserializeOwned>(
        &mut self,
        field: &str,
        text: Option<&str>,
        known: &str,
    ) -> Option<T> {
        let read = |text: &str| {
            let name: StrDeserializer<'_, serde::de::value::Error> = text.into_deserializer();
            T::deserialize(name).ok()
        };
        self.parse(field, text, read, format!("must be {known}"))
    }

    /// `value`, if there are no errors.
    ///
    /// # Errors
    /// Returns the errors reported so far, if there are any.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<FieldError>> {
        if self.errors.is_empty() {
            Ok(value)
        } else {
            Err(self.errors)
        }
    }
}

impl Extend<FieldError> for Validator {
    fn extend<I: IntoIterator<Item = FieldError>>(&mut self, errors: I) {
        self.errors.extend(errors);
    }
}

impl IntoIterator for Validator {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.errors.into_iter()
    }
}

fn bounds<T: Display>(kind: &str, range: &RangeInclusive<T>) -> String {
    format!("must be {kind} from {} to {}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Order {
        Asc,
        Desc,
    }

    #[test]
    fn valid_values_are_read_and_absent_ones_are_not_errors() {
        let mut check = Validator::default();
        assert_eq!(check.integer("page", Some("7"), 1..=10), Some(7_u16));
        assert_eq!(check.decimal("min", Some("0.5"), 0.0..=1.0), Some(0.5));
        assert_eq!(check.boolean("explain", Some("true")), Some(true));
        assert_eq!(
            check.variant("order", Some("asc"), "asc or desc"),
            Some(Order::Asc)
        );
        assert_eq!(
            check.date("from", Some("1999-12-31")),
            NaiveDate::from_ymd_opt(1999, 12, 31)
        );
        assert_eq!(check.integer::<i64>("page", None, 1..=10), None);
        assert_eq!(check.finish(1), Ok(1));
    }

    #[test]
    fn every_invalid_field_is_reported() {
        let mut check = Validator::default();
        check.integer::<i64>("page", Some("0"), 1..=10);
        check.integer::<i8>("size", Some("200"), 1..=200);
        check.decimal("min", Some("NaN"), 0.0..=1.0);
        check.decimal("max", Some("x"), 0.0..=10.0);
        check.boolean("explain", Some("yes"));
        check.variant::<Order>("order", Some("up"), "asc or desc");
        check.date("from", Some("+12024-01-01"));
        check.require(false, "name", "must not be empty");
        let errors: Vec<String> = check
            .finish(())
            .expect_err("invalid fields")
            .into_iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect();
        assert_eq!(
            errors,
            [
                "page: must be a whole number from 1 to 10",
                "size: must be a whole number from 1 to 200",
                "min: must be a number from 0 to 1",
                "max: must be a number from 0 to 10",
                "explain: must be true or false",
                "order: must be asc or desc",
                "from: must be a day, such as 1999-12-31",
                "name: must not be empty",
            ]
        );
    }
}
