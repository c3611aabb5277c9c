//! The endpoints of jobs: list, get with progress, cancel, retry. Mounted by [`super::router`].

use axum::{Json, extract::State, response::Response};
use chassis::{
    extract::{Path, Query},
    jobs::{LimitQuery, Prefer, ProgressRequest, accepted},
    openapi::{InvalidId, InvalidRequest},
};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

use super::error::{ApiError, JobNotFound, OtherStatus};
use crate::{models::Job, state::AppState};

/// A list of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobsResponse {
    /// The jobs, the newest first.
    jobs: Vec<Job>,
}

/// The job, which has not ended.
#[derive(IntoResponses)]
#[response(status = 202, headers(("Location" = String, description = "The path of the job.")))]
#[expect(dead_code, reason = "describes a response")]
pub(super) struct JobAccepted(Job);

/// List jobs
///
/// Returns the latest jobs, the newest first. Jobs are deleted 30 days after their end.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    tag = "admin",
    params(LimitQuery),
    responses((status = 200, description = "The jobs.", body = JobsResponse), InvalidRequest)
)]
pub(super) async fn list_jobs(
    State(state): State<AppState>,
    Query(query): Query<LimitQuery>,
) -> Result<Json<JobsResponse>, ApiError> {
    let jobs = state.jobs.list(query.get()).await?;
    Ok(Json(JobsResponse { jobs }))
}

/// Get a job
///
/// Returns a job with its progress. With `Accept: text/event-stream`, returns an event named `job` with
/// the same body after each progress, until the job has ended; a client whose stream ends earlier reconnects.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The id of the job.", example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")),
    responses(
        (status = 200, description = "The job.", content((Job = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "The job has ended, and `Last-Event-ID` names its last event."),
        InvalidId, JobNotFound,
    )
)]
pub(super) async fn get_job(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    request: ProgressRequest,
) -> Result<Response, ApiError> {
    let jobs = state.jobs.clone();
    let job = jobs.get(id).await?;
    let changes = jobs.changes();
    Ok(request.respond(job, changes, move || {
        let jobs = jobs.clone();
        async move { jobs.get(id).await.ok() }
    }))
}

/// Cancel a job
///
/// Stops a job; processed items are kept. Cancelling a cancelled job has no effect.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/cancel",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The id of the job.", example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")),
    responses((status = 200, description = "The job.", body = Job), InvalidId, JobNotFound, OtherStatus)
)]
pub(super) async fn cancel_job(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(state.jobs.cancel(id).await?))
}

/// Retry a job
///
/// Starts a job that has ended again, with its remaining and its failed items.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/retry",
    tag = "admin",
    params(("id" = Uuid, Path, description = "The id of the job.", example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")),
    responses(JobAccepted, InvalidId, JobNotFound, OtherStatus)
)]
pub(super) async fn retry_job(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let job = state.jobs.retry(id).await?;
    Ok(accepted(location(id), &job, Prefer::default()))
}

/// The path of job `id`.
pub(super) fn location(id: Uuid) -> String {
    format!("/api/v1/jobs/{id}")
}
