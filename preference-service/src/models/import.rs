//! Imports of a user's history from other sites: the entries of files, and the job that stores them with its progress and
//! its report. Files are read by [`histories`]; this module performs no I/O.

mod report;

use std::collections::BTreeMap;

use chassis::jobs::{JobStatus, JobView};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};
use uuid::Uuid;

pub use histories::{DateOrder, Format as ImportFormat, SkippedFile};
pub use report::{ImportFailure, MovieCandidate, UnmatchedReason, UnmatchedTitle};

use super::{Action, MovieId, NewViewing, Progress, Rating, Reaction, Source, UserId, ViewingTime};

/// The time of what happened at an unknown time: every known one is later.
pub const UNKNOWN_TIME: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "diary.csv", "format": "letterboxd-diary", "rows": 120}))]
pub struct ImportFile {
    /// The name of the file, as the client sent it, with its path.
    pub name: String,
    /// The format.
    pub format: ImportFormat,
    /// The number of rows without the header.
    pub rows: usize,
}

/// A row of a file: a movie, and the user's actions on it with their times, [`UNKNOWN_TIME`] if the file does not state them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ImportEntry {
    /// The index of the file, from 0.
    pub file: i16,
    /// The line on which the row begins, from 1.
    pub line: i32,
    /// The site.
    pub source: Option<String>,
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
    /// The reaction.
    pub reaction: Option<Reaction>,
    /// The time of the reaction.
    pub reacted_at: Option<DateTime<Utc>>,
    /// The playback position, in seconds.
    pub position_seconds: Option<i32>,
    /// The runtime, in seconds.
    pub duration_seconds: Option<i32>,
    /// The time of the playback position.
    pub progressed_at: Option<DateTime<Utc>>,
    /// The movie that a dry run found.
    pub movie_id: Option<MovieId>,
}

impl From<&histories::Row> for ImportEntry {
    fn from(row: &histories::Row) -> Self {
        let time = |when: histories::When| when.instant().unwrap_or(UNKNOWN_TIME);
        let rating = row.rating;
        Self {
            file: i16::try_from(row.file).unwrap_or(i16::MAX),
            line: i32::try_from(row.line).unwrap_or(i32::MAX),
            source: row.origin.clone().or_else(|| Some(row.source.to_string())),
            tmdb_id: row.film.tmdb_id.and_then(MovieId::new),
            imdb_id: row.film.imdb_id.clone(),
            title: row.film.title.clone(),
            year: row.film.year,
            watched_at: row.viewing.map(time),
            rating: rating
                .map(|rating| rating.value)
                .or(row.viewing_rating)
                .and_then(|value| Rating::from_half_stars(value.get().into())),
            rated_at: rating.map(|rating| time(rating.when)),
            bookmarked_at: row.watchlist.map(time),
            reaction: row.reaction.map(|given| match given.value {
                histories::Reaction::Like => Reaction::Like,
                histories::Reaction::Dislike => Reaction::Dislike,
                histories::Reaction::Superlike => Reaction::Superlike,
            }),
            reacted_at: row.reaction.map(|given| time(given.when)),
            position_seconds: row.progress.map(|given| given.value.position),
            duration_seconds: row.progress.map(|given| given.value.duration),
            progressed_at: row.progress.map(|given| time(given.when)),
            movie_id: None,
        }
    }
}

impl ImportEntry {
    /// The key by which rows of an import are about one movie: the TMDB id, else the IMDb id, else title and year.
    pub fn movie_key(&self) -> String {
        match (self.tmdb_id, &self.imdb_id) {
            (Some(id), _) => format!("tmdb:{id}"),
            (None, Some(id)) => format!("imdb:{id}"),
            (None, None) => {
                let title = self.title.as_deref().unwrap_or_default().to_lowercase();
                format!("title:{title}|{}", self.year.unwrap_or_default())
            }
        }
    }

    /// The actions, each with its time.
    pub fn actions(&self) -> impl Iterator<Item = (Action, DateTime<Utc>)> + use<> {
        let viewing = Action::View(NewViewing {
            time: ViewingTime::at(self.watched_at.unwrap_or(UNKNOWN_TIME)),
            rating: self.rating,
            source: self.source.as_deref().and_then(Source::new),
        });
        let actions = [
            (viewing, self.watched_at),
            (Action::Rate(self.rating), self.rated_at),
            (Action::Bookmark(true), self.bookmarked_at),
            (Action::React(self.reaction), self.reacted_at),
        ];
        let progress = self.position_seconds.zip(self.duration_seconds);
        let position = progress
            .and_then(|(position, duration)| Progress::new(position, duration))
            .map(|progress| (Action::Position(progress), self.progressed_at));
        actions
            .into_iter()
            .chain(position)
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

/// An import and its progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({
    "job_id": "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d",
    "user_id": 1,
    "status": "succeeded",
    "dry_run": false,
    "files": [{"name": "diary.csv", "format": "letterboxd-diary", "rows": 120}],
    "skipped_files": [{"name": "deleted/diary.csv", "reason": "deleted"}],
    "total": 120,
    "processed": 120,
    "succeeded": 117,
    "unchanged": 2,
    "unmatched": 1,
    "failed": 0,
    "skipped": 3,
    "skipped_kinds": {"TV Series": 3},
    "unmatched_titles": [{"n": 1, "file": "diary.csv", "line": 17, "rows": 1, "title": "The Long Way Up", "year": 1987, "reason": "unknown", "candidates": []}],
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
    /// The files that were read.
    #[schema(value_type = Vec<ImportFile>)]
    pub files: Json<Vec<ImportFile>>,
    /// The files that were skipped as a whole, since they are not about a history of movies.
    #[schema(value_type = Vec<SkippedFile>)]
    pub skipped_files: Json<Vec<SkippedFile>>,
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
    /// The number of processed rows that could not be read or stored.
    pub failed: i32,
    /// The number of rows that were skipped, since they are about series, games and the like.
    pub skipped: i32,
    /// The number of skipped rows by the kind of their titles.
    #[schema(value_type = BTreeMap<String, usize>)]
    pub skipped_kinds: Json<BTreeMap<String, usize>>,
    /// The first thousand movies that were not found; `…/unmatched` lists all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<UnmatchedTitle>>)]
    pub unmatched_titles: Option<Json<Vec<UnmatchedTitle>>>,
    /// The first hundred rows that could not be read or stored, and the reason for which the import was given up;
    /// `…/failures` lists all.
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
