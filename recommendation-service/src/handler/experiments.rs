//! The experiments: list, put, get results. For administrators.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{
    caller::Caller,
    extract::{self, Bounded, Path, Query},
    openapi::InvalidRequest,
    paging::total_pages,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    experiments::{Experiment, ExperimentDraft, report::Report},
    handler::{
        admin_rules::PageQuery,
        error::ApiError,
        responses::{ExperimentConflict, ExperimentNotFound},
    },
    state::AppState,
};

/// A page of experiments.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExperimentsResponse {
    /// The page, from 1.
    page: i64,
    /// The page size.
    page_size: i64,
    /// The number of pages.
    total_pages: i64,
    /// The number of experiments.
    total_results: i64,
    /// The experiments, newest first.
    data: Vec<Experiment>,
}

/// List experiments
///
/// Lists all experiments, running or stopped, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/experiments",
    tag = "admin",
    params(PageQuery),
    responses(
        (status = 200, description = "the experiments", body = ExperimentsResponse),
        InvalidRequest,
    )
)]
pub(super) async fn list_experiments(
    State(state): State<AppState>,
    Query(query): Query<PageQuery>,
) -> Result<Json<ExperimentsResponse>, ApiError> {
    let (page, page_size, offset) = query.place();
    let (data, total) = state.experiments.list(offset, page_size).await?;
    Ok(Json(ExperimentsResponse {
        page,
        page_size,
        total_pages: total_pages(total, page_size),
        total_results: total,
        data,
    }))
}

/// Create, change or stop an experiment
///
/// Creates the experiment of this name; changes the traffic or description of a running one; or stops it. A name that
/// is used again after a stop is another experiment, with users assigned anew. One experiment runs in a layer at a
/// time. A user is assigned by hash: the same on every replica, and the same while traffic grows.
#[utoipa::path(
    put,
    path = "/api/v1/admin/experiments",
    tag = "admin",
    request_body = ExperimentDraft,
    responses(
        (status = 200, description = "changed or stopped", body = Experiment),
        (status = 201, description = "created", body = Experiment),
        InvalidRequest, ExperimentNotFound, ExperimentConflict,
    )
)]
pub(super) async fn put_experiment(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(draft): extract::Json<ExperimentDraft>,
) -> Result<Response, ApiError> {
    let (experiment, is_new) = state.experiments.put(draft, caller.subject).await?;
    let status = if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, Json(experiment)).into_response())
}

/// Get experiment results
///
/// Returns the results of an experiment so far. The intervals are valid at any time, so results may be read repeatedly
/// and the experiment stopped when one is decided. A user counts when `outcome_window_hours` have passed since their
/// first list.
#[utoipa::path(
    get,
    path = "/api/v1/admin/experiments/{id}",
    tag = "admin",
    params(("id" = i64, Path, description = "the experiment's id", example = 1)),
    responses(
        (status = 200, description = "the experiment with its results", body = Report),
        InvalidRequest, ExperimentNotFound,
    )
)]
pub(super) async fn get_experiment(
    State(state): State<AppState>,
    Path(id): Path<Bounded<1, { i64::MAX }>>,
) -> Result<Json<Report>, ApiError> {
    Ok(Json(state.experiments.report(id.get()).await?))
}
