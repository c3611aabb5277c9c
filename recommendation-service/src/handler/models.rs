//! The versions of the learned models, and which of them is live.

use axum::{Json, extract::State};
use chassis::{extract, problem::ProblemDocument};
use chrono::{DateTime, Utc};
use recommender::model_file::Manifest;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use crate::{app::AppState, repository::models::ModelRow};

/// The versions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelsResponse {
    /// The version that is live; null while the rules work alone.
    #[schema(example = 3)]
    live: Option<i64>,
    /// Those that are kept, newest first.
    models: Vec<ModelResponse>,
}

/// A version of the learned models.
#[derive(Debug, Serialize, ToSchema)]
struct ModelResponse {
    /// Its number.
    #[schema(example = 3)]
    version: i64,
    /// When it was written.
    created_at: DateTime<Utc>,
    /// Whether it is live.
    is_live: bool,
    /// How long its file is.
    bytes: i64,
    /// The file's SHA-256, hexadecimal.
    sha256: String,
    /// What it was made from, and how good it is.
    manifest: Manifest,
}

/// Which version is to be live.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"version": 3}))]
pub(super) struct PromoteRequest {
    /// Its number; null: the rules work alone.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true, example = 3)]
    version: Option<i64>,
}

impl ModelsResponse {
    fn new(live: Option<i64>, rows: Vec<ModelRow>) -> Self {
        let model = |row: ModelRow| ModelResponse {
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

/// List the versions of the models
///
/// The versions of the learned models that are kept, newest first, with what they were made from and what
/// they reached on films that were held out.
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

/// Make a version live
///
/// Puts a version of the learned models in the place of the one that is live, be it newer or older. It is
/// checked first: one that is damaged changes nothing.
#[utoipa::path(
    put,
    path = "/api/v1/admin/models/live",
    tag = "admin",
    request_body = PromoteRequest,
    responses(
        (status = 200, description = "the versions, as they are now", body = ModelsResponse),
        (status = 400, description = "`version` is not a number or null", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "no version has this number", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "the version is damaged", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn update_live_model(
    State(state): State<AppState>,
    extract::Json(request): extract::Json<PromoteRequest>,
) -> Result<Json<ModelsResponse>, ApiError> {
    state.models.promote(request.version).await?;
    let (live, rows) = state.models.list().await?;
    Ok(Json(ModelsResponse::new(live, rows)))
}
