//! What the lists of a user's films have in common: how they are asked for, and how they go on.

use axum::http::{HeaderMap, HeaderValue, header::LINK};
use chassis::{
    extract::Bounded,
    paging::{Cursor, next_link},
    problem::FieldError,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::error::ApiError;
use crate::{
    models::{MovieId, UserId, UserMovie},
    repository::user_movies::Listed,
    state::AppState,
};

/// How many films a list has where the client does not say.
const DEFAULT_LIMIT: i64 = 50;

/// How a list of a user's films is asked for.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FilmsQuery {
    /// How many films at most: 50 where not given.
    #[param(inline, example = 50)]
    limit: Option<Bounded<1, 1000>>,
    /// The `next_cursor` of the page before: goes on without skips or repeats while the list changes
    /// at its top.
    cursor: Option<String>,
}

/// Where a page begins: after this film.
#[derive(Serialize, Deserialize)]
struct Position {
    at: DateTime<Utc>,
    movie: MovieId,
}

impl Cursor for Position {}

/// A page of a list.
pub(super) struct FilmList<T> {
    pub(super) headers: HeaderMap,
    pub(super) films: Vec<T>,
    pub(super) next_cursor: Option<String>,
}

/// Reads a page of `listed`. `shown` makes an entry of where the user stands with a film, and tells
/// since when; the list is ordered by that.
pub(super) async fn page<T>(
    state: &AppState,
    user_id: UserId,
    listed: Listed,
    query: &FilmsQuery,
    shown: impl Fn(MovieId, &UserMovie) -> Option<(T, DateTime<Utc>)>,
) -> Result<FilmList<T>, ApiError> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let after = match query.cursor.as_deref().map(Position::decode) {
        None => None,
        Some(Some(position)) => Some((position.at, position.movie)),
        Some(None) => {
            let message = "must be the next_cursor of the page before";
            return Err(ApiError::Invalid(vec![FieldError::new("cursor", message)]));
        }
    };
    let page = state
        .interactions
        .films(user_id, listed, after, limit)
        .await?
        .ok_or(ApiError::UserNotFound)?;
    let mut last = None;
    let mut films = Vec::with_capacity(page.films.len());
    for (movie, standing) in &page.films {
        if let Some((film, at)) = shown(*movie, standing) {
            films.push(film);
            last = Some(Position { at, movie: *movie });
        }
    }
    let next_cursor = last.filter(|_| page.more).map(|position| position.encode());
    let mut headers = HeaderMap::new();
    if let Some(cursor) = &next_cursor {
        let name = match listed {
            Listed::Reactions => "reactions",
            Listed::Bookmarks => "bookmarks",
            Listed::Ratings => "ratings",
            Listed::Watched => "watch",
        };
        let link = next_link(
            &format!("/api/v1/users/{user_id}/{name}"),
            &[
                ("limit", Some(limit.to_string())),
                ("cursor", Some(cursor.clone())),
            ],
        );
        if let Ok(link) = HeaderValue::try_from(link) {
            headers.insert(LINK, link);
        }
    }
    Ok(FilmList {
        headers,
        films,
        next_cursor,
    })
}
