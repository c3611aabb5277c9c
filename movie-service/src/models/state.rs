//! The state of hosts and caches for administrators, as clients and services report it. Performs no I/O.

use serde::Serialize;
use utoipa::ToSchema;

/// The state of a circuit breaker.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Circuit {
    /// Requests are sent.
    Closed,
    /// One request is sent to find out.
    HalfOpen,
    /// No requests are sent, after repeated failures.
    Open,
}

impl Circuit {
    /// The state of a breaker's level: 0 closed, 1 half-open, 2 open.
    pub const fn of_level(level: u8) -> Self {
        match level {
            0 => Self::Closed,
            1 => Self::HalfOpen,
            _ => Self::Open,
        }
    }
}

/// Requests to a host of TMDB since the start of the process.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct HostState {
    /// The state of the circuit breaker.
    pub circuit: Circuit,
    /// Requests, with retries.
    #[schema(example = 1310)]
    pub requests: u64,
    /// Those of them without a valid response; 404 is one.
    #[schema(example = 2)]
    pub failures: u64,
}

/// A cache of the process.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct CacheState {
    /// The number of entries.
    #[schema(example = 649)]
    pub entries: u64,
    /// Their size in bytes.
    #[schema(example = 5_242_880)]
    pub bytes: u64,
    /// The largest size in bytes.
    #[schema(example = 67_108_864)]
    pub max_bytes: u64,
    /// Reads since the start of the process.
    #[schema(example = 4000)]
    pub reads: u64,
    /// Those of them that the cache answered.
    #[schema(example = 3900)]
    pub hits: u64,
}

/// Images of TMDB.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct ImagesState {
    /// The images on disk.
    pub cache: CacheState,
    /// TMDB's image host.
    pub host: HostState,
}
