//! The registry of learned models.

use axum::{Json, extract::State};
use chassis::{extract, openapi::InvalidRequest};
use chrono::{DateTime, Utc};
use recommender::model_file::Manifest;
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
    models: Vec<ModelVersionResponse>,
}

/// A version of the learned models.
#[derive(Debug, Serialize, ToSchema)]
struct ModelVersionResponse {
    /// The number of the version.
    #[schema(example = 3)]
    version: i64,
    /// The time at which it was stored.
    created_at: DateTime<Utc>,
    /// True if it is live.
    is_live: bool,
    /// The size of its file in bytes.
    bytes: i64,
    /// The file's SHA-256, hexadecimal.
    sha256: String,
    /// The data it was fitted to, and its metrics.
    manifest: Manifest,
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

impl ModelsResponse {
    fn new(live: Option<i64>, rows: Vec<ModelRow>) -> Self {
        let model = |row: ModelRow| ModelVersionResponse {
            version: row.version,
            created_at: row.created_at,
            is_live: live == Some(row.version),
            bytes: row.bytes,
            sha256: row
                .sha256
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            manifest: row.manifest.0,
        };
        Self {
            live,
            models: rows.into_iter().map(model).collect(),
        }
    }
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
    let (live, rows) = state.models.list().await?;
    Ok(Json(ModelsResponse::new(live, rows)))
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
    let (live, rows) = state.models.list().await?;
    Ok(Json(ModelsResponse::new(live, rows)))
}
