//! Long work and how far it is.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

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
    /// It was given up.
    Failed,
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
    #[schema(example = "sync")]
    pub kind: String,
    /// Where it stands.
    pub status: JobStatus,
    /// How many items there are to do.
    pub total: i32,
    /// How many are done, well or not.
    pub processed: i32,
    /// How many went well.
    pub succeeded: i32,
    /// How many failed.
    pub failed: i32,
    /// Which failed, and why; the first hundred.
    pub failures: Vec<JobFailure>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
}
