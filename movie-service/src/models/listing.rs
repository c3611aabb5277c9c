//! What lists of films are made of: their orders, what a film is found by, and what a list shows of it.

use std::borrow::Cow;

use chrono::NaiveDate;

use super::{Keyword, MovieId, Person, Provider};

/// What a list is ordered by; the id breaks ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    /// By the day of release; films without one come last both ways.
    ReleaseDate,
    /// By title, as dictionaries do.
    Title,
    /// By TMDB's popularity.
    Popularity,
}

/// Which way a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Lowest first.
    Asc,
    /// Highest first.
    Desc,
}

impl Order {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }
}

pub use filter::NamedId;

/// What a film is found and sorted by.
#[derive(Debug, Clone, Default)]
pub struct FilmFacts<'a> {
    /// TMDB's id.
    pub id: i64,
    /// Rises with every change of the film.
    pub version: i64,
    /// When that change was made, in microseconds since 1970.
    pub updated_at: i64,
    /// The title.
    pub title: &'a str,
    /// The film's own language, ISO 639-1.
    pub language: &'a str,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// Minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity.
    pub popularity: f64,
    /// TMDB's average vote, 0 to 10.
    pub vote_average: f64,
    /// How many voted.
    pub vote_count: i32,
    /// TMDB's ids of its genres.
    pub genre_ids: Vec<i32>,
    /// Where it was produced, ISO 3166-1.
    pub countries: Vec<String>,
    /// Its keywords.
    pub keywords: Vec<NamedId<'a>>,
    /// Directors, writers and the first of the cast.
    pub people: Vec<NamedId<'a>>,
    /// Who shows it, and in which region.
    pub providers: Vec<(Cow<'a, str>, NamedId<'a>)>,
}

/// What comes with the films of a list beyond what stands in columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Includes {
    /// What each is about.
    pub overview: bool,
    /// Names of genres.
    pub genres: bool,
    /// Keywords.
    pub keywords: bool,
    /// Directors, writers and the first of the cast.
    pub people: bool,
    /// Where to watch it.
    pub providers: bool,
}

/// A film in a list. What was not to be included is none.
#[derive(Debug, Clone)]
pub struct ListedMovie {
    /// TMDB's id.
    pub id: MovieId,
    /// The title.
    pub title: String,
    /// The title in the film's own language.
    pub original_title: String,
    /// The film's own language, ISO 639-1.
    pub language: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// Minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity.
    pub popularity: f64,
    /// TMDB's average vote, 0 to 10.
    pub vote_average: f64,
    /// How many voted.
    pub vote_count: i32,
    /// The poster's path.
    pub poster_path: Option<String>,
    /// The backdrop's path.
    pub backdrop_path: Option<String>,
    /// Where it was produced, ISO 3166-1.
    pub countries: Vec<String>,
    /// What it is about.
    pub overview: Option<String>,
    /// Names of its genres, alphabetical.
    pub genres: Option<Vec<String>>,
    /// Its keywords.
    pub keywords: Option<Vec<Keyword>>,
    /// Directors, writers and the first of the cast.
    pub people: Option<Vec<Person>>,
    /// Where to watch it.
    pub providers: Option<Vec<Provider>>,
}
