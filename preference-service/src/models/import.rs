//! Imports of a user's history from other sites: the entries of a file, and the job that stores them with
//! its progress. Files are parsed by [`parse`]; this module performs no I/O.

mod format;
mod parse;

use chassis::jobs::{JobStatus, JobView};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use uuid::Uuid;

pub use format::ImportFormat;
pub use parse::{Parsed, parse};

use super::{Action, MovieId, Rating, Reaction, UserId};

/// A file of an import request.
#[derive(Debug, Clone, Copy)]
pub struct ImportSource<'a> {
    /// The name of the file; may be empty.
    pub name: &'a str,
    /// The bytes of the file.
    pub content: &'a [u8],
}

/// A parsed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "diary.csv", "format": "letterboxd-diary", "rows": 120}))]
pub struct ImportFile {
    /// The name of the file, as the client sent it.
    pub name: String,
    /// The format.
    pub format: ImportFormat,
    /// The number of rows without the header.
    pub rows: usize,
}

/// A row of a file: a movie, and the user's actions on it with their times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportEntry {
    /// The index of the file, from 0.
    pub file: i16,
    /// The line on which the row begins, from 1.
    pub line: i32,
    /// The TMDB id.
    pub tmdb_id: Option<MovieId>,
    /// The IMDb id.
    pub imdb_id: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The year of release.
    pub year: Option<i32>,
    /// The time at which the user watched the movie.
    pub watched_at: Option<DateTime<Utc>>,
    /// The rating.
    pub rating: Option<Rating>,
    /// The time of the rating.
    pub rated_at: Option<DateTime<Utc>>,
    /// The time at which the user bookmarked the movie.
    pub bookmarked_at: Option<DateTime<Utc>>,
    /// The time at which the user liked the movie.
    pub liked_at: Option<DateTime<Utc>>,
    /// The movie that a dry run found.
    pub movie_id: Option<MovieId>,
}

impl ImportEntry {
    /// True if the row has an id or a title.
    fn is_identified(&self) -> bool {
        self.tmdb_id.is_some() || self.imdb_id.is_some() || self.title.is_some()
    }

    /// The actions, each with its time.
    pub fn actions(&self) -> impl Iterator<Item = (Action, DateTime<Utc>)> + use<> {
        let like = Action::React(Some(Reaction::Like));
        let actions = [
            (Action::Complete, self.watched_at),
            (Action::Rate(self.rating), self.rated_at),
            (Action::Bookmark(true), self.bookmarked_at),
            (like, self.liked_at),
        ];
        actions
            .into_iter()
            .filter_map(|(action, at)| Some((action, at?)))
    }
}

/// The name of [`JobStatus`] in the OpenAPI document.
#[derive(Debug)]
pub struct ImportStatus;

impl PartialSchema for ImportStatus {
    fn schema() -> RefOr<Schema> {
        JobStatus::schema()
    }
}

impl ToSchema for ImportStatus {}

/// The reason for which a row matches no movie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnmatchedReason {
    /// No movie has the ids, or the title and the year.
    Unknown,
    /// Several movies have the title.
    Ambiguous,
    /// The movie is not in the catalogue and could not be fetched now; `deferred` in responses of movie-service.
    #[serde(alias = "deferred")]
    NotFetched,
}

/// A row that matches no movie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnmatchedTitle {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: i32,
    /// The title, if the row has one.
    pub title: Option<String>,
    /// The year, if the row has one.
    pub year: Option<i32>,
    /// The reason.
    pub reason: UnmatchedReason,
}

/// A row that could not be stored, or the reason for which the job was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportFailure {
    /// The name of the file, if the failure concerns a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1, if the failure concerns a row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i32>,
    /// The reason.
    pub reason: String,
}

/// An import and its progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "job_id": "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d",
    "user_id": 1,
    "status": "succeeded",
    "dry_run": false,
    "files": [{"name": "diary.csv", "format": "letterboxd-diary", "rows": 120}],
    "total": 120,
    "processed": 120,
    "succeeded": 117,
    "unchanged": 2,
    "unmatched": 1,
    "failed": 0,
    "skipped": 0,
    "unmatched_titles": [{"file": "diary.csv", "line": 17, "title": "The Long Way Up", "year": 1987, "reason": "unknown"}],
    "failures": [],
    "created_at": "2026-02-13T08:15:42.123456Z",
    "updated_at": "2026-02-13T08:15:44.654321Z"
}))]
pub struct Import {
    /// The id of the import.
    pub job_id: Uuid,
    /// The user.
    pub user_id: UserId,
    /// The status.
    #[schema(value_type = ImportStatus)]
    pub status: JobStatus,
    /// True if the import changes nothing and only counts the changes.
    pub dry_run: bool,
    /// The files.
    #[schema(value_type = Vec<ImportFile>)]
    pub files: Json<Vec<ImportFile>>,
    /// The number of rows about movies.
    pub total: i32,
    /// The number of processed rows.
    pub processed: i32,
    /// The number of processed rows that changed something, or would in a dry run.
    pub succeeded: i32,
    /// The number of processed rows that are already stored or older than what is stored.
    pub unchanged: i32,
    /// The number of processed rows that match no movie.
    pub unmatched: i32,
    /// The number of processed rows that could not be stored.
    pub failed: i32,
    /// The number of rows that were skipped, since they are about series, games and the like.
    pub skipped: i32,
    /// The first thousand rows that match no movie.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<UnmatchedTitle>>)]
    pub unmatched_titles: Option<Json<Vec<UnmatchedTitle>>>,
    /// The first hundred rows that could not be stored, and the reason for which the import was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<ImportFailure>>)]
    pub failures: Option<Json<Vec<ImportFailure>>>,
    /// The time of the request.
    pub created_at: DateTime<Utc>,
    /// The time of the last progress.
    pub updated_at: DateTime<Utc>,
}

impl JobView for Import {
    const EVENT: &'static str = "import";

    fn status(&self) -> JobStatus {
        self.status
    }

    fn processed(&self) -> i32 {
        self.processed
    }

    fn updated_at(&self) -> DateTime<Utc> {
        self.updated_at
    }
}
