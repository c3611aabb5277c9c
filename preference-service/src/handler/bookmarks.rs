//! Bookmarks: a user's watchlist.

use axum::{Json as JsonBody, extract::State};
use chassis::Problem;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::user_movie::{self, PartResponse, SetProblems, UserMoviePath, part_operations};
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

    fn new(state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id: state.user_id,
            movie_id: state.movie_id,
            bookmarked_at: state.since(Self::PART)?,
        })
    }
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
) -> Result<JsonBody<BookmarkResponse>, Problem> {
    user_movie::set(&state, path, Action::Bookmark(true)).await
}

part_operations! {
    BookmarkResponse, "bookmarks",
    remove:
    /// Remove a bookmark
    ///
    /// Removes the movie from the user's watchlist. Idempotent.
    remove_bookmark "/api/v1/users/{id}/bookmarks/{movie_id}", Action::Bookmark(false) => "the movie is not on the watchlist";
    list:
    /// List bookmarks
    ///
    /// Lists the movies on the user's watchlist, newest first.
    list_bookmarks "/api/v1/users/{id}/bookmarks" => "the movies",
    /// A page of a user's watchlist, newest first.
    BookmarksResponse {
        /// The movies.
        bookmarks: BookmarkEntry {
            "user_id": 1,
            "movie_id": 603,
            "bookmarked_at": "2026-02-13T08:15:42.123456Z",
            "title": "The Matrix",
            "poster_url": "https://image.tmdb.org/t/p/w500/f89U3ADr1oiB1s9GkdPOEpXUk5H.jpg",
            "progress": null
        }
    }
}
