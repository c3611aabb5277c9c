//! The HTTP API: its routes and their layers. Each file below has the endpoints of one resource; handlers
//! parse requests, call [`crate::service`] and serialize responses.

mod admin;
mod api_keys;
mod auth;
mod batch;
mod bookmarks;
mod charts;
mod device;
mod email_verification;
mod error;
mod group_votes;
mod groups;
mod idempotency;
mod identities;
mod imports;
mod interactions;
mod no_store;
mod oauth;
mod oidc;
mod own_data;
mod preferences;
mod proof;
mod ratings;
mod reactions;
mod session;
mod stats;
mod taste;
mod user_movie;
mod users;
mod viewings;
mod watch;
mod webhooks;

use std::time::Duration;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use chassis::{
    ProcessConfig, audit::AUDIT_PATH, conditional::conditional, openapi::complete,
    server::time_limit,
};
use utoipa::{OpenApi, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::state::AppState;

/// Shorter than the delay between the publication of a signing key and its use.
const KEYS_CACHE: &str = "public, max-age=300";
// Every caller gets the same counters and charts. The gateway lets only the clients' own caches store them.
/// Counters may be 5 seconds old.
const STATS_CACHE: &str = "public, max-age=5, stale-if-error=60";
/// Charts change often.
const CHARTS_CACHE: &str = "public, max-age=1, stale-while-revalidate=10, stale-if-error=60";

/// The time limit of an upload.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(110);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Marquee: people",
        description = "Users, their preferences, and their interactions with movies."
    ),
    tags(
        (name = "auth", description = "Login, tokens and their public keys."),
        (name = "users", description = "Accounts."),
        (name = "api keys", description = "Credentials of programs."),
        (name = "administration", description = "Users, roles, suspensions and the audit log, for administrators."),
        (name = "groups", description = "People who decide together."),
        (name = "preferences", description = "Stated preferences."),
        (name = "interactions", description = "Actions of users on movies, newest first."),
        (name = "reactions", description = "Like, dislike and superlike."),
        (name = "bookmarks", description = "The watchlist."),
        (name = "ratings", description = "Stars, in halves."),
        (name = "watch", description = "Watch progress and history."),
        (name = "viewings", description = "The times that a user saw movies."),
        (name = "webhooks", description = "Viewings reported by media servers."),
        (name = "taste", description = "The learned taste profile."),
        (name = "imports", description = "Histories from other sites."),
        (name = "charts", description = "Live charts."),
        (name = "stats", description = "Counters per movie."),
    )
)]
struct Info;

fn public() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(
            users::get_user,
            users::update_user,
            own_data::erase_user
        ))
        .routes(routes!(auth::log_in))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::log_out))
        .routes(routes!(auth::me))
        .routes(routes!(email_verification::verify_email))
        .routes(routes!(email_verification::request_verification))
        .routes(routes!(session::begin_session, session::end_session))
        .routes(routes!(session::refresh_session))
        .routes(routes!(device::authorize_device))
        .routes(routes!(device::verify_device))
        .routes(routes!(oidc::list_login_providers))
        .routes(routes!(oidc::begin_login))
        .routes(routes!(oidc::finish_login))
        .routes(routes!(
            identities::list_identities,
            identities::link_identity
        ))
        .routes(routes!(identities::unlink_identity))
        .routes(routes!(api_keys::list_api_keys, api_keys::create_api_key))
        .routes(routes!(api_keys::delete_api_key))
        .routes(routes!(admin::list_users))
        .routes(routes!(
            admin::get_user_as_admin,
            admin::change_user_as_admin
        ))
        .routes(routes!(admin::list_audit))
        .routes(routes!(groups::list_groups, groups::create_group))
        .routes(routes!(groups::get_group, groups::delete_group))
        .routes(routes!(
            groups::create_invitation,
            groups::withdraw_invitations
        ))
        .routes(routes!(group_votes::set_vote))
        .routes(routes!(group_votes::list_votes, group_votes::delete_votes))
        .routes(routes!(groups::join_group))
        .routes(routes!(groups::leave_group))
        .routes(routes!(groups::remove_member))
        .routes(routes!(webhooks::list_webhooks, webhooks::create_webhook))
        .routes(routes!(webhooks::rotate_webhook))
        .routes(routes!(webhooks::delete_webhook))
        .routes(routes!(webhooks::receive_delivery))
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
        .routes(routes!(viewings::delete_viewing))
        .routes(routes!(taste::get_taste, taste::edit_taste))
        .routes(routes!(
            preferences::get_preferences,
            preferences::set_preferences
        ))
}

/// Charts, which no user owns.
fn charts() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(charts::get_chart))
}

/// Public keys and metadata, cacheable by everyone.
fn keys() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(auth::jwks))
        .routes(routes!(oauth::server_metadata))
}

/// Counters per movie.
fn stats() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(stats::get_stats))
}

/// Paths whose POSTs are idempotent with a key. Responses with secrets are never stored, so paths that
/// return one are not among them.
fn creating() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(users::create_user))
        .routes(routes!(
            interactions::list_interactions,
            interactions::create_interaction
        ))
        .routes(routes!(viewings::list_viewings, viewings::create_viewing))
        .routes(routes!(batch::record_batch))
}

/// Imports, which have large bodies.
fn importing() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(imports::list_imports, imports::create_import))
        .routes(routes!(imports::get_import))
        .routes(routes!(imports::cancel_import))
        .routes(routes!(imports::report::list_unmatched))
        .routes(routes!(imports::report::list_failures))
        .routes(routes!(imports::report::resolve_unmatched))
}

/// Endpoints for other services; the gateway does not route to them.
fn internal() -> Router<AppState> {
    Router::new()
        .route("/internal/v1/users/{id}", get(users::get_profile_change))
        .route(
            "/internal/v1/users/{id}/groups/{group_id}/members",
            get(groups::list_group_members),
        )
        .route(
            "/internal/v1/users/{id}/shared-group",
            get(groups::check_shared_group),
        )
        .route(AUDIT_PATH, post(admin::record_audit))
        .route(
            "/internal/v1/token-revocations",
            get(admin::list_revocations),
        )
        .route("/internal/v1/stats", get(stats::get_many_stats))
        .route(
            "/internal/v1/api-keys/{hash}",
            get(api_keys::resolve_api_key),
        )
}

/// Returns the routes of the service.
pub fn router(state: AppState, config: &ProcessConfig) -> Router {
    let (public, _) = public().split_for_parts();
    let (creating, _) = creating().split_for_parts();
    let idempotent = from_fn_with_state(state.idempotency.clone(), idempotency::idempotent);
    let (keys, _) = keys().split_for_parts();
    let (charts, _) = charts().split_for_parts();
    let (stats, _) = stats().split_for_parts();
    let (importing, _) = importing().split_for_parts();
    let few = from_fn_with_state(state.import_admission.clone(), imports::limit_uploads);
    let importing = importing
        .layer(idempotent.clone())
        .layer(few)
        .layer(DefaultBodyLimit::max(state.import_admission.max_bytes));
    let routes = public
        .merge(creating.layer(idempotent))
        .merge(conditional(keys, KEYS_CACHE))
        .merge(conditional(charts, CHARTS_CACHE))
        .merge(conditional(stats, STATS_CACHE))
        .merge(internal());
    time_limit(routes, config.request_timeout())
        .merge(time_limit(importing, IMPORT_TIMEOUT))
        .with_state(state)
}

/// Returns the OpenAPI document of the public endpoints.
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
