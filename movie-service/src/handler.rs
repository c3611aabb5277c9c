//! The service's paths: a contents page. Each file below holds one resource.

mod admin;
mod error;
mod movie;
mod movies;

use std::time::Duration;

use axum::Router;
use chassis::{ProcessConfig, conditional::conditional, openapi::complete, server::time_limit};
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::AppState;

/// A sync of fifty pages waits for a thousand answers of TMDB at forty a second.
const SYNC_LIMIT: Duration = Duration::from_secs(115);
/// Answers about the catalogue may be kept for a minute, and shown for five more while asked again.
const CACHE_CONTROL: &str = "private, max-age=60, stale-while-revalidate=300";

#[derive(OpenApi)]
#[openapi(info(
    title = "Marquee: films",
    description = "The catalogue of films. This product uses the TMDB API but is not endorsed or certified by TMDB.",
    license(name = "MIT OR Apache-2.0")
))]
struct Info;

fn reading() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(movies::list_movies))
        .routes(routes!(movie::get_movie))
        .routes(routes!(movie::list_providers))
}

fn feeding() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(admin::sync))
}

/// The routes of the service.
pub fn router(state: AppState, config: &ProcessConfig) -> Router {
    let (reading, _) = reading().split_for_parts();
    let (feeding, _) = feeding().split_for_parts();
    conditional(time_limit(reading, config.request_timeout()), CACHE_CONTROL)
        .merge(time_limit(feeding, SYNC_LIMIT))
        .with_state(state)
}

/// The service's API.
#[must_use]
pub fn openapi() -> openapi::OpenApi {
    let mut document = Info::openapi();
    document.merge(reading().into_openapi());
    document.merge(feeding().into_openapi());
    complete(document)
}
