//! The parts of movie lists: sort orders, the indexed properties of a movie, and the optional columns of a page.

use chassis::language::Language;
use filter::MovieAttributes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    /// TMDB's popularity.
    pub popularity: f64,
    /// The filtered properties.
    pub attributes: MovieAttributes<'a>,
}

/// The optional columns of a page, read only on request, and the language of its texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Includes {
    /// The display language; `None` for the catalogue's own.
    pub language: Option<Language>,
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
