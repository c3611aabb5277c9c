//! Jobs that fetch movies from TMDB, and their items. Used by the job services, repositories and
//! handlers; performs no I/O.

use std::fmt;

use chassis::jobs::{JobStatus, JobView};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::MovieId;

/// The kind of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobKind {
    /// Fetches pages of all movies, the most popular first.
    Sync,
    /// Fetches the trending movies.
    Trending,
    /// Fetches the currently popular movies.
    Popular,
    /// Fetches movies by their ids.
    Import,
    /// Fetches movies that many clients are expected to request.
    WarmPool,
    /// Fetches the movies again that were fetched the longest time ago.
    Refresh,
}

impl JobKind {
    /// The name in JSON, in metrics and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Trending => "trending",
            Self::Popular => "popular",
            Self::Import => "import",
            Self::WarmPool => "warm_pool",
            Self::Refresh => "refresh",
        }
    }
}

/// A failed item of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobFailure {
    /// The item: `page 3`, `movie 603`; the kind of the job if the job itself was given up.
    #[schema(example = "page 3")]
    pub item: String,
    /// The reason.
    #[schema(example = "TMDB responded with 500")]
    pub reason: String,
}

/// A job and its progress.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Job {
    /// The id of the job.
    pub job_id: Uuid,
    /// The kind.
    pub kind: JobKind,
    /// The status.
    pub status: JobStatus,
    /// The number of items; an estimate until all pages of a list are read.
    #[schema(example = 2000)]
    pub total: i32,
    /// The number of processed items, successful or not.
    #[schema(example = 740)]
    pub processed: i32,
    /// The number of successful items.
    #[schema(example = 739)]
    pub succeeded: i32,
    /// The number of failed items.
    #[schema(example = 1)]
    pub failed: i32,
    /// The first hundred failures.
    #[schema(value_type = Vec<JobFailure>)]
    pub failures: Json<Vec<JobFailure>>,
    /// The time of the request.
    pub created_at: DateTime<Utc>,
    /// The time of the last progress.
    pub updated_at: DateTime<Utc>,
}

impl JobView for Job {
    const EVENT: &'static str = "job";

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

/// A list of movies that TMDB publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum MovieList {
    /// All movies, the most popular first.
    Discover,
    /// The currently popular movies.
    Popular,
    /// The trending movies of the day.
    TrendingDay,
    /// The trending movies of the week.
    TrendingWeek,
}

impl MovieList {
    /// The name in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Popular => "popular",
            Self::TrendingDay => "trending_day",
            Self::TrendingWeek => "trending_week",
        }
    }
}

/// An item of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A page, from 1, of a list; replaced by its movies once it is read.
    Page(MovieList, u32),
    /// A movie.
    Movie(MovieId),
}

impl fmt::Display for Item {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Page(MovieList::Discover, page) => write!(formatter, "page {page}"),
            Self::Page(MovieList::Popular, page) => write!(formatter, "popular page {page}"),
            Self::Page(_, page) => write!(formatter, "trending page {page}"),
            Self::Movie(id) => write!(formatter, "movie {id}"),
        }
    }
}

/// The parameters of a job besides its items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// The maximum number of movies of a job that reads pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_films: Option<i32>,
    /// True if a client waits for the end, so that an unavailable TMDB fails the job at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub impatient: bool,
}
