//! Bookmarks: the films that a user wants to watch.

use axum::{
    Json as JsonBody,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use chassis::{
    extract::{Path, Query},
    problem::ProblemDocument,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    error::ApiError,
    films::{FilmsQuery, page},
    user_film::UserFilm,
};
use crate::{
    models::{Action, MovieId, UserId, UserMovie},
    repository::user_movies::Listed,
    service::writer::Command,
    state::AppState,
};

/// A film that a user wants to watch, and since when.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "user_id": 1,
    "movie_id": 603,
    "bookmarked_at": "2026-02-13T08:15:42.123456Z"
}))]
pub(super) struct BookmarkResponse {
    user_id: UserId,
    movie_id: MovieId,
    /// Since when it is on the list.
    bookmarked_at: DateTime<Utc>,
}

impl BookmarkResponse {
    fn of(user_id: UserId, movie_id: MovieId, state: &UserMovie) -> Option<Self> {
        Some(Self {
            user_id,
            movie_id,
            bookmarked_at: state.bookmark.since()?,
        })
    }
}

/// The films that a user wants to watch, newest first.
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
    /// The films.
    bookmarks: Vec<BookmarkResponse>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Bookmark a film
///
/// Puts it on the list of films to watch. A film that is on it stays where it is.
#[utoipa::path(
    put,
    path = "/api/v1/users/{id}/bookmarks/{movie_id}",
    tag = "bookmarks",
    params(UserFilm),
    responses(
        (status = 200, description = "the bookmark, as it stands", body = BookmarkResponse),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 413, description = "the body is larger than 1 MiB", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn set_bookmark(
    State(state): State<AppState>,
    film: UserFilm,
) -> Result<JsonBody<BookmarkResponse>, ApiError> {
    let command = Command::now(film.id, film.movie_id, Action::Bookmark(true));
    let written = state.interactions.record(command).await?;
    BookmarkResponse::of(film.id, film.movie_id, &written.state)
        .map(JsonBody)
        .ok_or(ApiError::NothingThere("bookmark"))
}

/// Take a bookmark back
///
/// Takes the film off the list of films to watch. To do it again changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{id}/bookmarks/{movie_id}",
    tag = "bookmarks",
    params(UserFilm),
    responses(
        (status = 204, description = "the film is not on the list now"),
        (status = 400, description = "an id cannot be one", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user (`user not found`) or film (`movie not found`)", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn remove_bookmark(
    State(state): State<AppState>,
    film: UserFilm,
) -> Result<StatusCode, ApiError> {
    let command = Command::now(film.id, film.movie_id, Action::Bookmark(false));
    state.interactions.record(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A user's bookmarks
///
/// The films that the user wants to watch, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}/bookmarks",
    tag = "bookmarks",
    params(("id" = UserId, Path, description = "The user's id.", example = 1), FilmsQuery),
    responses(
        (status = 200, description = "the films", body = BookmarksResponse, headers(
            ("Link" = String, description = "the next page, `rel=\"next\"`; left out on the last")
        )),
        (status = 400, description = "the id or a parameter is wrong, or a parameter is unknown", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 404, description = "there is no such user: `user not found`", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_bookmarks(
    State(state): State<AppState>,
    Path(user_id): Path<UserId>,
    Query(query): Query<FilmsQuery>,
) -> Result<(HeaderMap, JsonBody<BookmarksResponse>), ApiError> {
    let list = page(
        &state,
        user_id,
        Listed::Bookmarks,
        &query,
        |movie, standing| {
            let film = BookmarkResponse::of(user_id, movie, standing)?;
            let at = film.bookmarked_at;
            Some((film, at))
        },
    )
    .await?;
    let body = BookmarksResponse {
        user_id,
        bookmarks: list.films,
        next_cursor: list.next_cursor,
    };
    Ok((list.headers, JsonBody(body)))
}
