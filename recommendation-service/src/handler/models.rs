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
    registry::{
        ModelError, Registry,
        repository::{ModelKind, ModelRow},
    },
    state::AppState,
};

/// The versions of the learned models.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelsResponse {
    /// The live version of models of own users; null if there is none.
    #[schema(example = 3)]
    live: Option<i64>,
    /// The live base model, which was fitted to a published set and serves as prior; null if there is none.
    #[schema(example = 2)]
    live_base: Option<i64>,
    /// The stored versions, newest first.
    models: Vec<ModelRow>,
}

/// The version to activate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"version": 3}))]
pub(super) struct PromoteRequest {
    /// The version; null for none.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, example = 3)]
    version: Option<i64>,
    /// The kind of the version: by default its own, and `own` if the version is null.
    #[serde(default)]
    kind: Option<ModelKind>,
}

impl ModelsResponse {
    async fn new(models: &Registry) -> Result<Self, ModelError> {
        let ([live, live_base], models) = models.list().await?;
        Ok(Self {
            live,
            live_base,
            models,
        })
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
    Ok(Json(ModelsResponse::new(&state.models).await?))
}

/// Activate a model version
///
/// Replaces the live version of the learned models of own users, or of the base model, by another one of its kind, newer
/// or older. It is checked first: a damaged one changes nothing.
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
    match request.version {
        Some(version) => state.models.activate(version, request.kind).await?,
        None => {
            let kind = request.kind.unwrap_or_default();
            state.models.deactivate(kind).await?;
        }
    }
    Ok(Json(ModelsResponse::new(&state.models).await?))
}
