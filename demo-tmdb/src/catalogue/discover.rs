//! The filters and orders of `/discover/movie`: TMDB's grammar over the data of the catalogue.
//! Filters on facts that the catalogue does not have (countries, certificates, release types) are ignored.

use std::cmp::Ordering;

use chrono::{Datelike, NaiveDate};
use thiserror::Error;

use super::{Catalogue, Film};

/// A parameter that cannot be read.
#[derive(Debug, Error)]
#[error("{name}={value:?} cannot be read")]
pub(crate) struct ParameterError {
    name: &'static str,
    value: String,
}

/// A conjunction of disjunctions: TMDB's `,` is and, `|` is or.
type Groups<T> = Vec<Vec<T>>;

/// A request of `/discover/movie`.
#[derive(Debug, Default)]
pub(crate) struct Discover {
    order: Order,
    with_genres: Groups<u32>,
    without_genres: Groups<u32>,
    with_keywords: Groups<u32>,
    without_keywords: Groups<u32>,
    with_people: Groups<u32>,
    with_cast: Groups<u32>,
    with_crew: Groups<u32>,
    languages: Groups<String>,
    released_from: Option<NaiveDate>,
    released_to: Option<NaiveDate>,
    year: Option<i32>,
    vote_average: Range<f64>,
    vote_count: Range<u32>,
    runtime: Range<u32>,
    include_adult: bool,
    /// Only counts together with a region, as on TMDB.
    pub(crate) providers: Groups<u32>,
    /// The region of `providers`.
    pub(crate) watch_region: Option<String>,
}

#[derive(Debug)]
struct Range<T> {
    from: Option<T>,
    to: Option<T>,
}

impl<T> Default for Range<T> {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
        }
    }
}

impl<T: PartialOrd> Range<T> {
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
    pub(crate) fn parse<'a>(
        get: impl Fn(&'static str) -> Option<&'a str>,
    ) -> Result<Self, ParameterError> {
        let get = &get;
        let mut released_from = None;
        for name in ["primary_release_date.gte", "release_date.gte"] {
            released_from = released_from.max(one(get, name)?);
        }
        let mut released_to: Option<NaiveDate> = None;
        for name in ["primary_release_date.lte", "release_date.lte"] {
            let to = one(get, name)?;
            released_to = released_to.into_iter().chain(to).min();
        }
        let year = match one(get, "primary_release_year")? {
            Some(year) => Some(year),
            None => one(get, "year")?,
        };
        Ok(Self {
            order: match get("sort_by") {
                None | Some("") => Order::default(),
                Some(text) => Order::parse(text).ok_or_else(|| ParameterError {
                    name: "sort_by",
                    value: text.to_owned(),
                })?,
            },
            with_genres: groups(get, "with_genres")?,
            without_genres: groups(get, "without_genres")?,
            with_keywords: groups(get, "with_keywords")?,
            without_keywords: groups(get, "without_keywords")?,
            with_people: groups(get, "with_people")?,
            with_cast: groups(get, "with_cast")?,
            with_crew: groups(get, "with_crew")?,
            languages: groups(get, "with_original_language")?,
            released_from,
            released_to,
            year,
            vote_average: Range {
                from: one(get, "vote_average.gte")?,
                to: one(get, "vote_average.lte")?,
            },
            vote_count: Range {
                from: one(get, "vote_count.gte")?,
                to: one(get, "vote_count.lte")?,
            },
            runtime: Range {
                from: one(get, "with_runtime.gte")?,
                to: one(get, "with_runtime.lte")?,
            },
            include_adult: one(get, "include_adult")?.unwrap_or(false),
            providers: groups(get, "with_watch_providers")?,
            watch_region: get("watch_region")
                .filter(|region| !region.is_empty())
                .map(str::to_owned),
        })
    }

    /// All movies in `order`; the base of the fixed lists.
    pub(crate) fn in_order(order: Order) -> Self {
        Self {
            order,
            ..Self::default()
        }
    }

    /// Only movies released in the range.
    pub(crate) fn released(mut self, from: NaiveDate, to: NaiveDate) -> Self {
        (self.released_from, self.released_to) = (Some(from), Some(to));
        self
    }

    /// Only movies with at least `votes` votes.
    pub(crate) fn with_min_votes(mut self, votes: u32) -> Self {
        self.vote_count.from = Some(votes);
        self
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
        let bounded =
            self.released_from.is_some() || self.released_to.is_some() || self.year.is_some();
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
                self.released_from.is_none_or(|from| date >= from)
                    && self.released_to.is_none_or(|to| date <= to)
                    && self.year.is_none_or(|year| date.year() == year)
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
    pub(crate) const BEST_RATED: Self = Self {
        by: By::VoteAverage,
        ascending: false,
    };
    pub(crate) const MOST_POPULAR: Self = Self {
        by: By::Popularity,
        ascending: false,
    };

    fn parse(text: &str) -> Option<Self> {
        let (by, direction) = text.split_once('.')?;
        Some(Self {
            by: match by {
                "popularity" => By::Popularity,
                "primary_release_date" | "release_date" => By::ReleaseDate,
                "vote_average" => By::VoteAverage,
                "vote_count" => By::VoteCount,
                "title" => By::Title,
                "original_title" => By::OriginalTitle,
                "revenue" => By::Revenue,
                _ => return None,
            },
            ascending: match direction {
                "asc" => true,
                "desc" => false,
                _ => return None,
            },
        })
    }

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

fn all<T>(groups: &Groups<T>, has: impl Fn(&T) -> bool) -> bool {
    groups.iter().all(|group| group.iter().any(&has))
}

fn none<T>(groups: &Groups<T>, has: impl Fn(&T) -> bool) -> bool {
    !groups.iter().flatten().any(has)
}

fn one<'a, T: std::str::FromStr>(
    get: &impl Fn(&'static str) -> Option<&'a str>,
    name: &'static str,
) -> Result<Option<T>, ParameterError> {
    match get(name) {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(ParameterError {
                name,
                value: text.to_owned(),
            }),
        },
    }
}

fn groups<'a, T: std::str::FromStr>(
    get: &impl Fn(&'static str) -> Option<&'a str>,
    name: &'static str,
) -> Result<Groups<T>, ParameterError> {
    let text = get(name).unwrap_or("");
    let wrong = || ParameterError {
        name,
        value: text.to_owned(),
    };
    text.split(',')
        .filter(|group| !group.is_empty())
        .map(|group| {
            group
                .split('|')
                .map(|item| item.trim().parse().map_err(|_| wrong()))
                .collect()
        })
        .collect()
}
