//! The routes: a contents page. Each file below holds one resource. Handlers parse requests, call services and write
//! responses; they decide nothing.

mod admin_rules;
mod error;
mod experiments;
mod group;
mod models;
mod movie_card;
mod preview;
mod query;
mod ranking_request;
mod recommendations;
mod responses;
mod rules;
mod similar;

use axum::{Router, middleware::from_fn_with_state};
use chassis::{
    ProcessConfig,
    audit::{AuditLog, audited},
    caller::Caller,
    conditional::conditional,
    openapi::complete,
    server::time_limit,
};
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

/// The gateway lets only the clients' own caches store the lists, since others do not authenticate.
const SHARED_CACHE: &str = "public, max-age=60, stale-while-revalidate=300, stale-if-error=3600";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Marquee: recommendations",
        description = "Ranked lists of movies for users, with explanations."
    ),
    tags(
        (name = "recommendations", description = "Ranked lists of movies, with explanations."),
        (name = "rules", description = "The scoring rules in force."),
        (name = "admin", description = "For administrators."),
    )
)]
struct Info;

fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(recommendations::list_recommendations))
        .routes(routes!(recommendations::get_recommendation_list))
        .routes(routes!(preview::create_preview))
        .routes(routes!(group::create_group_list))
        .routes(routes!(query::create_query))
        .routes(routes!(rules::list_rules))
        .routes(routes!(admin_rules::preview_rules))
        .routes(routes!(experiments::get_experiment))
        .routes(routes!(models::list_models))
}

/// Lists that are the same for every caller.
fn shared() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(similar::list_similar_movies))
}

/// Routes by which administrators change something.
fn administration() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(admin_rules::list_rule_sets, admin_rules::put_rules))
        .routes(routes!(
            experiments::list_experiments,
            experiments::put_experiment
        ))
        .routes(routes!(models::update_live_model))
}

/// True if `caller` may read data of the user `id`.
fn may_see(caller: &Caller, id: i64) -> bool {
    caller.is_admin || caller.numeric_subject() == Some(id)
}

/// The routes of the service.
pub fn router(state: AppState, config: &ProcessConfig, audit: AuditLog) -> Router {
    let (routes, _) = routes().split_for_parts();
    let (shared, _) = shared().split_for_parts();
    let routes = routes.merge(conditional(shared, SHARED_CACHE));
    let (administration, _) = administration().split_for_parts();
    let administration = administration.route_layer(from_fn_with_state(audit, audited));
    time_limit(routes.merge(administration), config.request_timeout()).with_state(state)
}

/// The service's API.
pub fn openapi() -> openapi::OpenApi {
    let mut document = Info::openapi();
    document.merge(
        routes()
            .merge(shared())
            .merge(administration())
            .into_openapi(),
    );
    complete(document)
}
