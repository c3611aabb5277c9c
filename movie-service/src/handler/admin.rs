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
    openapi::{IdempotencyKeyReused, InvalidRequest},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    error::{ApiError, JobRunning, TmdbFailed},
    jobs::{JobAccepted, location},
};
use crate::{
    models::{Job, JobFailure, JobKind, MovieId, MovieList},
    service::jobs::FetchRequest,
    state::AppState,
};

/// The time that a client waits for the end of a sync; the response of a longer one is its job.
const SYNC_TIMEOUT: Duration = Duration::from_secs(105);
/// The maximum number of movies of an import.
const MAX_IMPORTED: usize = 10_000;

/// The header fields of a request that starts a job.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct JobHeaders {
    /// `respond-async`: respond with the job immediately.
    #[param(rename = "Prefer", value_type = Option<String>, required = false, example = "respond-async")]
    prefer: Prefer,
    /// A request with the key of an earlier request starts no second job.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        example = "b3f1c2d4-sync-today"
    )]
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
    /// The number of pages of 20 movies.
    #[param(inline, required = false, default = 5, example = 2)]
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
    /// The period.
    #[param(inline, required = false, default = "day", example = "week")]
    time_window: Option<TimeWindow>,
    /// The number of pages of 20 movies.
    #[param(inline, required = false, default = 1, example = 2)]
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
    #[schema(inline, min_items = 1, max_items = 10_000, example = json!([603, 604, 605]))]
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
        JobAccepted, InvalidRequest, JobRunning, IdempotencyKeyReused, TmdbFailed,
    )
)]
pub(super) async fn sync(
    State(state): State<AppState>,
    Query(SyncQuery { pages }): Query<SyncQuery>,
    headers: JobHeaders,
) -> Result<Response, ApiError> {
    let list = MovieList::Discover;
    fetch_pages(&state, JobKind::Sync, list, count(pages, 5), headers).await
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
        JobAccepted, InvalidRequest, JobRunning, IdempotencyKeyReused, TmdbFailed,
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
    fetch_pages(&state, JobKind::Trending, list, pages, headers).await
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
        JobAccepted, InvalidRequest, JobRunning, IdempotencyKeyReused, TmdbFailed,
    )
)]
pub(super) async fn sync_popular(
    State(state): State<AppState>,
    Query(SyncQuery { pages }): Query<SyncQuery>,
    headers: JobHeaders,
) -> Result<Response, ApiError> {
    let list = MovieList::Popular;
    fetch_pages(&state, JobKind::Popular, list, count(pages, 5), headers).await
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
        JobAccepted, InvalidRequest, JobRunning, IdempotencyKeyReused,
    )
)]
pub(super) async fn import_movies(
    State(state): State<AppState>,
    headers: JobHeaders,
    extract::Json(request): extract::Json<ImportRequest>,
) -> Result<Response, ApiError> {
    let ids = request.tmdb_ids.into_iter();
    let ids = ids.filter_map(|id| MovieId::new(id.get()));
    let request = FetchRequest::import(ids, MAX_IMPORTED);
    let request = request.map_err(|error| ApiError::Invalid(vec![error]))?;
    match fetch(&state, request, headers, state.import_wait).await? {
        Ok(job) => Ok(Json(job).into_response()),
        Err(accepted) => Ok(accepted),
    }
}

fn count(pages: Option<Bounded<1, 50>>, default: i64) -> u32 {
    u32::try_from(pages.map_or(default, Bounded::get)).unwrap_or(1)
}

/// Starts a job; returns it if it ended within `timeout`, and else the response that it is accepted.
async fn fetch(
    state: &AppState,
    request: FetchRequest,
    headers: JobHeaders,
    timeout: Duration,
) -> Result<Result<Job, Response>, ApiError> {
    let (prefer, key) = (headers.prefer, headers.idempotency_key);
    let job = state.jobs.fetch(request, prefer, key, timeout).await?;
    Ok(match job.status.is_ended() {
        true => Ok(job),
        false => Err(accepted(location(job.job_id), &job, prefer)),
    })
}

async fn fetch_pages(
    state: &AppState,
    kind: JobKind,
    list: MovieList,
    pages: u32,
    headers: JobHeaders,
) -> Result<Response, ApiError> {
    let request = FetchRequest::pages(kind, list, pages);
    let job = match fetch(state, request, headers, SYNC_TIMEOUT).await? {
        Ok(job) => job,
        Err(accepted) => return Ok(accepted),
    };
    Ok(Json(SyncResponse {
        message: "sync completed",
        movies_synced: job.succeeded,
        pages,
        pages_failed: state.jobs.count_failed_pages(&job).await?,
        failures: job.failures.0,
    })
    .into_response())
}
