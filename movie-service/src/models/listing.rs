//! The parts of movie lists: sort orders, the indexed properties of a movie, and the entry that a page shows.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;

use super::{Keyword, MovieId, Person, Provider};

pub use filter::NamedId;

/// The sort key of a list; the id breaks ties.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    /// The release date; movies without one come last in both directions.
    ReleaseDate,
    /// The title, in the root collation of Unicode.
    Title,
    /// TMDB's popularity.
    #[default]
    Popularity,
}

/// The direction of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Lowest first.
    Asc,
    /// Highest first.
    #[default]
    Desc,
}

impl Order {
    /// The opposite direction.
    pub fn reversed(self) -> Self {
        match self {
            Self::Asc => Self::Desc,
            Self::Desc => Self::Asc,
        }
    }
}

/// The properties by which the list index filters and sorts a movie, borrowed from a row of Postgres.
#[derive(Debug, Clone, Default)]
pub struct FilmFacts<'a> {
    /// TMDB's id.
    pub id: i64,
    /// Increases with every change of the movie.
    pub version: i64,
    /// The time of the last change, in microseconds since 1970.
    pub updated_at: i64,
    /// The title.
    pub title: &'a str,
    /// The original language, ISO 639-1.
    pub language: &'a str,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// The runtime in minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity.
    pub popularity: f64,
    /// TMDB's vote average, 0 to 10.
    pub vote_average: f64,
    /// The number of votes.
    pub vote_count: i32,
    /// TMDB's ids of the genres.
    pub genre_ids: Vec<i32>,
    /// Countries of production, ISO 3166-1.
    pub countries: Vec<String>,
    /// The keywords.
    pub keywords: Vec<NamedId<'a>>,
    /// Directors, writers and the first ten of the cast.
    pub people: Vec<NamedId<'a>>,
    /// Watch providers by region.
    pub providers: Vec<(Cow<'a, str>, NamedId<'a>)>,
}

/// The optional columns of a page, read only on request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Includes {
    /// Plot summaries.
    pub overview: bool,
    /// Names of genres.
    pub genres: bool,
    /// Keywords.
    pub keywords: bool,
    /// Directors, writers and the first ten of the cast.
    pub people: bool,
    /// Watch providers.
    pub providers: bool,
}

/// A movie in a list; columns that [`Includes`] leaves out are `None`.
#[derive(Debug, Clone)]
pub struct ListedMovie {
    /// TMDB's id.
    pub id: MovieId,
    /// The title.
    pub title: String,
    /// The title in the original language.
    pub original_title: String,
    /// The original language, ISO 639-1.
    pub original_language: String,
    /// The day of the first release.
    pub release_date: Option<NaiveDate>,
    /// The runtime in minutes.
    pub runtime: Option<i32>,
    /// TMDB's popularity.
    pub popularity: f64,
    /// TMDB's vote average, 0 to 10.
    pub vote_average: f64,
    /// The number of votes.
    pub vote_count: i32,
    /// The poster's path.
    pub poster_path: Option<String>,
    /// The backdrop's path.
    pub backdrop_path: Option<String>,
    /// Countries of production, ISO 3166-1.
    pub countries: Vec<String>,
    /// The plot summary.
    pub overview: Option<String>,
    /// Names of the genres, alphabetical.
    pub genres: Option<Vec<String>>,
    /// The keywords.
    pub keywords: Option<Json<Vec<Keyword>>>,
    /// Directors, writers and the first ten of the cast.
    pub people: Option<Json<Vec<Person>>>,
    /// Watch providers.
    pub providers: Option<Json<Vec<Provider>>>,
}
