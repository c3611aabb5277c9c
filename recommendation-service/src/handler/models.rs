//! The registry of learned models.

use axum::{Json, extract::State};
use chassis::{extract, openapi::InvalidRequest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    handler::{
        error::ApiError,
        responses::{ModelNotFound, ModelUnusable},
    },
    registry::repository::ModelRow,
    state::AppState,
};

/// The versions of the learned models.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelsResponse {
    /// The live version; null while the rules rank alone.
    #[schema(example = 3)]
    live: Option<i64>,
    /// The stored versions, newest first.
    models: Vec<ModelRow>,
}

/// The version to activate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"version": 3}))]
pub(super) struct PromoteRequest {
    /// The version; null for none, so that the rules rank alone.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, example = 3)]
    version: Option<i64>,
}

/// List model versions
///
/// Lists the stored versions of the learned models, newest first, with the data they were fitted to and their metrics
/// on held-out interactions.
#[utoipa::path(
    get,
    path = "/api/v1/admin/models",
    tag = "admin",
    responses((status = 200, description = "the versions", body = ModelsResponse))
)]
pub(super) async fn list_models(
    State(state): State<AppState>,
) -> Result<Json<ModelsResponse>, ApiError> {
    let (live, models) = state.models.list().await?;
    Ok(Json(ModelsResponse { live, models }))
}

/// Activate a model version
///
/// Replaces the live version of the learned models by another one, newer or older. It is checked first: a damaged one
/// changes nothing.
#[utoipa::path(
    put,
    path = "/api/v1/admin/models/live",
    tag = "admin",
    request_body = PromoteRequest,
    responses(
        (status = 200, description = "the versions after the change", body = ModelsResponse),
        InvalidRequest, ModelNotFound, ModelUnusable,
    )
)]
pub(super) async fn update_live_model(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<PromoteRequest>,
) -> Result<Json<ModelsResponse>, ApiError> {
    state.models.activate(request.version).await?;
    let (live, models) = state.models.list().await?;
    Ok(Json(ModelsResponse { live, models }))
}
