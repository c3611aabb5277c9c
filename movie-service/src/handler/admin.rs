//! The endpoints that fetch movies from TMDB, by list or by id. Mounted by [`super::router`]; the work is done
//! by jobs.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    extract::{self, Bounded, Query, idempotency_key},
    jobs::{Prefer, accepted},
    problem::ProblemDocument,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{error::ApiError, jobs::location};
use crate::{
    models::{Job, JobFailure, MovieId, MovieList},
    service::intake::{FetchRequest, distinct_ids},
    state::AppState,
};

/// The default number of pages of a sync.
const DEFAULT_PAGES: i64 = 5;
/// The time that a client waits for the end of a sync; the response of a longer one is its job.
const SYNC_TIMEOUT: Duration = Duration::from_secs(105);
/// The maximum number of movies of an import.
const MAX_IMPORTED: usize = 10_000;

/// The header fields of a request that starts a job.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct JobHeaders {
    /// `respond-async`: respond with the job at once.
    #[param(rename = "Prefer", value_type = Option<String>, required = false, example = "respond-async")]
    prefer: Prefer,
    /// A request with the key of an earlier request starts no second job.
    #[param(rename = "Idempotency-Key", required = false)]
    idempotency_key: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for JobHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Ok(prefer) = Prefer::from_request_parts(parts, state).await;
        Ok(Self {
            prefer,
            idempotency_key: idempotency_key(&parts.headers)?,
        })
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SyncQuery {
    /// The number of pages of 20 movies; 5 by default.
    #[param(inline, required = false, example = 5)]
    pages: Option<Bounded<1, 50>>,
}

/// The period over which movies are trending.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimeWindow {
    /// The last day.
    #[default]
    Day,
    /// The last week.
    Week,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TrendingQuery {
    /// The period; `day` by default.
    #[param(inline, required = false, example = "day")]
    time_window: Option<TimeWindow>,
    /// The number of pages of 20 movies; 1 by default.
    #[param(inline, required = false, example = 1)]
    pages: Option<Bounded<1, 50>>,
}

/// The result of a sync.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SyncResponse {
    /// Always `sync completed`.
    #[schema(example = "sync completed")]
    message: &'static str,
    /// The number of fetched movies.
    #[schema(example = 100)]
    movies_synced: i32,
    /// The number of requested pages.
    #[schema(example = 5)]
    pages: u32,
    /// The number of pages that could not be fetched.
    #[schema(example = 0)]
    pages_failed: u32,
    /// The first hundred failures.
    failures: Vec<JobFailure>,
}

/// A request to fetch movies.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tmdb_ids": [603, 604, 605]}))]
pub(super) struct ImportRequest {
    /// The TMDB ids, 1 to 10,000 different ones.
    #[schema(value_type = Vec<i64>, min_items = 1, example = json!([603, 604, 605]))]
    tmdb_ids: Vec<Bounded<1, 2_147_483_647>>,
}

/// Sync the most popular movies
///
/// Fetches pages of TMDB's movies, the most popular first, with the details of each movie, and responds
/// when all are in the catalogue. Pages and movies that could not be fetched are listed; the catalogue
/// keeps its present version of them. With `Prefer: respond-async`, or if the sync takes too long, the
/// response is the job, which continues independently of the client.
#[utoipa::path(
    post,
    path = "/api/v1/admin/sync",
    tag = "admin",
    params(SyncQuery, JobHeaders),
    responses(
        (status = 200, description = "The sync has ended.", body = SyncResponse),
        (status = 202, description = "The job of the sync.", body = Job, headers(("Location" = String, description = "The path of the job."))),
        (status = 400, description = "`pages` is not a number from 1 to 50.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "A sync is already running; the member `job` contains it.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "The idempotency key belongs to another request.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 502, description = "No page could be fetched from TMDB.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sync(
    State(state): State<AppState>,
    Query(query): Query<SyncQuery>,
    headers: JobHeaders,
) -> Result<Response, ApiError> {
    let pages = count(query.pages, DEFAULT_PAGES);
    fetch_pages(&state, FetchRequest::sync(pages), pages, headers).await
}

/// Sync the trending movies
///
/// Like the sync of the most popular movies, with TMDB's trending movies of the day or the week.
#[utoipa::path(
    post,
    path = "/api/v1/admin/sync/trending",
    tag = "admin",
    params(TrendingQuery, JobHeaders),
    responses(
        (status = 200, description = "The sync has ended.", body = SyncResponse),
        (status = 202, description = "The job of the sync.", body = Job, headers(("Location" = String, description = "The path of the job."))),
        (status = 400, description = "A parameter is invalid.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "A sync of this kind is already running; the member `job` contains it.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "The idempotency key belongs to another request.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 502, description = "No page could be fetched from TMDB.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sync_trending(
    State(state): State<AppState>,
    Query(query): Query<TrendingQuery>,
    headers: JobHeaders,
) -> Result<Response, ApiError> {
    let list = match query.time_window.unwrap_or_default() {
        TimeWindow::Day => MovieList::TrendingDay,
        TimeWindow::Week => MovieList::TrendingWeek,
    };
    let pages = count(query.pages, 1);
    fetch_pages(&state, FetchRequest::trending(list, pages), pages, headers).await
}

/// Sync the currently popular movies
///
/// Like the sync of the most popular movies, with TMDB's list of currently popular movies.
#[utoipa::path(
    post,
    path = "/api/v1/admin/sync/popular",
    tag = "admin",
    params(SyncQuery, JobHeaders),
    responses(
        (status = 200, description = "The sync has ended.", body = SyncResponse),
        (status = 202, description = "The job of the sync.", body = Job, headers(("Location" = String, description = "The path of the job."))),
        (status = 400, description = "`pages` is not a number from 1 to 50.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "A sync of this kind is already running; the member `job` contains it.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "The idempotency key belongs to another request.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 502, description = "No page could be fetched from TMDB.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sync_popular(
    State(state): State<AppState>,
    Query(query): Query<SyncQuery>,
    headers: JobHeaders,
) -> Result<Response, ApiError> {
    let pages = count(query.pages, DEFAULT_PAGES);
    fetch_pages(&state, FetchRequest::popular(pages), pages, headers).await
}

/// Import movies by id
///
/// Fetches movies with their details, including those that are already in the catalogue. A short import
/// has ended when the response is sent; the response of a long one is a job, which continues
/// independently of the client. Ids that do not exist at TMDB are failures of the job.
#[utoipa::path(
    post,
    path = "/api/v1/movies/import",
    tag = "admin",
    params(JobHeaders),
    request_body = ImportRequest,
    responses(
        (status = 200, description = "The import has ended.", body = Job),
        (status = 202, description = "The job of the import.", body = Job, headers(("Location" = String, description = "The path of the job."))),
        (status = 400, description = "An id is invalid, or there are too many ids.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The job of an earlier request with this idempotency key has not ended.", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "The idempotency key belongs to another request.", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn import_movies(
    State(state): State<AppState>,
    headers: JobHeaders,
    extract::Json(request): extract::Json<ImportRequest>,
) -> Result<Response, ApiError> {
    let ids = request.tmdb_ids.into_iter();
    let ids = ids.filter_map(|id| MovieId::new(id.get()));
    let ids = distinct_ids(ids, MAX_IMPORTED).map_err(|error| ApiError::Invalid(vec![error]))?;
    let prefer = headers.prefer;
    let job = state
        .intake
        .start(
            FetchRequest::import(ids),
            prefer,
            headers.idempotency_key,
            state.import_wait,
        )
        .await?;
    Ok(match job.status.is_ended() {
        true => Json(job).into_response(),
        false => accepted(location(job.job_id), &job, prefer),
    })
}

fn count(pages: Option<Bounded<1, 50>>, default: i64) -> u32 {
    u32::try_from(pages.map_or(default, Bounded::get)).unwrap_or(1)
}

async fn fetch_pages(
    state: &AppState,
    request: FetchRequest,
    pages: u32,
    headers: JobHeaders,
) -> Result<Response, ApiError> {
    let prefer = headers.prefer;
    let job = state
        .intake
        .start(request, prefer, headers.idempotency_key, SYNC_TIMEOUT)
        .await?;
    if !job.status.is_ended() {
        return Ok(accepted(location(job.job_id), &job, prefer));
    }
    let fetched = state.intake.pages(job).await?;
    Ok(Json(SyncResponse {
        message: "sync completed",
        movies_synced: fetched.job.succeeded,
        pages,
        pages_failed: fetched.failed,
        failures: fetched.job.failures,
    })
    .into_response())
}
