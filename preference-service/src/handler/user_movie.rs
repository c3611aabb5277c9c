//! The requests that reactions, bookmarks, ratings and the watch history have in common: set, clear and get one part of
//! a user's state for a movie, and list the movies for which it is set. Called by the handlers of those resources.

use std::convert::Infallible;

use axum::{
    Json as JsonBody,
    extract::FromRequestParts,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{LINK, VARY},
        request::Parts,
    },
    response::{IntoResponseParts, ResponseParts},
};
use chassis::{
    Problem,
    extract::{Bounded, Path},
    language::{ContentLanguage, Language, VARY_BY_LANGUAGE},
    paging::{Cursor, next_link},
    problem::FieldError,
};
use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Serialize,
    de::value::{self, StrDeserializer},
};
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::Error,
    models::{Action, MovieCard, MovieId, StatePart, UserId, UserMovie},
    service::writer::Command,
    state::AppState,
};

/// The number of items in a list without `limit`.
const DEFAULT_LIMIT: i64 = 50;

/// The path of a user's state for a movie.
#[derive(Clone, Copy, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct UserMoviePath {
    /// The user's id.
    #[param(inline, example = 1)]
    id: UserId,
    /// The movie's TMDB id.
    #[param(inline, example = 603)]
    movie_id: MovieId,
}

impl<S: Send + Sync> FromRequestParts<S> for UserMoviePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct Segments {
            id: String,
            movie_id: String,
        }
        // Parsed one by one, so that the problem names the invalid one.
        fn id<'a, T: Deserialize<'a>>(field: &str, segment: &'a str) -> Result<T, Problem> {
            T::deserialize(StrDeserializer::<value::Error>::new(segment)).map_err(|error| {
                let text = error.to_string();
                Problem::from(FieldError::new(field, text.clone())).error(text)
            })
        }
        let Path(segments) = Path::<Segments>::from_request_parts(parts, state).await?;
        Ok(Self {
            id: id("id", &segments.id)?,
            movie_id: id("movie_id", &segments.movie_id)?,
        })
    }
}

/// The response about one part of a user's state for a movie.
pub(super) trait PartResponse: Sized {
    /// The part.
    const PART: StatePart;

    /// The response, `None` if the part is not set.
    fn new(state: &UserMovie) -> Option<Self>;
}

/// The movie of an item of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct ListedMovie {
    /// The movie's title, in the display language if it is known; null if movie-service is unavailable, or the movie has
    /// left the catalogue.
    title: Option<String>,
    /// The URL of its poster, 500 pixels wide, empty if there is none; null as `title`.
    poster_url: Option<String>,
    /// The share of it before the user's last playback position, 0 to 1 in hundredths; 1 if they only marked it as
    /// watched, null if they have not watched it.
    progress: Option<f64>,
}

impl ListedMovie {
    pub(super) fn new(state: &UserMovie, card: Option<MovieCard>) -> Self {
        let (title, poster_url) = card.map(|card| (card.title, card.poster_url)).unzip();
        let position = state.position_seconds.zip(state.duration_seconds);
        let share = position
            .filter(|(_, duration)| *duration > 0)
            .map(|(position, duration)| f64::from(position) / f64::from(duration));
        let marked = state.completed_at.map(|_| 1.0);
        Self {
            title,
            poster_url,
            progress: share
                .map(|share| (share * 100.0).round() / 100.0)
                .or(marked),
        }
    }
}

/// The language of a list's texts, if there are any: sets `Content-Language` and extends `Vary`.
#[derive(Clone, Copy)]
pub(super) struct ListLanguage(pub(super) Option<Language>);

impl IntoResponseParts for ListLanguage {
    type Error = Infallible;

    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Infallible> {
        match self.0 {
            Some(language) => ContentLanguage(language).into_response_parts(response),
            None => {
                response.headers_mut().append(VARY, VARY_BY_LANGUAGE);
                Ok(response)
            }
        }
    }
}

/// Stores `action`, which sets the part.
pub(super) async fn set<T: PartResponse>(
    state: &AppState,
    path: UserMoviePath,
    action: Action,
) -> Result<JsonBody<T>, Problem> {
    let command = Command::now(path.id, path.movie_id, action);
    let written = state.interactions.record(command).await?;
    found(Some(&written.state))
}

/// Stores `action`, which clears a part.
pub(super) async fn clear(
    state: &AppState,
    path: UserMoviePath,
    action: Action,
) -> Result<StatusCode, Problem> {
    let command = Command::now(path.id, path.movie_id, action);
    state.interactions.record(command).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gets the part.
///
/// # Errors
/// [`Error::UserNotFound`] if there is no such user, [`Error::NotSet`] if the part is not set.
pub(super) async fn get<T: PartResponse>(
    state: &AppState,
    path: UserMoviePath,
) -> Result<JsonBody<T>, Problem> {
    let state = state.interactions.find(path.id, path.movie_id).await?;
    found(state.as_ref())
}

fn found<T: PartResponse>(state: Option<&UserMovie>) -> Result<JsonBody<T>, Problem> {
    let found = state.and_then(T::new).map(JsonBody);
    found.ok_or_else(|| Error::NotSet(T::PART.name()).into())
}

/// Declares the operations that the parts have in common, and the body of the list.
macro_rules! part_operations {
    (
        $item:ident, $tag:tt,
        $(get: $(#[$get_doc:meta])+ $get:ident $get_path:tt => $get_text:tt;)?
        remove: $(#[$remove_doc:meta])+ $remove:ident $remove_path:tt, $action:expr => $remove_text:tt;
        list: $(#[$list_doc:meta])+ $list:ident $list_path:tt => $list_text:tt,
        $(#[$page_doc:meta])+ $page:ident { $(#[$items_doc:meta])+ $items:ident: $entry:ident $example:tt }
    ) => {
        $($(#[$get_doc])+
        #[utoipa::path(get, path = $get_path, tag = $tag,
            params($crate::handler::user_movie::UserMoviePath),
            responses((status = 200, description = $get_text, body = $item),
                $crate::handler::user_movie::GetProblems))]
        pub(super) async fn $get(
            State(state): State<AppState>,
            path: UserMoviePath,
        ) -> Result<JsonBody<$item>, Problem> {
            user_movie::get(&state, path).await
        })?

        $(#[$remove_doc])+
        #[utoipa::path(delete, path = $remove_path, tag = $tag,
            params($crate::handler::user_movie::UserMoviePath),
            responses((status = 204, description = $remove_text),
                $crate::handler::user_movie::ClearProblems))]
        pub(super) async fn $remove(
            State(state): State<AppState>,
            path: UserMoviePath,
        ) -> Result<axum::http::StatusCode, Problem> {
            user_movie::clear(&state, path, $action).await
        }

        /// An item of the list, with its movie.
        #[derive(Serialize, ToSchema)]
        pub(super) struct $entry {
            #[serde(flatten)]
            item: $item,
            #[serde(flatten)]
            movie: user_movie::ListedMovie,
        }

        impl From<($item, user_movie::ListedMovie)> for $entry {
            fn from((item, movie): ($item, user_movie::ListedMovie)) -> Self {
                Self { item, movie }
            }
        }

        $(#[$page_doc])+
        #[derive(Serialize, ToSchema)]
        #[schema(example = json!({
            "user_id": 1, (stringify!($items)): [$example], "next_cursor": null
        }))]
        pub(super) struct $page {
            user_id: UserId,
            $(#[$items_doc])+
            $items: Vec<$entry>,
            /// The cursor of the next page; null on the last.
            next_cursor: Option<String>,
        }

        $(#[$list_doc])+
        #[utoipa::path(get, path = $list_path, tag = $tag,
            params(("id" = UserId, Path, description = "The user's id.", example = 1),
                $crate::handler::user_movie::MoviesQuery),
            responses((status = 200, description = $list_text, body = $page, headers(
                    ("Link" = String, description = "the next page, `rel=\"next\"`; absent on the last"),
                    ("Content-Language" = String, description = "the language of the titles; absent without any"))),
                $crate::handler::user_movie::ListProblems))]
        pub(super) async fn $list(
            State(state): State<AppState>,
            chassis::extract::Path(user_id): chassis::extract::Path<UserId>,
            chassis::language::AcceptLanguage(accepted): chassis::language::AcceptLanguage,
            chassis::extract::Query(query): chassis::extract::Query<user_movie::MoviesQuery>,
        ) -> Result<user_movie::ListResponse<$page>, Problem> {
            user_movie::list(&state, user_id, &query, accepted, |$items: Vec<$entry>, next_cursor| $page {
                user_id,
                $items,
                next_cursor,
            })
            .await
        }
    };
}
pub(super) use part_operations;

/// The parameters of a list of a user's movies.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MoviesQuery {
    /// The page size.
    #[param(inline, default = 50, example = 10)]
    limit: Option<Bounded<1, 1000>>,
    /// The `next_cursor` of the previous page. Pages neither skip nor repeat items while the list changes at its top.
    #[param(example = "eyJtb3ZpZSI6NjAzfQ")]
    cursor: Option<String>,
    /// The display language (BCP 47) of titles. The default is that of `Accept-Language`, then the user's
    /// `preferred_language`, else the catalogue's own.
    #[param(value_type = Option<String>, example = "ko-KR")]
    language: Option<Language>,
}

/// The headers and the body of a list.
pub(super) type ListResponse<R> = (ListLanguage, HeaderMap, JsonBody<R>);

/// The cursor of a page: it begins after this movie.
#[derive(Serialize, Deserialize)]
struct Position {
    at: DateTime<Utc>,
    movie: MovieId,
}

impl Cursor for Position {}

/// Lists the movies for which the part is set; `body` builds the response from the items and the cursor of the next page.
/// `accepted` is the language that the client accepts.
///
/// # Errors
/// A problem if the cursor is invalid or there is no such user.
pub(super) async fn list<T: PartResponse, E: From<(T, ListedMovie)>, R>(
    state: &AppState,
    user_id: UserId,
    query: &MoviesQuery,
    accepted: Option<Language>,
    body: impl FnOnce(Vec<E>, Option<String>) -> R,
) -> Result<ListResponse<R>, Problem> {
    let limit = query.limit.map_or(DEFAULT_LIMIT, Bounded::get);
    let after = decode_cursor::<Position>(query.cursor.as_deref())?
        .map(|position| (position.at, position.movie));
    let language = query.language.or(accepted);
    let (page, mut descriptions) = state
        .interactions
        .list_movies(user_id, T::PART, after, limit, language)
        .await?;
    let last = page.items.last().filter(|_| page.has_more);
    let next_cursor = last.and_then(|state| {
        let (at, movie) = (state.since(T::PART)?, state.movie_id);
        Some(Position { at, movie }.encode())
    });
    let path = format!("/api/v1/users/{user_id}/{}", T::PART.as_str());
    let limit = ("limit", Some(limit.to_string()));
    let language = query.language.map(|language| language.to_string());
    let parameters = [limit, ("language", language)];
    let headers = link_header(&path, &parameters, next_cursor.as_deref());
    let items = page.items.iter().filter_map(|state| {
        let card = descriptions.cards.remove(&state.movie_id);
        Some((T::new(state)?, ListedMovie::new(state, card)).into())
    });
    let language = ListLanguage(descriptions.language);
    Ok((
        language,
        headers,
        JsonBody(body(items.collect(), next_cursor)),
    ))
}

/// Decodes a `cursor` parameter.
///
/// # Errors
/// A problem if it is not a cursor of this list.
pub(super) fn decode_cursor<C: Cursor>(text: Option<&str>) -> Result<Option<C>, Problem> {
    let decode = |text| {
        let message = "must be the next_cursor of the page before";
        C::decode(text).ok_or_else(|| FieldError::new("cursor", message).into())
    };
    text.map(decode).transpose()
}

/// The header `Link` to the next page of `path` with `parameters`; empty on the last page.
pub(super) fn link_header(
    path: &str,
    parameters: &[(&str, Option<String>)],
    next_cursor: Option<&str>,
) -> HeaderMap {
    let link = next_cursor.and_then(|cursor| {
        let cursor = ("cursor", Some(cursor.to_owned()));
        let parameters = [parameters, &[cursor]].concat();
        HeaderValue::try_from(next_link(path, &parameters)).ok()
    });
    link.into_iter().map(|link| (LINK, link)).collect()
}

const NO_USER_OR_MOVIE: &str = "no such user (`user not found`) or movie (`movie not found`)";

chassis::problem_responses! {
    /// The problems of an operation that sets a part.
    pub(super) SetProblems = 400, "an id or a value is invalid, or a field is unknown", 404, NO_USER_OR_MOVIE,
        413, "the body is larger than 1 MiB";
    /// The problems of an operation that clears a part.
    pub(super) ClearProblems = 400, "an id is invalid", 404, NO_USER_OR_MOVIE;
    /// The problems of an operation that gets a part.
    pub(super) GetProblems = 400, "an id is invalid",
        404, "no such user (`user not found`), or not set for this movie (`reaction`, `rating` or `watch entry not found`)";
    /// The problems of a list.
    pub(super) ListProblems = 400, "the id or a parameter is invalid, or a parameter is unknown",
        404, "no such user: `user not found`";
}
