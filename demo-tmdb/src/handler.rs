//! TMDB's paths: authentication, faults, and the handler of each path. The movies are in
//! [`crate::catalogue`].

mod error;
mod intercept;
mod lists;
mod movies;
mod params;
mod posters;
mod providers;
mod response;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use crate::control;
use crate::state::AppState;
use error::TmdbError;
use params::Params;

/// The one key that is refused, so that a test can see TMDB's error for an invalid key.
const REFUSED_KEY: &str = "invalid";

/// All paths.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    let routes = Router::new()
        .route("/configuration", get(lists::get_configuration))
        .route("/genre/movie/list", get(lists::list_genres))
        .route("/discover/movie", get(lists::discover))
        .route("/search/movie", get(lists::search_movies))
        .route("/trending/movie/{window}", get(lists::list_trending))
        .route("/watch/providers/movie", get(providers::list_providers))
        .route("/movie/popular", get(lists::list_popular))
        .route("/movie/top_rated", get(lists::list_top_rated))
        .route("/movie/now_playing", get(lists::list_now_playing))
        .route("/movie/upcoming", get(lists::list_upcoming))
        .route("/movie/changes", get(lists::list_changes))
        .route("/movie/{id}", get(movies::get_movie))
        .route("/movie/{id}/{*part}", get(movies::get_part))
        .fallback(async || TmdbError::NotFound)
        .method_not_allowed_fallback(async || TmdbError::MethodNotAllowed)
        .layer(middleware::from_fn(require_key));
    // Outermost: a network that fails checks no key, and failures count too. Outside the nest, because inside it the
    // path that a fault may name is cut off already.
    let tmdb = Router::new()
        .nest("/3", routes)
        // The image host needs no key.
        .route("/t/p/{size}/{name}", get(posters::get_poster))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            intercept::intercept,
        ));
    Router::new()
        .route("/health/live", get(async || "ok\n"))
        .route("/health/ready", get(async || "ok\n"))
        .merge(control::router())
        .merge(tmdb)
        .fallback(async || TmdbError::NotFound)
        .with_state(state)
}

/// TMDB takes a key in the query or a token in the header; any that is not empty will do here.
async fn require_key(request: Request, next: Next) -> Response {
    let params = Params::of(request.uri());
    let bearer = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let key = params
        .get("api_key")
        .filter(|key| !key.is_empty())
        .or(bearer);
    if key.is_none_or(|key| key.is_empty() || key == REFUSED_KEY) {
        return TmdbError::InvalidKey.into_response();
    }
    next.run(request).await
}
