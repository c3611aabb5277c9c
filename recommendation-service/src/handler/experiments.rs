//! Experiments: made, changed, stopped, and what may be said of them.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chassis::{
    extract::{self, Bounded, Path, Query},
    paging::total_pages,
    problem::ProblemDocument,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    experiments::{Experiment, ExperimentDraft, report::Report},
    handler::{admin_rules::PageQuery, caller::Caller, error::ApiError},
    state::AppState,
};

/// A page of experiments.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ExperimentsResponse {
    /// Which page it is.
    page: i64,
    /// How many entries a page has.
    page_size: i64,
    /// How many pages there are.
    total_pages: i64,
    /// How many experiments there are.
    total_results: i64,
    /// The newest first.
    data: Vec<Experiment>,
}

/// List experiments
///
/// All experiments, running or stopped, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/admin/experiments",
    tag = "admin",
    params(PageQuery),
    responses(
        (status = 200, description = "the experiments", body = ExperimentsResponse),
        (status = 400, description = "a parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
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

/// Put an experiment
///
/// Creates the experiment of this name; changes the traffic or description of one that runs; or stops it.
/// A name that is used again after a stop is another experiment, with users dealt out anew. One
/// experiment runs in a layer at a time. Who takes part, and in which variant, follows from a hash of the
/// user: it is the same on every replica and stays while traffic grows.
#[utoipa::path(
    put,
    path = "/api/v1/admin/experiments",
    tag = "admin",
    request_body = ExperimentDraft,
    responses(
        (status = 200, description = "it was there", body = Experiment),
        (status = 201, description = "it is new", body = Experiment),
        (status = 400, description = "a field is wrong", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "what should be stopped is not there", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "another runs in the layer, or a field cannot change while it runs", body = ProblemDocument, content_type = "application/problem+json"),
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

/// Get an experiment
///
/// What may be said of an experiment now. The intervals are valid at any time, so one may look as often as
/// one likes and stop when one is decided. A user counts when `outcome_window_hours` are over since
/// their first list.
#[utoipa::path(
    get,
    path = "/api/v1/admin/experiments/{id}",
    tag = "admin",
    params(("id" = i64, Path, description = "the experiment's id", example = 1)),
    responses(
        (status = 200, description = "the experiment with its results", body = Report),
        (status = 400, description = "the id is not a number", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such experiment", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn get_experiment(
    State(state): State<AppState>,
    Path(id): Path<Bounded<1, { i64::MAX }>>,
) -> Result<Json<Report>, ApiError> {
    Ok(Json(state.experiments.report(id.get()).await?))
}
