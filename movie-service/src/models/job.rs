//! Long work and how far it is.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::MovieId;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobKind {
    /// Fetches pages of all films, the most popular first.
    Sync,
    /// Fetches the films that are trending.
    Trending,
    /// Fetches the films that are popular now.
    Popular,
    /// Fetches films by their ids.
    Import,
    /// Keeps what many will ask for at hand.
    WarmPool,
    /// Asks again for what was asked for longest ago.
    Refresh,
}

impl JobKind {
    /// Its name, as clients and metrics see it.
    #[must_use]
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

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum JobStatus {
    /// It waits for somebody to work on it.
    Pending,
    /// Somebody works on it.
    Running,
    /// It came to its end.
    Succeeded,
    /// It was given up; what is left can be tried again.
    Failed,
    /// Somebody called it off; what is left can be tried again.
    Cancelled,
}

impl JobStatus {
    /// Whether nobody works on it any more.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Its name, as clients and metrics see it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A part of a job that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobFailure {
    /// What failed: `page 3`, `movie 603`.
    #[schema(example = "page 3")]
    pub item: String,
    /// Why.
    #[schema(example = "TMDB answered 500")]
    pub reason: String,
}

/// Long work and how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Job {
    /// Its id.
    pub job_id: Uuid,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands.
    pub status: JobStatus,
    /// How many items there are to do; an estimate until all pages of a list are read.
    #[schema(example = 2000)]
    pub total: i32,
    /// How many are done, well or not.
    #[schema(example = 740)]
    pub processed: i32,
    /// How many went well.
    #[schema(example = 739)]
    pub succeeded: i32,
    /// How many failed.
    #[schema(example = 1)]
    pub failed: i32,
    /// Which failed, and why; the first hundred.
    pub failures: Vec<JobFailure>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
}

/// A list of TMDB's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum MovieList {
    /// All films, the most popular first.
    Discover,
    /// Those that are popular now.
    Popular,
    /// Those of the day.
    TrendingDay,
    /// Those of the week.
    TrendingWeek,
}

impl MovieList {
    /// Its name in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discover => "discover",
            Self::Popular => "popular",
            Self::TrendingDay => "trending_day",
            Self::TrendingWeek => "trending_week",
        }
    }
}

/// A part of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// A page, from 1, of a list; once read, it becomes its films.
    Page(MovieList, u32),
    /// A film.
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

/// What was asked for, beyond the items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// How many films at most, where pages are to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_films: Option<i32>,
    /// Whether somebody waits for the end, so that a TMDB that is down is a failure at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub impatient: bool,
}
