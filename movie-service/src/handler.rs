//! The routes of the service; each module below holds one resource. Handlers decode requests and encode responses;
//! decisions are made in [`crate::service`].

mod admin;
mod error;
mod genres;
mod images;
mod jobs;
mod language;
mod matching;
mod movie;
pub mod movies;
mod search;
mod select;
mod state;

use std::time::Duration;

use axum::{
    Router,
    extract::Request,
    extract::State,
    http::StatusCode,
    middleware::{Next, from_fn_with_state},
    response::Response,
    routing::post,
};
use chassis::{
    ProcessConfig,
    audit::{AuditLog, audited},
    conditional::conditional,
    openapi::complete,
    server::time_limit,
};
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{service::listing::Listing, state::AppState};

/// Fifty pages take a thousand requests to TMDB at forty a second.
const SYNC_TIMEOUT: Duration = Duration::from_secs(115);
/// TMDB gives every image a name of its own.
const IMAGE_CACHE_CONTROL: &str = "public, max-age=31536000, immutable";
/// Every caller gets the same. The gateway lets only the clients' own caches store it, since others do not authenticate.
const CACHE_CONTROL: &str = "public, max-age=60, stale-while-revalidate=300, stale-if-error=3600";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Marquee: films",
        description = "The movie catalogue. This product uses the TMDB API but is not endorsed or certified by TMDB."
    ),
    tags(
        (name = "movies", description = "The movie catalogue."),
        (name = "search", description = "Search of movies, people and keywords."),
        (name = "admin", description = "For administrators."),
    )
)]
struct Info;

/// The documented routes: of the catalogue, of search, of syncs, of imports, of jobs, of images.
fn routes() -> [OpenApiRouter<AppState>; 6] {
    [
        OpenApiRouter::new()
            .routes(routes!(movies::list_movies))
            .routes(routes!(genres::list_genres))
            .routes(routes!(movie::get_movie))
            .routes(routes!(movie::list_providers)),
        OpenApiRouter::new()
            .routes(routes!(search::search_movies))
            .routes(routes!(search::suggest))
            .routes(routes!(search::list_popular))
            .routes(routes!(search::people::search_people))
            .routes(routes!(search::people::get_person))
            .routes(routes!(search::people::search_keywords)),
        OpenApiRouter::new()
            .routes(routes!(admin::sync))
            .routes(routes!(admin::sync_trending))
            .routes(routes!(admin::sync_popular)),
        OpenApiRouter::new().routes(routes!(admin::import_movies)),
        OpenApiRouter::new()
            .routes(routes!(state::get_catalogue_state))
            .routes(routes!(jobs::list_jobs))
            .routes(routes!(jobs::get_job))
            .routes(routes!(jobs::cancel_job))
            .routes(routes!(jobs::retry_job)),
        OpenApiRouter::new().routes(routes!(images::get_image)),
    ]
}

/// Endpoints for other services; the gateway does not route to them.
fn internal() -> Router<AppState> {
    Router::new()
        .route("/internal/v1/movies/select", post(select::select_movies))
        .route("/internal/v1/movies/match", post(matching::match_movies))
}

/// Delays the response to a completed change until lists show it.
async fn show_in_lists(State(listing): State<Listing>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    // 202: the job is still running.
    if response.status() == StatusCode::OK {
        listing.catch_up().await;
    }
    response
}

/// Builds the router.
pub fn router(state: AppState, config: &ProcessConfig, audit: AuditLog) -> Router {
    let timeout = config.request_timeout();
    let shown_in_lists = from_fn_with_state(state.listing.clone(), show_in_lists);
    let [catalogue, searches, syncs, imports, jobs, images] = routes();
    let catalogue = time_limit(catalogue.into(), timeout);
    let recorded = from_fn_with_state(audit, audited);
    let syncs = syncs.layer(shown_in_lists.clone());
    let syncs = syncs.route_layer(recorded.clone()).into();
    let imports = imports.layer(shown_in_lists).merge(jobs);
    let imports = imports.route_layer(recorded).into();
    let images = time_limit(images.into(), timeout);
    conditional(catalogue, CACHE_CONTROL)
        .merge(conditional(images, IMAGE_CACHE_CONTROL))
        .merge(time_limit(syncs, SYNC_TIMEOUT))
        .merge(time_limit(searches.into(), timeout))
        .merge(time_limit(imports, timeout))
        .merge(time_limit(internal(), timeout))
        .with_state(state)
}

/// Builds the OpenAPI document.
pub fn openapi() -> openapi::OpenApi {
    let mut document = Info::openapi();
    for group in routes() {
        document.merge(group.into_openapi());
    }
    complete(document)
}
