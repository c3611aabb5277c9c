//! The reading of a message: the filter's parameters, movies named as examples, and an order. The parser and a language
//! model both return it, and both are checked here before a list is made of it.

use chassis::validate::FieldError;
use chrono::NaiveDate;
use filter::{Filter, FilterParams};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The order of movies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub enum Order {
    /// The newest first.
    #[serde(rename = "release_date.desc")]
    Newest,
    /// The oldest first.
    #[serde(rename = "release_date.asc")]
    Oldest,
    /// The most popular first.
    #[serde(rename = "popularity.desc")]
    Popular,
    /// The best rated first; few votes count less.
    #[serde(rename = "vote_average.desc")]
    Rated,
}

impl Order {
    /// The order with this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "release_date.desc" => Self::Newest,
            "release_date.asc" => Self::Oldest,
            "popularity.desc" => Self::Popular,
            "vote_average.desc" => Self::Rated,
            _ => return None,
        })
    }
}

/// Exchanges the ends of a range if they are reversed.
pub(super) fn put_in_order<T: PartialOrd>(from: &mut Option<T>, to: &mut Option<T>) {
    if from.is_some() && to.is_some() && *from > *to {
        std::mem::swap(from, to);
    }
}

/// The parameters of the filter that a message means, as `GET /movies` takes them; absent ones do not filter.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReadFilters)]
pub struct Filters {
    /// Genres that the movie has: `,` is and, `|` is or.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "Thriller")]
    pub genres: Option<String>,
    /// Genres that the movie does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "Horror")]
    pub without_genres: Option<String>,
    /// Keywords.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "heist|robbery")]
    pub keywords: Option<String>,
    /// Cast and crew.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "Park Chan-wook")]
    pub people: Option<String>,
    /// The original language, ISO 639-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "ko")]
    pub language: Option<String>,
    /// The production country, ISO 3166-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "US")]
    pub country: Option<String>,
    /// The release year.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i32, required = false, example = 1994)]
    pub year: Option<i32>,
    /// The earliest release date.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = NaiveDate, required = false, example = "1990-01-01")]
    pub release_date_from: Option<NaiveDate>,
    /// The latest release date.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = NaiveDate, required = false, example = "1999-12-31")]
    pub release_date_to: Option<NaiveDate>,
    /// The minimum runtime in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i32, required = false, example = 90)]
    pub runtime_min: Option<u16>,
    /// The maximum runtime in minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i32, required = false, example = 120)]
    pub runtime_max: Option<u16>,
    /// The minimum vote average.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = f64, required = false, example = 7.0)]
    pub vote_average_min: Option<f64>,
    /// The minimum vote count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i32, required = false, example = 5000)]
    pub vote_count_min: Option<u32>,
    /// The maximum vote count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = i32, required = false, example = 1000)]
    pub vote_count_max: Option<u32>,
    /// Watch providers in `region`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "Netflix")]
    pub providers: Option<String>,
    /// The region of `providers`, ISO 3166-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false, example = "KR")]
    pub region: Option<String>,
}

impl Filters {
    /// The parameters as a client writes them.
    pub fn params(&self) -> FilterParams {
        fn text<T: ToString>(value: Option<&T>) -> Option<String> {
            value.map(ToString::to_string)
        }
        FilterParams {
            genres: self.genres.clone(),
            without_genres: self.without_genres.clone(),
            keywords: self.keywords.clone(),
            people: self.people.clone(),
            language: self.language.clone(),
            original_language: None,
            country: self.country.clone(),
            year: text(self.year.as_ref()),
            release_date_from: text(self.release_date_from.as_ref()),
            release_date_to: text(self.release_date_to.as_ref()),
            runtime_min: text(self.runtime_min.as_ref()),
            runtime_max: text(self.runtime_max.as_ref()),
            vote_average_min: text(self.vote_average_min.as_ref()),
            vote_count_min: text(self.vote_count_min.as_ref()),
            vote_count_max: text(self.vote_count_max.as_ref()),
            providers: self.providers.clone(),
            region: self.region.clone(),
        }
    }

    /// The filter.
    ///
    /// # Errors
    /// Returns the invalid parameters.
    pub fn parse(&self) -> Result<Filter, Vec<FieldError>> {
        let mut errors = Vec::new();
        let filter = Filter::parse(&self.params(), &mut errors);
        if errors.is_empty() {
            Ok(filter)
        } else {
            Err(errors)
        }
    }

    /// True if nothing is filtered.
    pub fn is_empty(&self) -> bool {
        *self
            == Self {
                region: self.region.clone(),
                ..Self::default()
            }
    }
}

/// The language that a message is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MessageLanguage {
    /// English, or one that is read as English.
    #[default]
    English,
    /// Korean.
    Korean,
}

impl MessageLanguage {
    /// The code of ISO 639-1.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Korean => "ko",
        }
    }

    /// The region of watch providers if none is given.
    pub fn region(self) -> &'static str {
        match self {
            Self::English => "US",
            Self::Korean => "KR",
        }
    }
}

/// A message as it was understood.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The parameters of the filter.
    pub filters: Filters,
    /// Movies named as examples, by TMDB's ids.
    pub like: Vec<i64>,
    /// The order; by relevance if none is named.
    pub sort: Option<Order>,
    /// The number of movies.
    pub limit: Option<i64>,
    /// Parts of the message without a meaning here.
    pub not_understood: Vec<String>,
    /// The share of the message that was understood, 0 to 1.
    pub confidence: f64,
    /// The language of the message.
    pub language: MessageLanguage,
}

impl Reading {
    /// True if the reading makes the same list as `other`.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (&self.filters, &self.like, self.sort, self.limit)
            == (&other.filters, &other.like, other.sort, other.limit)
    }

    /// True if nothing was understood.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty() && self.like.is_empty() && self.sort.is_none()
    }
}
