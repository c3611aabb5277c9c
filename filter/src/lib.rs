//! The filter of movie lists: its grammar, the same on every list of every service, and its evaluation in memory over
//! an inverted index ([`FilterIndex`]). movie-service and recommendation-service call both; preference-service passes
//! the parameters on. It holds no movies and does no I/O.
//!
//! A parameter is a conjunction of disjunctions: `,` is and, `|` is or, and `|` binds tighter, so that `a,b|c` means
//! a and (b or c). All parameters must hold. A value of digits is an id, any other a name, compared without regard to
//! case; a name that contains a comma or a bar can only be given by its id.

pub mod bitmap;
mod column;
mod facets;
mod genres;
mod index;
mod nearest;
mod row_table;
mod string_column;
mod synonyms;
mod unknown;

pub use bitmap::Bitmap;
pub use column::{CHUNK_ROWS, Column};
pub use facets::{Facet, FacetKind, Facets, code};
pub use genres::{GenreNames, fold};
pub use index::{FilterIndex, MovieAttributes, NamedId, UNKNOWN_DAY};
pub use row_table::RowTable;
pub use string_column::StringColumn;

use chassis::{
    language::Language,
    validate::{FieldError, Validator},
};
use chrono::{Datelike, NaiveDate};
use serde::Deserialize;
use utoipa::IntoParams;

/// The most values of one parameter.
const MAX_VALUES: usize = 50;
/// The longest value, in characters.
const MAX_VALUE_CHARS: usize = 200;
const YEARS: std::ops::RangeInclusive<i64> = 1800..=2999;
const MINUTES: std::ops::RangeInclusive<i64> = 0..=10_000;

/// The filter's parameters as a client writes them.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FilterParams {
    /// Genres that the movie has, by id or name in any known language; see `GET /genres`. `,` is and, `|` is or, and `|`
    /// binds tighter: `18,35|80` means Drama and (Comedy or Crime). The same holds for every parameter
    /// that takes ids or names. Names are compared without regard to case; digits are an id; a name that
    /// contains a comma or a bar can only be given by its id. Synonyms and plurals are
    /// understood (`Sci-Fi`, `romcom`). An unknown genre is an error that names the nearest.
    #[param(
        example = "Drama,Comedy|Crime",
        pattern = r"^ *[^,| \u0000][^,|\u0000]{0,199}([,|] *[^,| \u0000][^,|\u0000]{0,199}){0,49}$"
    )]
    pub genres: Option<String>,
    /// Genres that the movie does not have: `27,53` excludes either, `27|53` excludes both together.
    #[param(
        example = "Horror",
        pattern = r"^ *[^,| \u0000][^,|\u0000]{0,199}([,|] *[^,| \u0000][^,|\u0000]{0,199}){0,49}$"
    )]
    pub without_genres: Option<String>,
    /// Keywords of the movie, by id or name. A value that no stored movie has is an error that names the nearest; so it
    /// is for people, languages, countries, providers and regions, unless no movies are stored at all.
    #[param(
        example = "time travel|dystopia",
        pattern = r"^ *[^,| \u0000][^,|\u0000]{0,199}([,|] *[^,| \u0000][^,|\u0000]{0,199}){0,49}$"
    )]
    pub keywords: Option<String>,
    /// Directors, writers and top-billed cast, by id or name in any known language.
    #[param(
        example = "Keanu Reeves,Carrie-Anne Moss",
        pattern = r"^ *[^,| \u0000][^,|\u0000]{0,199}([,|] *[^,| \u0000][^,|\u0000]{0,199}){0,49}$"
    )]
    pub people: Option<String>,
    /// The display language (BCP 47, such as `ko-KR`): titles, overviews and names are in it where known. The
    /// default is that of `Accept-Language`, else the catalogue's own. Unless `original_language` is given, a code
    /// without a region (`ko`) also filters by the original language, and several (`ko|ja`) only filter.
    #[param(
        example = "ko-KR",
        max_length = 199,
        pattern = r"^[A-Za-z]{2,3}(([-_][A-Za-z0-9]{1,8})*|([,|][A-Za-z]{2,3}){0,49})$"
    )]
    pub language: Option<String>,
    /// The original language, ISO 639-1. `language` is then the display language alone.
    #[param(
        example = "ko|ja",
        pattern = r"^[A-Za-z]{2,3}([,|][A-Za-z]{2,3}){0,49}$"
    )]
    pub original_language: Option<String>,
    /// The production country, ISO 3166-1.
    #[param(example = "KR,US", pattern = r"^[A-Za-z]{2}([,|][A-Za-z]{2}){0,49}$")]
    pub country: Option<String>,
    /// The release year.
    #[param(value_type = Option<i32>, minimum = 1800, maximum = 2999, example = 1999)]
    pub year: Option<String>,
    /// The earliest release date, inclusive. A range that contains nothing is an error, as for all ranges.
    #[param(value_type = Option<NaiveDate>, example = "1999-01-01")]
    pub release_date_from: Option<String>,
    /// The latest release date, inclusive.
    #[param(value_type = Option<NaiveDate>, example = "1999-12-31")]
    pub release_date_to: Option<String>,
    /// The minimum runtime in minutes; excludes movies of unknown runtime.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 10000, example = 90)]
    pub runtime_min: Option<String>,
    /// The maximum runtime in minutes; excludes movies of unknown runtime.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 10000, example = 180)]
    pub runtime_max: Option<String>,
    /// The minimum of TMDB's vote average.
    #[param(value_type = Option<f64>, minimum = 0, maximum = 10, example = 7.5)]
    pub vote_average_min: Option<String>,
    /// The minimum of TMDB's vote count.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 2147483647, example = 1000)]
    pub vote_count_min: Option<String>,
    /// The maximum of TMDB's vote count.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 2147483647, example = 100000)]
    pub vote_count_max: Option<String>,
    /// Watch providers of the movie in `region`, which must be given too, on any terms, by id or name. One that has movies only in other regions
    /// matches no movie.
    #[param(
        example = "Netflix|356",
        pattern = r"^ *[^,| \u0000][^,|\u0000]{0,199}([,|] *[^,| \u0000][^,|\u0000]{0,199}){0,49}$"
    )]
    pub providers: Option<String>,
    /// The region of `providers` and of included watch providers, ISO 3166-1.
    #[param(example = "KR", pattern = r"^[A-Za-z]{2}$")]
    pub region: Option<String>,
}

impl FilterParams {
    /// The parameters that are present, with their names.
    pub fn entries(&self) -> Vec<(&'static str, &str)> {
        [
            ("genres", &self.genres),
            ("without_genres", &self.without_genres),
            ("keywords", &self.keywords),
            ("people", &self.people),
            ("language", &self.language),
            ("original_language", &self.original_language),
            ("country", &self.country),
            ("year", &self.year),
            ("release_date_from", &self.release_date_from),
            ("release_date_to", &self.release_date_to),
            ("runtime_min", &self.runtime_min),
            ("runtime_max", &self.runtime_max),
            ("vote_average_min", &self.vote_average_min),
            ("vote_count_min", &self.vote_count_min),
            ("vote_count_max", &self.vote_count_max),
            ("providers", &self.providers),
            ("region", &self.region),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect()
    }

    /// The display language: that of `language`, unless it only filters.
    pub fn display_language(&self) -> Option<Language> {
        self.language.as_deref().and_then(Language::parse)
    }

    /// True if `language` filters by the original language.
    pub fn language_filters(&self) -> bool {
        // A subtag makes it a tag of BCP 47, which is no code of ISO 639-1.
        let is_code = |text: &String| !text.contains(['-', '_']);
        self.original_language.is_none() && self.language.as_ref().is_some_and(is_code)
    }
}

/// A reference to a genre, keyword, person, language, country or provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// By TMDB's id.
    Id(i64),
    /// By its name or code.
    Name(String),
}

/// A disjunction: at least one term holds.
pub type AnyOf = Vec<Term>;
/// A conjunction: every disjunction holds.
pub type AllOf = Vec<AnyOf>;

/// A parsed filter. Empty or `None` means no condition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Genres that the movie has.
    pub genres: AllOf,
    /// Genres that the movie does not have.
    pub without_genres: AllOf,
    /// Keywords.
    pub keywords: AllOf,
    /// Cast and crew.
    pub people: AllOf,
    /// The original language: codes in lower case.
    pub language: AllOf,
    /// The parameter that `language` was read from, for messages about it; empty without a condition.
    pub language_parameter: &'static str,
    /// Production countries: codes in upper case.
    pub country: AllOf,
    /// The earliest release date.
    pub release_from: Option<NaiveDate>,
    /// The latest release date.
    pub release_to: Option<NaiveDate>,
    /// The minimum runtime in minutes.
    pub runtime_min: Option<u16>,
    /// The maximum runtime in minutes.
    pub runtime_max: Option<u16>,
    /// The minimum vote average, 0 to 10.
    pub vote_average_min: Option<f64>,
    /// The minimum vote count.
    pub vote_count_min: Option<u32>,
    /// The maximum vote count.
    pub vote_count_max: Option<u32>,
    /// Watch providers in `region`.
    pub providers: AllOf,
    /// The region of `providers`: a code in upper case.
    pub region: Option<String>,
}

/// Parses a list of terms; empty if it is absent or a term is invalid.
fn terms(
    check: &mut Validator,
    field: &str,
    text: Option<&str>,
    read: impl Fn(&str) -> Result<Term, &'static str>,
) -> AllOf {
    let result = text.map(|text| {
        let mut count = 0;
        let mut term = |value: &str| {
            count += 1;
            if value.is_empty() || value.chars().count() > MAX_VALUE_CHARS {
                return Err(format!(
                    "must be values of 1 to {MAX_VALUE_CHARS} characters, separated by `,` (and) or `|` (or)"
                ));
            }
            read(value).map_err(|message| format!("`{value}` {message}"))
        };
        let all: AllOf = text
            .split(',')
            .map(|group| group.split('|').map(|value| term(value.trim())).collect())
            .collect::<Result<_, _>>()?;
        if count > MAX_VALUES {
            return Err(format!("must be at most {MAX_VALUES} values"));
        }
        Ok(all)
    });
    result
        .and_then(|result| check.take(field, result))
        .unwrap_or_default()
}

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

fn country(value: &str) -> Result<String, &'static str> {
    if value.len() != 2 || !value.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err("must be two letters (ISO 3166-1), such as KR");
    }
    Ok(value.to_ascii_uppercase())
}

/// Parses the parameter `region` of watch providers, ISO 3166-1, into upper case; `None` if it is absent or invalid.
pub fn region(check: &mut Validator, text: Option<&str>) -> Option<String> {
    text.and_then(|text| check.take("region", country(text)))
}

/// The earlier of two optional days.
fn earlier(one: Option<NaiveDate>, two: Option<NaiveDate>) -> Option<NaiveDate> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

impl Filter {
    /// Parses `params`. All their errors are added to `errors`, a [`Validator`] or a vector; the filter is then
    /// meaningless.
    pub fn parse(params: &FilterParams, errors: &mut impl Extend<FieldError>) -> Self {
        let mut check = Validator::default();
        let filter = Self::read(params, &mut check);
        errors.extend(check);
        filter
    }

    fn read(params: &FilterParams, check: &mut Validator) -> Self {
        let year: Option<i32> = check.integer("year", params.year.as_deref(), YEARS);
        let bound = |month, day| NaiveDate::from_ymd_opt(year?, month, day);
        let from = check.date("release_date_from", params.release_date_from.as_deref());
        let to = check.date("release_date_to", params.release_date_to.as_deref());
        let region = region(check, params.region.as_deref());
        check.require(
            params.providers.is_none() || params.region.is_some(),
            "region",
            "must be given with providers, such as region=KR",
        );
        let ids = |check: &mut Validator, field, text: &Option<String>| {
            terms(check, field, text.as_deref(), id_or_name)
        };
        let original_language = |check: &mut Validator| {
            let text = params.language.as_deref();
            if params.language_filters() {
                return terms(check, "language", text, language);
            }
            Language::parse_parameter(check, text);
            let text = params.original_language.as_deref();
            terms(check, "original_language", text, language)
        };
        // In the order of the errors, the first of which is the problem's one-line text.
        let mut filter = Self {
            genres: ids(check, "genres", &params.genres),
            without_genres: ids(check, "without_genres", &params.without_genres),
            keywords: ids(check, "keywords", &params.keywords),
            people: ids(check, "people", &params.people),
            language: original_language(check),
            language_parameter: "",
            country: terms(check, "country", params.country.as_deref(), |value| {
                country(value).map(Term::Name)
            }),
            release_from: from.max(bound(1, 1)),
            release_to: earlier(to, bound(12, 31)),
            runtime_min: check.integer("runtime_min", params.runtime_min.as_deref(), MINUTES),
            runtime_max: check.integer("runtime_max", params.runtime_max.as_deref(), MINUTES),
            vote_average_min: check.decimal(
                "vote_average_min",
                params.vote_average_min.as_deref(),
                0.0..=10.0,
            ),
            vote_count_min: check.integer(
                "vote_count_min",
                params.vote_count_min.as_deref(),
                0..=i32::MAX.into(),
            ),
            vote_count_max: check.integer(
                "vote_count_max",
                params.vote_count_max.as_deref(),
                0..=i32::MAX.into(),
            ),
            providers: ids(check, "providers", &params.providers),
            region,
        };
        if !filter.language.is_empty() {
            let is_only = params.original_language.is_none();
            filter.language_parameter = if is_only {
                "language"
            } else {
                "original_language"
            };
        }
        filter.check_ranges(check, (from, to), year);
        filter
    }

    /// Reports ranges that contain nothing: those whose ends are reversed, and days outside of the year.
    fn check_ranges(
        &self,
        check: &mut Validator,
        days: (Option<NaiveDate>, Option<NaiveDate>),
        year: Option<i32>,
    ) {
        fn order<T: PartialOrd + std::fmt::Display>(
            check: &mut Validator,
            [from, to]: [(&str, Option<T>); 2],
        ) -> bool {
            let reversed = from.1.zip(to.1).filter(|(from, to)| from > to);
            if let Some((_, end)) = &reversed {
                let message = format!("must be at most {}, which is {end}", to.0);
                check.error(from.0, message);
            }
            reversed.is_none()
        }
        let (from, to) = days;
        let are_days_ordered = order(
            check,
            [("release_date_from", from), ("release_date_to", to)],
        );
        let is_empty = self
            .release_from
            .zip(self.release_to)
            .is_some_and(|(from, to)| from > to);
        if let Some(year) = year.filter(|_| is_empty && are_days_ordered) {
            let (field, end) = match from.filter(|from| from.year() > year) {
                Some(_) => ("release_date_from", "at most the end"),
                None => ("release_date_to", "at least the beginning"),
            };
            check.error(field, format!("must be {end} of the year {year}"));
        }
        order(
            check,
            [
                ("runtime_min", self.runtime_min),
                ("runtime_max", self.runtime_max),
            ],
        );
        let votes = [
            ("vote_count_min", self.vote_count_min),
            ("vote_count_max", self.vote_count_max),
        ];
        order(check, votes);
    }
}

/// `date` as the number of days from 0001-01-01, as columns hold it.
pub fn day_number(date: NaiveDate) -> i32 {
    date.num_days_from_ce()
}

#[cfg(test)]
mod tests;
