//! The service's paths: a contents page. Each file below holds one resource.

mod api_keys;
mod auth;
mod batch;
mod bookmarks;
mod caller;
mod charts;
mod error;
mod idempotency;
mod imports;
mod interactions;
mod own_data;
mod preferences;
mod ratings;
mod reactions;
mod stats;
mod taste;
mod user_movie;
mod users;
mod watch;

use std::time::Duration;

use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn_with_state, routing::get};
use chassis::{ProcessConfig, conditional::conditional, openapi::complete, server::time_limit};
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

/// Signing keys are published for longer than this before they sign.
const KEYS_CACHE: &str = "public, max-age=300";
/// Counters may be a little behind.
const STATS_CACHE: &str = "private, max-age=5";
/// Charts are live: whoever keeps one asks whether it still stands.
const CHARTS_CACHE: &str = "private, max-age=1, stale-while-revalidate=10";

/// How long the files of a history may be on their way.
const IMPORT_LIMIT: Duration = Duration::from_secs(110);

#[derive(OpenApi)]
#[openapi(info(
    title = "Marquee: people",
    description = "Users, what they say they like, and what they do with films.",
    license(name = "MIT OR Apache-2.0")
))]
struct Info;

fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(
            users::get_user,
            users::change_user,
            own_data::erase_user
        ))
        .routes(routes!(auth::log_in))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::log_out))
        .routes(routes!(auth::me))
        .routes(routes!(api_keys::list_api_keys, api_keys::create_api_key))
        .routes(routes!(api_keys::delete_api_key))
        .routes(routes!(
            reactions::get_reaction,
            reactions::set_reaction,
            reactions::remove_reaction
        ))
        .routes(routes!(own_data::export_user))
        .routes(routes!(reactions::list_reactions))
        .routes(routes!(bookmarks::set_bookmark, bookmarks::remove_bookmark))
        .routes(routes!(bookmarks::list_bookmarks))
        .routes(routes!(
            ratings::get_rating,
            ratings::set_rating,
            ratings::remove_rating
        ))
        .routes(routes!(ratings::list_ratings))
        .routes(routes!(
            watch::get_watch,
            watch::set_watch,
            watch::remove_watch
        ))
        .routes(routes!(watch::list_watch))
        .routes(routes!(taste::get_taste, taste::edit_taste))
        .routes(routes!(
            preferences::get_preferences,
            preferences::set_preferences
        ))
}

/// What all users do taken together, which is nobody's own.
fn charts() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(charts::get_chart))
}

/// What tokens are verified with; for everybody, and to be kept for a while.
fn keys() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(auth::jwks))
}

/// What all users together think of films.
fn stats() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(stats::get_stats))
}

/// Paths whose POSTs create something and give no secret away, so that their answers can be kept.
fn creating() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(users::create_user))
        .routes(routes!(
            interactions::list_interactions,
            interactions::create_interaction
        ))
        .routes(routes!(batch::record_batch))
}

/// Histories that users bring along, which are large.
fn importing() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(imports::list_imports, imports::create_import))
        .routes(routes!(imports::get_import))
        .routes(routes!(imports::cancel_import))
}

/// For other services; the gateway never routes here.
fn internal() -> Router<AppState> {
    Router::new()
        .route("/internal/v1/users/{id}", get(users::get_profile_change))
        .route("/internal/v1/stats", get(stats::get_many_stats))
        .route(
            "/internal/v1/api-keys/{hash}",
            get(api_keys::resolve_api_key),
        )
}

/// The routes of the service.
pub fn router(state: AppState, config: &ProcessConfig) -> Router {
    let (public, _) = public().split_for_parts();
    let (creating, _) = creating().split_for_parts();
    let once = from_fn_with_state(state.idempotency.clone(), idempotency::once);
    let (keys, _) = keys().split_for_parts();
    let (charts, _) = charts().split_for_parts();
    let (stats, _) = stats().split_for_parts();
    let (importing, _) = importing().split_for_parts();
    let few = from_fn_with_state(state.import_admission.clone(), imports::few_at_once);
    let importing = importing
        .layer(once.clone())
        .layer(few)
        .layer(DefaultBodyLimit::max(state.import_admission.max_bytes()));
    let routes = public
        .merge(creating.layer(once))
        .merge(conditional(keys, KEYS_CACHE))
        .merge(conditional(charts, CHARTS_CACHE))
        .merge(conditional(stats, STATS_CACHE))
        .merge(internal());
    time_limit(routes, config.request_timeout())
        .merge(time_limit(importing, IMPORT_LIMIT))
        .with_state(state)
}

/// The service's API.
#[must_use]
pub fn openapi() -> openapi::OpenApi {
    let mut document = Info::openapi();
    let public = public()
        .merge(creating())
        .merge(importing())
        .merge(charts())
        .merge(keys())
        .merge(stats());
    document.merge(public.into_openapi());
    complete(document)
}
