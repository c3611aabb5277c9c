//! The grammar in which lists are filtered, the same on every list: what a client may write, what it
//! means, and what is wrong with it; and who passes, decided in memory over [`FilterIndex`].
//!
//! A parameter is a condition, or several: `,` is and, `|` is or, and `|` binds tighter, so that
//! `a,b|c` means a and (b or c). Conditions of different parameters must all hold. A value is an id
//! where it is all digits, else a name, without regard to case; a name that has a comma or a bar in
//! it can only be given by its id.

pub mod bitmap;
mod facets;
mod genres;
mod index;
mod string_column;

pub use bitmap::Bitmap;
pub use facets::{Facet, FacetKind, code};
pub use genres::{GenreNames, UnknownGenre, fold};
pub use index::{FilterIndex, MovieAttributes, NamedId, UNKNOWN_DAY};
pub use string_column::StringColumn;

use chassis::problem::FieldError;
use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use utoipa::IntoParams;

/// How many values one parameter may have.
const MOST_VALUES: usize = 50;
/// The longest value, in characters.
const LONGEST_VALUE: usize = 200;
/// Years that films can be of.
const YEARS: std::ops::RangeInclusive<i32> = 1800..=2999;

/// The filter's parameters as a client writes them.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FilterParams {
    /// Genres that the film has, by id or name; see `GET /genres`. `,` is and, `|` is or, and `|`
    /// binds tighter: `18,35|80` means Drama and (Comedy or Crime). The same holds for every parameter
    /// that takes ids or names. Names do not regard case; all digits are an id; a name that has a comma
    /// or a bar in it can only be given by its id. An unknown genre is refused.
    /// Such as `Drama,Comedy|Crime`.
    pub genres: Option<String>,
    /// Genres that the film does not have: `27,53` means neither, `27|53` means not both.
    /// Such as `Horror`.
    pub without_genres: Option<String>,
    /// Keywords of the film, by id or name. One that no film has finds nothing.
    /// Such as `time travel|dystopia`.
    pub keywords: Option<String>,
    /// Directors, writers and the first of the cast, by id or name. One that no film has finds nothing.
    /// Such as `Keanu Reeves,Carrie-Anne Moss`.
    pub people: Option<String>,
    /// The film's own language, ISO 639-1.
    /// Such as `ko|ja`.
    pub language: Option<String>,
    /// Where it was produced, ISO 3166-1.
    /// Such as `KR,US`.
    pub country: Option<String>,
    /// The year of release.
    #[param(value_type = Option<i32>, minimum = 1800, maximum = 2999)]
    pub year: Option<String>,
    /// The first day of release, inclusive.
    #[param(value_type = Option<NaiveDate>)]
    pub release_date_from: Option<String>,
    /// The last day of release, inclusive.
    #[param(value_type = Option<NaiveDate>)]
    pub release_date_to: Option<String>,
    /// Minutes at least; a film whose runtime is unknown does not pass.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 10000)]
    pub runtime_min: Option<String>,
    /// Minutes at most; a film whose runtime is unknown does not pass.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 10000)]
    pub runtime_max: Option<String>,
    /// TMDB's average vote at least.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 10)]
    pub vote_average_min: Option<String>,
    /// How many voted at TMDB, at least.
    #[param(value_type = Option<i32>, minimum = 0)]
    pub vote_count_min: Option<String>,
    /// Who shows it in `region`, on whatever terms, by id or name. One that shows nothing there finds
    /// nothing.
    /// Such as `Netflix|356`.
    pub providers: Option<String>,
    /// Where `providers` show it, and of where included providers are told; ISO 3166-1.
    /// Such as `KR`.
    pub region: Option<String>,
}

impl FilterParams {
    /// The parameters that are given, with their names.
    #[must_use]
    pub fn entries(&self) -> Vec<(&'static str, &str)> {
        [
            ("genres", &self.genres),
            ("without_genres", &self.without_genres),
            ("keywords", &self.keywords),
            ("people", &self.people),
            ("language", &self.language),
            ("country", &self.country),
            ("year", &self.year),
            ("release_date_from", &self.release_date_from),
            ("release_date_to", &self.release_date_to),
            ("runtime_min", &self.runtime_min),
            ("runtime_max", &self.runtime_max),
            ("vote_average_min", &self.vote_average_min),
            ("vote_count_min", &self.vote_count_min),
            ("providers", &self.providers),
            ("region", &self.region),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
    }
}

/// How a client names a thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// By its id.
    Id(i64),
    /// By its name, or its code.
    Name(String),
}

/// One of these.
pub type AnyOf = Vec<Term>;
/// All of these.
pub type AllOf = Vec<AnyOf>;

/// Which films a list has. What is not asked for is empty or none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Genres that a film has.
    pub genres: AllOf,
    /// Genres that a film does not have.
    pub without_genres: AllOf,
    /// Keywords that a film has.
    pub keywords: AllOf,
    /// People who made a film or play in it.
    pub people: AllOf,
    /// The film's own language: codes in lower case.
    pub language: AllOf,
    /// Where it was produced: codes in upper case.
    pub country: AllOf,
    /// The first day of release.
    pub release_from: Option<NaiveDate>,
    /// The last day of release.
    pub release_to: Option<NaiveDate>,
    /// Minutes at least.
    pub runtime_min: Option<u16>,
    /// Minutes at most.
    pub runtime_max: Option<u16>,
    /// The average vote at least.
    pub vote_average_min: Option<f64>,
    /// How many voted at least.
    pub vote_count_min: Option<u32>,
    /// Who shows it in `region`.
    pub providers: AllOf,
    /// Where: a code in upper case.
    pub region: Option<String>,
}

/// Collects what is wrong, so that a client hears of all of it at once.
struct Reader<'a> {
    errors: &'a mut Vec<FieldError>,
}

impl Reader<'_> {
    fn error<T>(&mut self, field: &str, message: impl Into<String>) -> Option<T> {
        self.errors.push(FieldError::new(field, message));
        None
    }

    fn terms(
        &mut self,
        field: &str,
        text: Option<&String>,
        read: impl Fn(&str) -> Result<Term, &'static str>,
    ) -> AllOf {
        let Some(text) = text else {
            return AllOf::new();
        };
        let mut all = AllOf::new();
        let mut values = 0;
        for group in text.split(',') {
            let mut any = AnyOf::new();
            for value in group.split('|').map(str::trim) {
                values += 1;
                if value.is_empty() || value.chars().count() > LONGEST_VALUE {
                    let message = format!(
                        "must be values of 1 to {LONGEST_VALUE} characters, separated by `,` (and) or `|` (or)"
                    );
                    self.error::<()>(field, message);
                    return AllOf::new();
                }
                match read(value) {
                    Ok(term) => any.push(term),
                    Err(message) => {
                        self.error::<()>(field, format!("`{value}` {message}"));
                        return AllOf::new();
                    }
                }
            }
            all.push(any);
        }
        if values > MOST_VALUES {
            self.error::<()>(field, format!("must be at most {MOST_VALUES} values"));
            return AllOf::new();
        }
        all
    }

    fn number<T: TryFrom<i64>>(
        &mut self,
        field: &str,
        text: Option<&String>,
        least: i64,
        most: i64,
    ) -> Option<T> {
        let number = text?.parse::<i64>().ok();
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => T::try_from(number).ok(),
            None => self.error(
                field,
                format!("must be a whole number from {least} to {most}"),
            ),
        }
    }

    fn date(&mut self, field: &str, text: Option<&String>) -> Option<NaiveDate> {
        let text = text?;
        // Of four digits, so that a year beyond what Postgres and clients count in cannot come in.
        match text.parse::<NaiveDate>() {
            Ok(date) if text.len() == 10 => Some(date),
            _ => self.error(field, "must be a day, such as 1999-12-31"),
        }
    }

    fn average(&mut self, field: &str, text: Option<&String>) -> Option<f64> {
        let number = text?.parse::<f64>().ok();
        match number.filter(|number| (0.0..=10.0).contains(number)) {
            Some(number) => Some(number),
            None => self.error(field, "must be a number from 0 to 10"),
        }
    }

    fn region(&mut self, field: &str, text: Option<&String>) -> Option<String> {
        match country(text?) {
            Ok(Term::Name(code)) => Some(code),
            _ => self.error(field, "must be two letters (ISO 3166-1), such as KR"),
        }
    }
}

/// Digits are an id, anything else is a name.
fn id_or_name(value: &str) -> Result<Term, &'static str> {
    if !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Term::Name(value.to_owned()));
    }
    value.parse().map(Term::Id).map_err(|_| "is not an id")
}

fn language(value: &str) -> Result<Term, &'static str> {
    let is_code =
        (2..=3).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !is_code {
        return Err("must be two letters (ISO 639-1), such as ko");
    }
    Ok(Term::Name(value.to_ascii_lowercase()))
}

fn country(value: &str) -> Result<Term, &'static str> {
    if value.len() != 2 || !value.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err("must be two letters (ISO 3166-1), such as KR");
    }
    Ok(Term::Name(value.to_ascii_uppercase()))
}

/// The later of two days, of which each may be none.
fn later(one: Option<NaiveDate>, two: Option<NaiveDate>) -> Option<NaiveDate> {
    one.max(two)
}

/// The earlier of two days, of which each may be none.
fn earlier(one: Option<NaiveDate>, two: Option<NaiveDate>) -> Option<NaiveDate> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

impl Filter {
    /// What `params` mean. What is wrong with them is added to `errors`, all of it; the filter is then
    /// of no use.
    pub fn parse(params: &FilterParams, errors: &mut Vec<FieldError>) -> Self {
        let mut reader = Reader { errors };
        let (first, last) = match reader.number::<i32>(
            "year",
            params.year.as_ref(),
            (*YEARS.start()).into(),
            (*YEARS.end()).into(),
        ) {
            Some(year) => (
                NaiveDate::from_ymd_opt(year, 1, 1),
                NaiveDate::from_ymd_opt(year, 12, 31),
            ),
            None => (None, None),
        };
        let from = reader.date("release_date_from", params.release_date_from.as_ref());
        let to = reader.date("release_date_to", params.release_date_to.as_ref());
        let region = reader.region("region", params.region.as_ref());
        if params.providers.is_some() && params.region.is_none() {
            reader.error::<()>("region", "must be given with providers, such as region=KR");
        }
        Self {
            genres: reader.terms("genres", params.genres.as_ref(), id_or_name),
            without_genres: reader.terms(
                "without_genres",
                params.without_genres.as_ref(),
                id_or_name,
            ),
            keywords: reader.terms("keywords", params.keywords.as_ref(), id_or_name),
            people: reader.terms("people", params.people.as_ref(), id_or_name),
            language: reader.terms("language", params.language.as_ref(), language),
            country: reader.terms("country", params.country.as_ref(), country),
            release_from: later(from, first),
            release_to: earlier(to, last),
            runtime_min: reader.number("runtime_min", params.runtime_min.as_ref(), 0, 10_000),
            runtime_max: reader.number("runtime_max", params.runtime_max.as_ref(), 0, 10_000),
            vote_average_min: reader.average("vote_average_min", params.vote_average_min.as_ref()),
            vote_count_min: reader.number(
                "vote_count_min",
                params.vote_count_min.as_ref(),
                0,
                i32::MAX.into(),
            ),
            providers: reader.terms("providers", params.providers.as_ref(), id_or_name),
            region,
        }
    }
}

/// The days from the first of the common era to `date`, as a number that columns keep.
#[must_use]
pub fn day_number(date: NaiveDate) -> i32 {
    date.num_days_from_ce()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(params: &FilterParams) -> (Filter, Vec<(String, String)>) {
        let mut errors = Vec::new();
        let filter = Filter::parse(params, &mut errors);
        let errors = errors
            .into_iter()
            .map(|error| (error.field, error.message))
            .collect();
        (filter, errors)
    }

    fn text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    fn name(value: &str) -> Term {
        Term::Name(value.to_owned())
    }

    #[test]
    fn or_binds_tighter_than_and() {
        let (filter, errors) = parse(&FilterParams {
            genres: text("Drama, 35|Science Fiction"),
            country: text("kr|us"),
            ..FilterParams::default()
        });
        assert!(errors.is_empty());
        assert_eq!(
            filter.genres,
            [
                vec![name("Drama")],
                vec![Term::Id(35), name("Science Fiction")]
            ]
        );
        assert_eq!(filter.country, [[name("KR"), name("US")]]);
    }

    #[test]
    fn a_year_and_days_bound_each_other() {
        let (filter, _) = parse(&FilterParams {
            year: text("1999"),
            release_date_from: text("1999-05-01"),
            release_date_to: text("2005-01-01"),
            ..FilterParams::default()
        });
        assert_eq!(
            (filter.release_from, filter.release_to),
            (
                NaiveDate::from_ymd_opt(1999, 5, 1),
                NaiveDate::from_ymd_opt(1999, 12, 31)
            )
        );
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let (_, errors) = parse(&FilterParams {
            genres: text("Drama,,Comedy"),
            keywords: text("99999999999999999999"),
            people: text(&"1,".repeat(60)),
            language: text("korean"),
            country: text("K1"),
            year: text("99"),
            release_date_from: text("2024-02-30"),
            release_date_to: text("+12024-01-01"),
            runtime_min: text("-1"),
            vote_average_min: text("NaN"),
            vote_count_min: text("1e3"),
            providers: text("8"),
            ..FilterParams::default()
        });
        let mut fields: Vec<&str> = errors.iter().map(|(field, _)| field.as_str()).collect();
        fields.sort_unstable();
        assert_eq!(
            fields,
            [
                "country",
                "genres",
                "keywords",
                "language",
                "people",
                "region",
                "release_date_from",
                "release_date_to",
                "runtime_min",
                "vote_average_min",
                "vote_count_min",
                "year"
            ]
        );
    }
}
