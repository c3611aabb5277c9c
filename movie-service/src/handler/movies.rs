//! Lists of films.

pub(super) mod entry;
mod query;

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{
        HeaderMap, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LINK},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use chassis::{
    Problem,
    client::CallError,
    extract::Query,
    paging::next_link,
    problem::{FieldError, ProblemDocument},
};
use chrono::NaiveDate;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use self::{
    entry::MovieSummary,
    query::{ListQuery, ListRequest, Wanted, next_cursor},
};
use super::error::ApiError;
use crate::{
    models::{Filter, ListedMovie, MovieId},
    service::{
        listing::{Listing, WalkPlace, moves::Moment},
        page_cache::Answer,
    },
    state::AppState,
};

/// TMDB's host of images, with the width that lists and details show a poster in.
pub(super) const POSTER_BASE: &str = "https://image.tmdb.org/t/p/w500";

/// A page of films.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListResponse {
    /// The page's number.
    #[schema(example = 1)]
    page: i64,
    /// How many films a page has.
    #[schema(example = 20)]
    page_size: i64,
    /// How many pages there are.
    #[schema(example = 33)]
    total_pages: i64,
    /// How many films there are.
    #[schema(example = 649)]
    total_results: i64,
    /// The films.
    data: Vec<MovieSummary>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// For answers that hold what users do, which is another thing a moment later.
pub(super) const NO_CACHE: &str = "private, no-cache";

/// The field that another service knows.
const STATS: &str = "stats";

/// What another service said of films; none where it cannot be asked now.
pub(super) fn heard<T>(what: &str, answer: Result<T, CallError>) -> Option<T> {
    answer
        .inspect_err(
            |error| tracing::warn!(%error, what, "a film comes without what was to be included"),
        )
        .ok()
}

pub(super) fn image(base: &str, path: Option<&str>) -> String {
    path.map(|path| format!("{base}{path}")).unwrap_or_default()
}

pub(super) fn day(date: Option<NaiveDate>) -> String {
    date.map(|date| date.to_string()).unwrap_or_default()
}

/// List films
///
/// A page of the catalogue, filtered and ordered; or the films of a batch of ids. Walk a list by
/// `page`, or by `cursor`, which neither skips nor repeats films while the catalogue changes.
#[utoipa::path(
    get,
    path = "/api/v1/movies",
    tag = "movies",
    params(ListQuery),
    responses(
        (status = 200, description = "a page of films", body = ListResponse,
            headers(("Link" = String, description = "the next page"), ("ETag" = String, description = "of this page"))),
        (status = 304, description = "the page is the one that `If-None-Match` names"),
        (status = 400, description = "a parameter is wrong; `errors` names each", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_movies(
    State(state): State<AppState>,
    mut parts: Parts,
) -> Result<Response, Problem> {
    let generation = state.listing.generation();
    let raw = parts.uri.query().unwrap_or_default();
    if let Some(page) = state.pages.find(raw, generation).await {
        return Ok(page.into_response());
    }
    let Query(query) = Query::from_request_parts(&mut parts, &state).await?;
    let raw = parts.uri.query().unwrap_or_default();
    Ok(answer(&state, query, raw, generation).await?)
}

/// Answers `query`, whose text is `raw`, and keeps the page as one of this generation.
async fn answer(
    state: &AppState,
    query: ListQuery,
    raw: &str,
    generation: u64,
) -> Result<Response, ApiError> {
    let ListRequest {
        wanted,
        fields,
        region,
        fingerprint,
    } = query.parse().map_err(ApiError::Invalid)?;
    let show = async |movies: Vec<ListedMovie>| {
        let ids: Vec<MovieId> = movies.iter().map(|movie| movie.id).collect();
        let mut shown: Vec<MovieSummary> = movies
            .into_iter()
            .map(|movie| fields.show(movie, region.as_deref()))
            .collect();
        if fields.has(STATS) && !ids.is_empty() {
            let stats = heard(STATS, state.platform.stats(ids.iter().copied()).await);
            for (film, id) in shown.iter_mut().zip(&ids) {
                film.stats = Some(stats.as_ref().and_then(|stats| stats.get(id).cloned()));
            }
        }
        shown
    };
    let cache_control = fields.has(STATS).then_some([(CACHE_CONTROL, NO_CACHE)]);
    let request = match wanted {
        Wanted::Page(request) => request,
        Wanted::Batch(ids) => {
            let movies = state.listing.batch(&ids, fields.includes()).await?;
            let count = i64::try_from(movies.len()).unwrap_or(i64::MAX);
            let response = ListResponse {
                page: 1,
                page_size: i64::try_from(ids.len()).unwrap_or(i64::MAX),
                total_pages: count.min(1),
                total_results: count,
                data: show(movies).await,
                next_cursor: None,
            };
            return Ok((cache_control, Json(response)).into_response());
        }
    };
    check_genres(&state.listing, &request.filter).await?;
    let page = state.listing.list(&request).await?;
    let next_cursor_of = |place: &WalkPlace| next_cursor(&request, &fingerprint, page.page, place);
    let next_cursor = page.next.as_ref().map(next_cursor_of);
    let link = next_cursor.as_ref().map(|cursor| next_page(raw, cursor));
    // When the walk began moves with every change of any film. A page that is otherwise the same is
    // as good with the cursor that a client has already, so its tag goes without.
    let stable_cursor = page.next.as_ref().map(|place| {
        let place = WalkPlace {
            since: Moment::default(),
            ..place.clone()
        };
        next_cursor_of(&place)
    });
    let mut response = ListResponse {
        page: page.page,
        page_size: request.page_size,
        total_pages: page.total_pages,
        total_results: page.total_results,
        data: show(page.movies).await,
        next_cursor: stable_cursor,
    };
    let tag = tag(&response);
    response.next_cursor = next_cursor;
    let page = Answer {
        tag,
        link: link.and_then(|link| HeaderValue::try_from(link).ok()),
        body: serde_json::to_vec(&response)
            .map_err(ApiError::Unwritable)?
            .into(),
    };
    if cache_control.is_none() {
        state.pages.keep(raw, generation, page.clone()).await;
    }
    Ok((cache_control, page).into_response())
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ETAG, self.tag);
        if let Some(link) = self.link {
            headers.insert(LINK, link);
        }
        (headers, self.body).into_response()
    }
}

/// Refuses genres that do not exist: there are few, and whoever writes another has mistyped.
pub(super) async fn check_genres(listing: &Listing, filter: &Filter) -> Result<(), ApiError> {
    if filter.genres.is_empty() && filter.without_genres.is_empty() {
        return Ok(());
    }
    listing.ready().await?;
    let unknown = listing.unknown_genres(filter);
    if unknown.is_empty() {
        return Ok(());
    }
    let errors = unknown.into_iter().map(|genre| {
        let name = genre.name;
        let message = match genre.nearest {
            Some(near) => format!("unknown genre `{name}`; did you mean `{near}`?"),
            None => format!("unknown genre `{name}`; GET /api/v1/genres lists those that exist"),
        };
        FieldError::new(genre.field, message)
    });
    Err(ApiError::Invalid(errors.collect()))
}

/// A strong tag of `response`.
fn tag(response: &ListResponse) -> HeaderValue {
    let text = serde_json::to_vec(response).unwrap_or_default();
    let tag = format!("\"{}\"", short_hash(Sha256::new_with_prefix(text), 16));
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The first `bytes` bytes of a hash, hexadecimal.
fn short_hash(hash: Sha256, bytes: usize) -> String {
    use std::fmt::Write;
    let digest = hash.finalize();
    let digits = digest.iter().take(bytes);
    digits.fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The link to the next page: what was asked for, from `cursor` on.
fn next_page(raw: &str, cursor: &str) -> String {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(raw.as_bytes())
        .into_owned()
        .filter(|(name, _)| name != "page" && name != "cursor")
        .chain([("cursor".to_owned(), cursor.to_owned())])
        .collect();
    let pairs: Vec<(&str, Option<String>)> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), Some(value.clone())))
        .collect();
    next_link("/api/v1/movies", &pairs)
}
