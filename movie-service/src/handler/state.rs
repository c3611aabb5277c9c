//! The state of the catalogue for administrators: TMDB, the latest sync, and the caches.

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ApiError;
use crate::{models::Job, state::AppState};

/// The state of a circuit breaker.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Circuit {
    /// Requests are sent.
    Closed,
    /// One request is sent to find out.
    HalfOpen,
    /// No requests are sent, after repeated failures.
    Open,
}

impl Circuit {
    fn new(level: u8) -> Self {
        match level {
            0 => Self::Closed,
            1 => Self::HalfOpen,
            _ => Self::Open,
        }
    }
}

/// Requests to a host of TMDB since the start of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct HostState {
    /// The state of the circuit breaker.
    circuit: Circuit,
    /// Requests, with retries.
    #[schema(example = 1310)]
    requests: u64,
    /// Those of them without a valid response; 404 is one.
    #[schema(example = 2)]
    failures: u64,
}

/// A cache of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CacheState {
    /// The number of entries.
    #[schema(example = 649)]
    entries: u64,
    /// Their size in bytes.
    #[schema(example = 5_242_880)]
    bytes: u64,
    /// The largest size in bytes.
    #[schema(example = 67_108_864)]
    max_bytes: u64,
    /// Reads since the start of the process.
    #[schema(example = 4000)]
    reads: u64,
    /// Those of them that the cache answered.
    #[schema(example = 3900)]
    hits: u64,
}

/// Images of TMDB.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ImagesState {
    /// The images on disk.
    cache: CacheState,
    /// TMDB's image host.
    host: HostState,
}

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
    let (requests, failures) = state.tmdb.counts();
    let movies = state.hydration.counts();
    Ok(Json(CatalogueState {
        has_key: state.tmdb.has_key(),
        tmdb: HostState {
            circuit: Circuit::new(state.tmdb.breaker_level()),
            requests,
            failures,
        },
        last_sync: state.jobs.last_sync().await?,
        movies: CacheState {
            entries: movies.movies,
            bytes: movies.bytes,
            max_bytes: movies.max_bytes,
            reads: movies.reads,
            hits: movies.hits,
        },
        images: state.images.counts().map(|images| ImagesState {
            cache: CacheState {
                entries: images.files,
                bytes: images.bytes,
                max_bytes: images.max_bytes,
                reads: images.reads,
                hits: images.hits,
            },
            host: HostState {
                circuit: Circuit::new(images.breaker),
                requests: images.fetches,
                failures: images.failures,
            },
        }),
    }))
}
