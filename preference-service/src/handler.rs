//! The service's paths: a contents page. Each file below holds one resource.

mod error;
mod interactions;
mod preferences;
mod users;

use axum::{Router, routing::get};
use chassis::{ProcessConfig, openapi::complete, server::time_limit};
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::app::AppState;

#[derive(OpenApi)]
#[openapi(info(
    title = "Marquee: people",
    description = "Users, what they say they like, and what they do with films.",
    license(name = "MIT OR Apache-2.0")
))]
struct Info;

fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(users::create_user))
        .routes(routes!(users::get_user))
        .routes(routes!(
            preferences::get_preferences,
            preferences::set_preferences
        ))
        .routes(routes!(
            interactions::list_interactions,
            interactions::create_interaction
        ))
}

/// For other services; the gateway never routes here.
fn internal() -> Router<AppState> {
    Router::new().route("/internal/v1/users/{id}", get(users::get_profile_change))
}

/// The routes of the service.
pub fn router(state: AppState, config: &ProcessConfig) -> Router {
    let (public, _) = public().split_for_parts();
    time_limit(public.merge(internal()), config.request_timeout()).with_state(state)
}

/// The service's API.
#[must_use]
pub fn openapi() -> openapi::OpenApi {
    let mut document = Info::openapi();
    document.merge(public().into_openapi());
    complete(document)
}
