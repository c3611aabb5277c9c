//! Histories that users bring along from elsewhere: what a file says, and how far it has been taken
//! over. How files are read is [`parse`]'s.

mod parse;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use parse::{Parsed, parse};

use super::{Action, MovieId, Rating, Reaction, UserId};

/// What a file holds, by who exports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(example = "letterboxd-diary")]
pub enum ImportFormat {
    /// Letterboxd's `watched.csv`.
    LetterboxdWatched,
    /// Letterboxd's `ratings.csv`.
    LetterboxdRatings,
    /// Letterboxd's `diary.csv` and `reviews.csv`.
    LetterboxdDiary,
    /// Letterboxd's `watchlist.csv`.
    LetterboxdWatchlist,
    /// Letterboxd's `likes/films.csv`.
    LetterboxdLikes,
    /// IMDb's ratings.
    ImdbRatings,
    /// IMDb's watchlist, or another list.
    ImdbWatchlist,
    /// Trakt's ratings.
    TraktRatings,
    /// Trakt's history.
    TraktHistory,
    /// Trakt's watchlist.
    TraktWatchlist,
    /// MovieLens' ratings, as the site exports them or as its datasets have them.
    MovielensRatings,
    /// The `links.csv` of a MovieLens dataset.
    MovielensLinks,
    /// The `movies.csv` of a MovieLens dataset.
    MovielensMovies,
}

impl ImportFormat {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::LetterboxdWatched,
        Self::LetterboxdRatings,
        Self::LetterboxdDiary,
        Self::LetterboxdWatchlist,
        Self::LetterboxdLikes,
        Self::ImdbRatings,
        Self::ImdbWatchlist,
        Self::TraktRatings,
        Self::TraktHistory,
        Self::TraktWatchlist,
        Self::MovielensRatings,
        Self::MovielensLinks,
        Self::MovielensMovies,
    ];

    /// Its name, as clients write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LetterboxdWatched => "letterboxd-watched",
            Self::LetterboxdRatings => "letterboxd-ratings",
            Self::LetterboxdDiary => "letterboxd-diary",
            Self::LetterboxdWatchlist => "letterboxd-watchlist",
            Self::LetterboxdLikes => "letterboxd-likes",
            Self::ImdbRatings => "imdb-ratings",
            Self::ImdbWatchlist => "imdb-watchlist",
            Self::TraktRatings => "trakt-ratings",
            Self::TraktHistory => "trakt-history",
            Self::TraktWatchlist => "trakt-watchlist",
            Self::MovielensRatings => "movielens-ratings",
            Self::MovielensLinks => "movielens-links",
            Self::MovielensMovies => "movielens-movies",
        }
    }

    /// The format of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }
}

/// A file that a user brings.
#[derive(Debug, Clone, Copy)]
pub struct ImportSource<'a> {
    /// Its name, which may be empty.
    pub name: &'a str,
    /// What is in it.
    pub content: &'a [u8],
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"name": "diary.csv", "format": "letterboxd-diary", "rows": 120}))]
pub struct ImportFile {
    /// Its name, as the client gave it.
    pub name: String,
    /// What it holds.
    pub format: ImportFormat,
    /// How many rows it has, without the heading.
    pub rows: usize,
}

/// What a row says that the user did, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deeds {
    /// They watched the film.
    pub watched_at: Option<DateTime<Utc>>,
    /// They rated it.
    pub rated: Option<(Rating, DateTime<Utc>)>,
    /// They want to watch it.
    pub bookmarked_at: Option<DateTime<Utc>>,
    /// They like it.
    pub liked_at: Option<DateTime<Utc>>,
}

impl Deeds {
    /// The same as actions, with their times.
    pub fn actions(&self) -> impl Iterator<Item = (Action, DateTime<Utc>)> + use<> {
        let rated = self
            .rated
            .map(|(rating, at)| (Action::Rate(Some(rating)), at));
        let like = Action::React(Some(Reaction::Like));
        [
            self.watched_at.map(|at| (Action::Complete, at)),
            rated,
            self.bookmarked_at.map(|at| (Action::Bookmark(true), at)),
            self.liked_at.map(|at| (like, at)),
        ]
        .into_iter()
        .flatten()
    }
}

/// A row of a file: which film, and what the user did with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportEntry {
    /// Which of the files it is in, from 0.
    pub file: i16,
    /// The line on which it begins, from 1.
    pub line: i32,
    /// TMDB's id of the film.
    pub tmdb_id: Option<MovieId>,
    /// IMDb's id.
    pub imdb_id: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The year of release.
    pub year: Option<i32>,
    /// What was done.
    pub deeds: Deeds,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImportStatus {
    /// Nobody works on it yet.
    Pending,
    /// Somebody works on it.
    Running,
    /// All rows were gone through.
    Succeeded,
    /// It was given up; `failures` says why.
    Failed,
    /// It was called off.
    Cancelled,
}

impl ImportStatus {
    /// All there are.
    pub const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The status of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Its name, as clients and the database write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why a row belongs to no film.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnmatchedReason {
    /// No film has the ids or the title and the year.
    Unknown,
    /// Several films have the title.
    Ambiguous,
    /// The catalogue does not have the film yet, and could not get it now.
    NotFetched,
}

/// A row that belongs to no film.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnmatchedTitle {
    /// The name of the file.
    pub file: String,
    /// The line, from 1.
    pub line: i32,
    /// The title, where the row has one.
    pub title: Option<String>,
    /// The year, where the row has one.
    pub year: Option<i32>,
    /// Why.
    pub reason: UnmatchedReason,
}

/// A row that was not stored, or why the job was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportFailure {
    /// The name of the file; none where it is not about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1; none where it is not about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i32>,
    /// Why.
    pub reason: String,
}

/// A history that is taken over, and how far.
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
    /// The job's id.
    pub job_id: Uuid,
    /// Whose history it is.
    pub user_id: UserId,
    /// How it stands.
    pub status: ImportStatus,
    /// Whether it only tells what it would do.
    pub dry_run: bool,
    /// The files.
    pub files: Vec<ImportFile>,
    /// How many rows are about films.
    pub total: i32,
    /// How many of them were gone through.
    pub processed: i32,
    /// How many of those changed something, or would.
    pub succeeded: i32,
    /// How many of those say what stood already, or are older than what is known.
    pub unchanged: i32,
    /// How many of those belong to no film.
    pub unmatched: i32,
    /// How many of those could not be stored.
    pub failed: i32,
    /// How many rows were passed over, as they are about series, games and the like.
    pub skipped: i32,
    /// The first thousand rows that belong to no film.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmatched_titles: Option<Vec<UnmatchedTitle>>,
    /// The first hundred rows that could not be stored, and why the job was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<Vec<ImportFailure>>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
}
