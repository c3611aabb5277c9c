//! Bookmarks: a user's watchlist.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::extract::{Path, Query};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::ApiError,
    user_movie::{
        self, ClearProblems, ListProblems, MoviesQuery, PartResponse, SetProblems, UserMoviePath,
    },
};
use crate::{
    models::{Action, MovieId, StatePart, UserId, UserMovie},
    state::AppState,
};

/// A movie on a user's watchlist.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "movie_id": 603,
    "bookmarked_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct BookmarkResponse {
    user_id: UserId,
    movie_id: MovieId,
    /// The time it was added.
    bookmarked_at: DateTime<Utc>,
}

impl PartResponse for BookmarkResponse {
    const PART: StatePart = StatePart::Bookmark;
    const NAME: &'static str = "bookmark";

    fn new(user_id: UserId, movie_id: MovieId, state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id,
            movie_id,
            bookmarked_at: state.bookmark.since()?,
        })
    }
}

/// A page of a user's watchlist, newest first.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "bookmarks": [{
        "user_id": 1,
        "movie_id": 603,
        "bookmarked_at": "2026-02-13T08:15:42.123456Z"
    }],
    "next_cursor": null
}))]
pub(super) struct BookmarksResponse {
    user_id: UserId,
    /// The movies.
    bookmarks: Vec<BookmarkResponse>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// Set a bookmark
///
/// Adds the movie to the user's watchlist. A movie that is already on it keeps its place. Idempotent.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/bookmarks/{movie_id}",
    tag = "bookmarks",
    params(UserMoviePath),
    responses((status = 200, description = "the bookmark", body = BookmarkResponse), SetProblems)
)]
pub(super) async fn set_bookmark(
    State(state): State<AppState>,
    path: UserMoviePath,
) -> Result<JsonBody<BookmarkResponse>, ApiError> {
    user_movie::set(&state, path, Action::Bookmark(true)).await
}

/// Remove a bookmark
///
/// Removes the movie from the user's watchlist. Idempotent.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/bookmarks/{movie_id}",
    tag = "bookmarks",
    params(UserMoviePath),
    responses((status = 204, description = "the movie is not on the watchlist"), ClearProblems)
)]
pub(super) async fn remove_bookmark(
    State(state): State<AppState>,
    path: UserMoviePath,
) -> Result<StatusCode, ApiError> {
    user_movie::clear(&state, path, Action::Bookmark(false)).await
}

/// List bookmarks
///
/// Lists the movies on the user's watchlist, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/bookmarks",
    tag = "bookmarks",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), MoviesQuery),
    responses(
        (status = 200, description = "the movies", body = BookmarksResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; absent on the last")
        )),
        ListProblems
    )
)]
pub(super) async fn list_bookmarks(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<MoviesQuery>,
) -> Result<(HeaderMap, JsonBody<BookmarksResponse>), ApiError> {
    user_movie::list(&state, user_id, &query, |bookmarks, next_cursor| {
        BookmarksResponse {
            user_id,
            bookmarks,
            next_cursor,
        }
    })
    .await
}
