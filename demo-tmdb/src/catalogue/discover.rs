//! The filters and orders of `/discover/movie`: TMDB's grammar over the data of the catalogue.
//! Filters on facts that the catalogue does not have (countries, certificates, release types) are ignored.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use thiserror::Error;

use super::{Catalogue, Film};

/// A parameter that cannot be read.
#[derive(Debug, Error)]
#[error("{name}={value:?} cannot be read")]
pub(crate) struct ParameterError {
    name: String,
    value: String,
}

impl ParameterError {
    fn new(name: &str, value: &str) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        Self { name, value }
    }
}

/// The parameters of a request, decoded.
pub(crate) type Query = HashMap<String, String>;

/// A conjunction of disjunctions: TMDB's `,` is and, `|` is or.
type Groups<T> = Vec<Vec<T>>;

/// A request of `/discover/movie`.
#[derive(Debug, Default)]
pub(crate) struct Discover {
    pub(crate) order: Order,
    with_genres: Groups<u32>,
    without_genres: Groups<u32>,
    with_keywords: Groups<u32>,
    without_keywords: Groups<u32>,
    with_people: Groups<u32>,
    with_cast: Groups<u32>,
    with_crew: Groups<u32>,
    languages: Groups<String>,
    pub(crate) released: Range<NaiveDate>,
    year: Option<i32>,
    vote_average: Range<f64>,
    pub(crate) vote_count: Range<u32>,
    runtime: Range<u32>,
    include_adult: bool,
    /// Only counts together with a region, as on TMDB.
    pub(crate) providers: Groups<u32>,
    /// The region of `providers`.
    pub(crate) watch_region: Option<String>,
}

/// A range of values with both ends.
#[derive(Debug, Default)]
pub(crate) struct Range<T> {
    pub(crate) from: Option<T>,
    pub(crate) to: Option<T>,
}

impl<T: PartialOrd + FromStr> Range<T> {
    /// Reads the parameters `name.gte` and `name.lte`.
    fn parse(query: &Query, name: &str) -> Result<Self, ParameterError> {
        Ok(Self {
            from: parse(query, &format!("{name}.gte"))?,
            to: parse(query, &format!("{name}.lte"))?,
        })
    }

    fn holds(&self, value: T) -> bool {
        self.from.as_ref().is_none_or(|from| value >= *from)
            && self.to.as_ref().is_none_or(|to| value <= *to)
    }
}

impl Discover {
    /// Reads TMDB's parameters, unknown ones are ignored as TMDB does.
    ///
    /// # Errors
    /// Names the first parameter that is not a number, a date or an order.
    pub(crate) fn parse(query: &Query) -> Result<Self, ParameterError> {
        let released: [Range<NaiveDate>; 2] = [
            Range::parse(query, "primary_release_date")?,
            Range::parse(query, "release_date")?,
        ];
        let year = match parse(query, "primary_release_year")? {
            Some(year) => Some(year),
            None => parse(query, "year")?,
        };
        Ok(Self {
            order: parse(query, "sort_by")?.unwrap_or_default(),
            with_genres: groups(query, "with_genres")?,
            without_genres: groups(query, "without_genres")?,
            with_keywords: groups(query, "with_keywords")?,
            without_keywords: groups(query, "without_keywords")?,
            with_people: groups(query, "with_people")?,
            with_cast: groups(query, "with_cast")?,
            with_crew: groups(query, "with_crew")?,
            languages: groups(query, "with_original_language")?,
            released: Range {
                from: released.iter().filter_map(|range| range.from).max(),
                to: released.iter().filter_map(|range| range.to).min(),
            },
            year,
            vote_average: Range::parse(query, "vote_average")?,
            vote_count: Range::parse(query, "vote_count")?,
            runtime: Range::parse(query, "with_runtime")?,
            include_adult: parse(query, "include_adult")?.unwrap_or(false),
            providers: groups(query, "with_watch_providers")?,
            watch_region: parse(query, "watch_region")?,
        })
    }

    /// The requested movies that pass `filter`, in the requested order; equal ones by id, so that pages never overlap.
    pub(crate) fn select<'a>(
        &self,
        catalogue: &'a Catalogue,
        filter: impl Fn(&Film) -> bool,
    ) -> Vec<&'a Film> {
        let mut films: Vec<&Film> = catalogue
            .films()
            .filter(|film| self.admits(film) && filter(film))
            .collect();
        films.sort_by(|a, b| self.order.compare(a, b).then(a.id.cmp(&b.id)));
        films
    }

    fn admits(&self, film: &Film) -> bool {
        let has_person = |id: &u32| film.cast.contains(id) || film.directors.contains(id);
        let released = &self.released;
        let bounded = released.from.is_some() || released.to.is_some() || self.year.is_some();
        (self.include_adult || !film.adult)
            && all(&self.with_genres, |id| film.genres.contains(id))
            && none(&self.without_genres, |id| film.genres.contains(id))
            && all(&self.with_keywords, |id| film.keywords.contains(id))
            && none(&self.without_keywords, |id| film.keywords.contains(id))
            && all(&self.with_people, has_person)
            && all(&self.with_cast, |id| film.cast.contains(id))
            && all(&self.with_crew, |id| film.directors.contains(id))
            && all(&self.languages, |language| film.language == *language)
            && film.release_date.map_or(!bounded, |date| {
                released.holds(date) && self.year.is_none_or(|year| date.year() == year)
            })
            && self.vote_average.holds(film.vote_average)
            && self.vote_count.holds(film.vote_count)
            && self.runtime.holds(film.runtime)
    }
}

/// TMDB's `sort_by`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Order {
    by: By,
    ascending: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    #[default]
    Popularity,
    ReleaseDate,
    VoteAverage,
    VoteCount,
    Title,
    OriginalTitle,
    /// The facts have no revenue, so all films are equal.
    Revenue,
}

impl Order {
    /// The best vote average first.
    pub(crate) const BEST_RATED: Self = Self {
        by: By::VoteAverage,
        ascending: false,
    };
    fn compare(self, a: &Film, b: &Film) -> Ordering {
        let ascending = match self.by {
            By::Popularity => a.popularity.total_cmp(&b.popularity),
            By::ReleaseDate => a.release_date.cmp(&b.release_date),
            By::VoteAverage => a.vote_average.total_cmp(&b.vote_average),
            By::VoteCount => a.vote_count.cmp(&b.vote_count),
            By::Title => a.title.cmp(&b.title),
            By::OriginalTitle => a.original_title.cmp(&b.original_title),
            By::Revenue => Ordering::Equal,
        };
        if self.ascending {
            ascending
        } else {
            ascending.reverse()
        }
    }
}

impl FromStr for Order {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (by, direction) = text.split_once('.').ok_or(())?;
        let by = match by {
            "popularity" => By::Popularity,
            "primary_release_date" | "release_date" => By::ReleaseDate,
            "vote_average" => By::VoteAverage,
            "vote_count" => By::VoteCount,
            "title" => By::Title,
            "original_title" => By::OriginalTitle,
            "revenue" => By::Revenue,
            _ => return Err(()),
        };
        match direction {
            "asc" => Ok(Self {
                by,
                ascending: true,
            }),
            "desc" => Ok(Self {
                by,
                ascending: false,
            }),
            _ => Err(()),
        }
    }
}

fn all<T>(groups: &Groups<T>, has: impl Fn(&T) -> bool) -> bool {
    groups.iter().all(|group| group.iter().any(&has))
}

fn none<T>(groups: &Groups<T>, has: impl Fn(&T) -> bool) -> bool {
    !groups.iter().flatten().any(has)
}

/// The value of a parameter that is a number or the like; `None` if it is absent or empty.
///
/// # Errors
/// Names the parameter if it does not parse.
pub(crate) fn parse<T: FromStr>(query: &Query, name: &str) -> Result<Option<T>, ParameterError> {
    let text = query.get(name).filter(|text| !text.is_empty());
    let parse = |text: &String| text.parse().map_err(|_| ParameterError::new(name, text));
    text.map(parse).transpose()
}

fn groups<T: FromStr>(query: &Query, name: &str) -> Result<Groups<T>, ParameterError> {
    let text = query.get(name).map_or("", String::as_str);
    let item = |item: &str| {
        item.trim()
            .parse()
            .map_err(|_| ParameterError::new(name, text))
    };
    let groups = text.split(',').filter(|group| !group.is_empty());
    groups
        .map(|group| group.split('|').map(item).collect())
        .collect()
}
