//! What administrators ask of the catalogue: films from TMDB, by list or by id.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chassis::{
    extract::{self, Bounded, Query},
    problem::ProblemDocument,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{error::ApiError, wish::Wanted};
use crate::{
    models::{Job, JobFailure, MovieId, MovieList},
    service::intake::{Answer, Request, distinct_ids},
    state::AppState,
};

/// How many pages are fetched where the client does not say.
const DEFAULT_PAGES: i64 = 5;
/// How long a client waits for the end of a sync; one that takes longer is told of the job instead.
const LONGEST_SYNC: Duration = Duration::from_secs(105);
/// How many films one import may have.
const MOST_IMPORTED: usize = 10_000;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SyncQuery {
    /// How many pages of twenty films to fetch; 5 where not given.
    #[param(inline, required = false, example = 5)]
    pages: Option<Bounded<1, 50>>,
}

/// The time over which films are trending.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum TimeWindow {
    /// Since yesterday.
    #[default]
    Day,
    /// Since a week ago.
    Week,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TrendingQuery {
    /// Over which time; `day` where not given.
    #[param(inline, required = false, example = "day")]
    time_window: Option<TimeWindow>,
    /// How many pages of twenty films to fetch; 1 where not given.
    #[param(inline, required = false, example = 1)]
    pages: Option<Bounded<1, 50>>,
}

/// What a sync did.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SyncResponse {
    /// Always `sync completed`.
    #[schema(example = "sync completed")]
    message: &'static str,
    /// Films fetched.
    #[schema(example = 100)]
    movies_synced: i32,
    /// Pages asked for.
    #[schema(example = 5)]
    pages: u32,
    /// Pages that TMDB did not give.
    #[schema(example = 0)]
    pages_failed: u32,
    /// What could not be had, and why; the first hundred.
    failures: Vec<JobFailure>,
}

/// Films to fetch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"tmdb_ids": [603, 604, 605]}))]
pub(super) struct ImportRequest {
    /// TMDB's ids of the films, 1 to 10,000 different ones.
    #[schema(value_type = Vec<i64>, min_items = 1, example = json!([603, 604, 605]))]
    tmdb_ids: Vec<Bounded<1, 2_147_483_647>>,
}

/// Fetch TMDB's most popular films
///
/// Fetches pages of TMDB's films, the most popular first, each film with its details, and answers
/// when all are in the catalogue. Pages and films that TMDB does not give are listed; what the
/// catalogue has of them stays. With `Prefer: respond-async`, or if it takes too long, the answer is
/// the job instead, which goes on whatever happens to whoever asked for it.
#[utoipa::path(
    post,
    path = "/api/v1/admin/sync",
    tag = "admin",
    params(
        SyncQuery,
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer with the job at once", example = "respond-async"),
        ("Idempotency-Key" = Option<String>, Header, description = "the same key again begins nothing anew"),
    ),
    responses(
        (status = 200, description = "the sync has ended", body = SyncResponse),
        (status = 202, description = "the sync goes on", body = Job, headers(("Location" = String, description = "of the job"))),
        (status = 400, description = "`pages` is not a number from 1 to 50", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "a sync is running; `job` tells how far it is", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "the Idempotency-Key stands for another request", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 502, description = "TMDB gave nothing", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sync(
    State(state): State<AppState>,
    Query(query): Query<SyncQuery>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let pages = count(query.pages, DEFAULT_PAGES);
    fetch_pages(&state, Request::sync(pages), pages, wanted).await
}

/// Fetch the films that are trending
///
/// As the sync, of the films that people look at on TMDB today or this week.
#[utoipa::path(
    post,
    path = "/api/v1/admin/sync/trending",
    tag = "admin",
    params(
        TrendingQuery,
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer with the job at once", example = "respond-async"),
        ("Idempotency-Key" = Option<String>, Header, description = "the same key again begins nothing anew"),
    ),
    responses(
        (status = 200, description = "the sync has ended", body = SyncResponse),
        (status = 202, description = "the sync goes on", body = Job, headers(("Location" = String, description = "of the job"))),
        (status = 400, description = "a parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "one is running; `job` tells how far it is", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "the Idempotency-Key stands for another request", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 502, description = "TMDB gave nothing", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sync_trending(
    State(state): State<AppState>,
    Query(query): Query<TrendingQuery>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let list = match query.time_window.unwrap_or_default() {
        TimeWindow::Day => MovieList::TrendingDay,
        TimeWindow::Week => MovieList::TrendingWeek,
    };
    let pages = count(query.pages, 1);
    fetch_pages(&state, Request::trending(list, pages), pages, wanted).await
}

/// Fetch the films that are popular now
///
/// As the sync, of TMDB's list of popular films.
#[utoipa::path(
    post,
    path = "/api/v1/admin/sync/popular",
    tag = "admin",
    params(
        SyncQuery,
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer with the job at once", example = "respond-async"),
        ("Idempotency-Key" = Option<String>, Header, description = "the same key again begins nothing anew"),
    ),
    responses(
        (status = 200, description = "the sync has ended", body = SyncResponse),
        (status = 202, description = "the sync goes on", body = Job, headers(("Location" = String, description = "of the job"))),
        (status = 400, description = "`pages` is not a number from 1 to 50", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "one is running; `job` tells how far it is", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "the Idempotency-Key stands for another request", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 502, description = "TMDB gave nothing", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sync_popular(
    State(state): State<AppState>,
    Query(query): Query<SyncQuery>,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let pages = count(query.pages, DEFAULT_PAGES);
    fetch_pages(&state, Request::popular(pages), pages, wanted).await
}

/// Fetch films by their ids
///
/// Fetches films with their details, whether or not the catalogue has them. A few are there when the
/// answer comes; many are a job, which goes on whatever happens to whoever asked for it. Ids that TMDB
/// does not know are failures of the job.
#[utoipa::path(
    post,
    path = "/api/v1/movies/import",
    tag = "admin",
    params(
        ("Prefer" = Option<String>, Header, description = "`respond-async`: answer with the job at once", example = "respond-async"),
        ("Idempotency-Key" = Option<String>, Header, description = "the same key again begins nothing anew"),
    ),
    request_body = ImportRequest,
    responses(
        (status = 200, description = "the import has ended", body = Job),
        (status = 202, description = "the import goes on", body = Job, headers(("Location" = String, description = "of the job"))),
        (status = 400, description = "an id is not one, or there are too many", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the request with this Idempotency-Key is not done yet", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 422, description = "the Idempotency-Key stands for another request", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn import_movies(
    State(state): State<AppState>,
    wanted: Wanted,
    extract::Json(request): extract::Json<ImportRequest>,
) -> Result<Response, ApiError> {
    let ids = request.tmdb_ids.into_iter();
    let ids = ids.filter_map(|id| MovieId::new(id.get()));
    let ids = distinct_ids(ids, MOST_IMPORTED).map_err(|error| ApiError::Invalid(vec![error]))?;
    let answer = state
        .intake
        .begin(Request::import(ids), &wanted.0, state.import_wait)
        .await?;
    Ok(match answer {
        Answer::Done(job) => Json(job).into_response(),
        Answer::UnderWay(job) => under_way(&job, &wanted),
    })
}

fn count(pages: Option<Bounded<1, 50>>, default: i64) -> u32 {
    u32::try_from(pages.map_or(default, Bounded::get)).unwrap_or(1)
}

async fn fetch_pages(
    state: &AppState,
    request: Request,
    pages: u32,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let answer = state.intake.begin(request, &wanted.0, LONGEST_SYNC).await?;
    let job = match answer {
        Answer::Done(job) => job,
        Answer::UnderWay(job) => return Ok(under_way(&job, &wanted)),
    };
    let brought = state.intake.pages(job).await?;
    Ok(Json(SyncResponse {
        message: "sync completed",
        movies_synced: brought.job.succeeded,
        pages,
        pages_failed: brought.failed,
        failures: brought.job.failures,
    })
    .into_response())
}

/// 202, and where to look.
fn under_way(job: &Job, wanted: &Wanted) -> Response {
    let location = format!("/api/v1/jobs/{}", job.job_id);
    let mut response = (
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(job),
    )
        .into_response();
    if wanted.0.respond_async {
        let applied = header::HeaderValue::from_static("respond-async");
        response.headers_mut().insert("preference-applied", applied);
    }
    response
}
