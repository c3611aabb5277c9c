//! Long work: how far it is, called off, tried again.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use chassis::{
    extract::{AcceptsEventStream, Bounded, Path, Query},
    problem::ProblemDocument,
};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::error::ApiError;
use crate::{
    models::Job,
    service::{intake::Intake, jobs::Moved},
    state::AppState,
};

/// How many jobs are listed where the client does not say.
const DEFAULT_LIMIT: i64 = 20;
/// A stream of events ends after this long; its reader comes again by itself.
const LONGEST_STREAM: Duration = Duration::from_secs(600);
/// A stream says that it is alive this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct JobsQuery {
    /// How many jobs to list; 20 where not given.
    #[param(inline, required = false, example = 20)]
    limit: Option<Bounded<1, 100>>,
}

/// Jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JobsResponse {
    /// The newest first.
    jobs: Vec<Job>,
}

/// List jobs
///
/// The latest jobs, the newest first. Those that ended a month ago are forgotten.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    tag = "admin",
    params(JobsQuery),
    responses(
        (status = 200, description = "the jobs", body = JobsResponse),
        (status = 400, description = "`limit` is not a number from 1 to 100", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_jobs(
    State(state): State<AppState>,
    Query(query): Query<JobsQuery>,
) -> Result<Json<JobsResponse>, ApiError> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let jobs = state.intake.jobs(limit).await?;
    Ok(Json(JobsResponse { jobs }))
}

/// Get a job
///
/// How far a job is. With `Accept: text/event-stream`, an event named `job` whenever it moves, the same
/// as the answer otherwise, until it has ended; a reader whose stream ends earlier comes again.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{id}",
    tag = "admin",
    params(("id" = Uuid, Path, description = "the job's id", example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")),
    responses(
        (status = 200, description = "the job", content((Job = "application/json"), (String = "text/event-stream"))),
        (status = 204, description = "the job has ended, and `Last-Event-ID` says that the reader of events knows"),
        (status = 400, description = "the id is not a UUID", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such job", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_job(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    AcceptsEventStream(wants_events): AcceptsEventStream,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = state.intake.job(id).await?;
    if !wants_events {
        return Ok(Json(job).into_response());
    }
    let known = headers.get("last-event-id").and_then(|v| v.to_str().ok());
    if job.status.is_ended() && known == Some(event_id(&job).as_str()) {
        // The only answer after which a reader of events does not come again.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = events(state.intake.clone(), job);
    let mut response = Sse::new(events)
        .keep_alive(KeepAlive::new().interval(HEARTBEAT))
        .into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    Ok(response)
}

/// Cancel a job
///
/// Calls a job off; what is done stays. One that is called off already stays so.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/cancel",
    tag = "admin",
    params(("id" = Uuid, Path, description = "the job's id", example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")),
    responses(
        (status = 200, description = "the job", body = Job),
        (status = 400, description = "the id is not a UUID", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such job", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "it has ended already; `job` tells how", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn cancel_job(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> Result<Json<Job>, ApiError> {
    Ok(Json(state.intake.cancel(id).await?))
}

/// Try a job again
///
/// Sets a job that has ended going again: what was left undone, and what failed.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{id}/retry",
    tag = "admin",
    params(("id" = Uuid, Path, description = "the job's id", example = "0192f0c1-2b7a-7c52-a3b1-0d1f8a1f2c3d")),
    responses(
        (status = 202, description = "the job goes on", body = Job, headers(("Location" = String, description = "of the job"))),
        (status = 400, description = "the id is not a UUID", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such job", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "it has not ended, or another of its kind is running; `job` tells how far", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn retry_job(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
) -> Result<Response, ApiError> {
    let job = state.intake.retry(id).await?;
    let location = format!("/api/v1/jobs/{id}");
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(job),
    )
        .into_response())
}

/// Changes with every step of the job.
fn event_id(job: &Job) -> String {
    format!(
        "{}-{}-{}",
        job.status.name(),
        job.processed,
        job.updated_at.timestamp_micros()
    )
}

struct Watch {
    intake: Intake,
    moved: Moved,
    /// What is to be told next.
    next: Option<Job>,
    /// What was told last.
    told: Job,
    until: Instant,
}

/// The job as it is, then whenever it moves, until it has ended.
fn events(intake: Intake, job: Job) -> impl Stream<Item = Result<Event, Infallible>> {
    let watch = Watch {
        moved: intake.moved(),
        intake,
        next: Some(job.clone()),
        told: job,
        until: Instant::now() + LONGEST_STREAM,
    };
    stream::unfold(watch, |mut watch| async move {
        let job = match watch.next.take() {
            Some(job) => job,
            None => watch.next_change().await?,
        };
        let event = Event::default()
            .event("job")
            .id(event_id(&job))
            .json_data(&job)
            .unwrap_or_default();
        watch.told = job;
        Some((Ok(event), watch))
    })
}

impl Watch {
    async fn next_change(&mut self) -> Option<Job> {
        while !self.told.status.is_ended() && Instant::now() < self.until {
            self.moved.next().await;
            if self.moved.is_stopping() {
                return None;
            }
            match self.intake.job(self.told.job_id).await {
                Ok(job) if job != self.told => return Some(job),
                Ok(_) => {}
                // The reader comes again, when Postgres has.
                Err(_) => return None,
            }
        }
        None
    }
}
