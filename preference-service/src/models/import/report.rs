//! The report of an import: movies that were not found, and rows that could not be read or stored.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::models::MovieId;

/// The reason for which a movie was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum UnmatchedReason {
    /// No movie has the ids, or the title and the year. A movie whose title fits but whose ids are others is a candidate.
    Unknown,
    /// Several movies have the title; they are the candidates.
    Ambiguous,
    /// The movie is not in the catalogue and could not be fetched now; `deferred` in responses of movie-service.
    #[serde(alias = "deferred")]
    NotFetched,
}

impl UnmatchedReason {
    /// The time after which the movie is looked for again at first; `None` if only the user can tell which one it is.
    pub fn retry_interval(self) -> Option<Duration> {
        match self {
            Self::Unknown => Some(Duration::from_secs(24 * 60 * 60)),
            Self::NotFetched => Some(Duration::from_secs(5 * 60)),
            Self::Ambiguous => None,
        }
    }
}

/// A movie that may be the one of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"tmdb_id": 841, "title": "Dune", "year": 1984}))]
pub struct MovieCandidate {
    /// TMDB's id.
    pub tmdb_id: MovieId,
    /// The title.
    pub title: String,
    /// The year of release.
    pub year: Option<i32>,
}

/// A movie that was not found, with the place of its first row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"n": 1, "file": "diary.csv", "line": 17, "rows": 2, "title": "The Long Way Up", "year": 1987, "reason": "unknown", "candidates": []}))]
pub struct UnmatchedTitle {
    /// The number within the import, by which `PATCH …/unmatched/{n}` names it. Missing in imports of earlier releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<i32>,
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: i32,
    /// The number of rows about the movie.
    #[serde(default = "one")]
    pub rows: i32,
    /// The title, if the row has one.
    pub title: Option<String>,
    /// The year, if the row has one.
    pub year: Option<i32>,
    /// TMDB's id, if the row has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tmdb_id: Option<MovieId>,
    /// IMDb's id, if the row has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imdb_id: Option<String>,
    /// The reason.
    pub reason: UnmatchedReason,
    /// The movies that it may be, the likeliest first, at most five.
    #[serde(default)]
    pub candidates: Vec<MovieCandidate>,
    /// The movie that the user named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movie_id: Option<MovieId>,
}

fn one() -> i32 {
    1
}

/// Rows of a movie that could not be read or stored, a file that could not be read, or the reason for which the import was
/// given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"file": "ratings.csv", "line": 3, "field": "Rating", "reason": "must be a number of stars from 0.5 to 5, in halves", "title": "Odd Hours", "rows": 1}))]
pub struct ImportFailure {
    /// The name of the file, if the failure concerns one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line of the first row, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i32>,
    /// The column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The reason.
    pub reason: String,
    /// The title of the movie, if the row has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The number of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<i32>,
}
