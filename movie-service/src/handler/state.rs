//! The state of the catalogue for administrators: TMDB, the latest sync, and the caches.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::{
    models::{CacheState, HostState, ImagesState, Job},
    state::AppState,
};

/// The state of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CatalogueState {
    /// True if there is a key for TMDB.
    has_key: bool,
    /// TMDB's API.
    tmdb: HostState,
    /// The latest sync, warm pool or refresh that has ended; null if there is none within the retention of jobs.
    last_sync: Option<Job>,
    /// Movies in memory.
    movies: CacheState,
    /// Images; null if this server serves none.
    images: Option<ImagesState>,
}

/// Get the state of the catalogue
///
/// Returns the latest sync, the requests to TMDB, and the caches. Numbers are those of the process that responds.
#[utoipa::path(
    get,
    path = "/api/v1/admin/catalogue",
    tag = "admin",
    responses((status = 200, description = "The state.", body = CatalogueState))
)]
pub(super) async fn get_catalogue_state(
    State(state): State<AppState>,
) -> Result<Json<CatalogueState>, ApiError> {
    Ok(Json(CatalogueState {
        has_key: state.tmdb.has_key(),
        tmdb: state.tmdb.state(),
        last_sync: state.jobs.last_sync().await?,
        movies: state.hydration.cache_state(),
        images: state.images.state(),
    }))
}
