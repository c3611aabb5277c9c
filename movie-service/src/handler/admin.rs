//! What administrators ask of the catalogue.

use axum::{Json, extract::State};
use chassis::{
    extract::{Bounded, Query},
    problem::ProblemDocument,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::{app::AppState, models::JobFailure};

/// How many pages are fetched where the client does not say.
const DEFAULT_PAGES: i64 = 5;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SyncQuery {
    /// How many pages of twenty films to fetch; 5 where not given.
    #[param(inline, required = false, example = 5)]
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
    /// What could not be had, and why.
    failures: Vec<JobFailure>,
}

/// Fetch TMDB's most popular films
///
/// Fetches pages of TMDB's films, the most popular first, each film with its details, and answers
/// when all are in the catalogue. Pages and films that TMDB does not give are listed; what the
/// catalogue has of them stays.
#[utoipa::path(
    post,
    path = "/api/v1/admin/sync",
    tag = "admin",
    params(SyncQuery),
    responses(
        (status = 200, description = "the sync has ended", body = SyncResponse),
        (status = 400, description = "`pages` is not a number from 1 to 50", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "a sync is running; `job` tells how far it is", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 502, description = "TMDB gave nothing", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn sync(
    State(state): State<AppState>,
    Query(query): Query<SyncQuery>,
) -> Result<Json<SyncResponse>, ApiError> {
    let pages = query.pages.map_or(DEFAULT_PAGES, Bounded::get);
    let report = state.sync.run(u32::try_from(pages).unwrap_or(1)).await?;
    Ok(Json(SyncResponse {
        message: "sync completed",
        movies_synced: report.movies_synced,
        pages: report.pages,
        pages_failed: report.pages_failed,
        failures: report.failures,
    }))
}
