//! Lists of movies.

pub(super) mod entry;
pub(super) mod query;

use std::borrow::Cow;

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::{
        HeaderMap, HeaderName, HeaderValue,
        header::{CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, LINK, VARY},
        request::Parts,
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chassis::{
    Problem,
    client::CallError,
    extract::Query,
    language::{Language, VARY_BY_LANGUAGE},
    openapi::InvalidRequest,
    paging::next_link,
};
use chrono::NaiveDate;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use self::{
    entry::{Fields, MovieSummary},
    query::{ListQuery, ListRequest, Selected, next_cursor},
};
use super::{error::ApiError, language};
use crate::{
    models::{Movie, MovieId},
    service::{
        listing::{MoviePage, PageRequest, moves::Moment, query::WalkPlace},
        page_cache::CachedResponse,
        translation::TranslatedMovies,
    },
    state::AppState,
};

/// TMDB's image host, with posters 500 pixels wide.
pub(super) const POSTER_BASE: &str = "https://image.tmdb.org/t/p/w500";
/// TMDB's image host, with backdrops 780 pixels wide.
pub(super) const BACKDROP_BASE: &str = "https://image.tmdb.org/t/p/w780";

/// A page of movies.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MoviesResponse {
    /// The page number.
    #[schema(example = 1)]
    page: i64,
    /// Movies per page.
    #[schema(example = 20)]
    page_size: i64,
    /// The number of pages.
    #[schema(example = 33)]
    total_pages: i64,
    /// The number of movies on all pages.
    #[schema(example = 649)]
    total_results: i64,
    /// The movies.
    data: Vec<MovieSummary>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// For responses with users' reactions, which may change at any time.
pub(super) const NO_CACHE: &str = "private, no-cache";

/// The field that preference-service provides.
const STATS: &str = "stats";

/// Logs a failed call to another service, which leaves `field` out.
pub(super) fn available<T>(field: &str, result: Result<T, CallError>) -> Option<T> {
    result
        .inspect_err(|error| tracing::warn!(%error, field, "responding without an included field"))
        .ok()
}

pub(super) fn image(base: &str, path: Option<&str>) -> String {
    path.map(|path| format!("{base}{path}")).unwrap_or_default()
}

pub(super) fn day(date: Option<NaiveDate>) -> String {
    date.map(|date| date.to_string()).unwrap_or_default()
}

/// List movies
///
/// A page of the catalogue, filtered and sorted; or the movies with given ids. Walk a list by `page`, or by
/// `cursor`, which neither skips nor repeats movies while the catalogue changes.
#[utoipa::path(
    get,
    path = "/api/v1/movies",
    tag = "movies",
    params(ListQuery),
    responses(
        (status = 200, description = "a page of movies", body = MoviesResponse,
            headers(("Link" = String, description = "the next page"), ("ETag" = String, description = "the entity tag"),
                ("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        (status = 304, description = "unchanged since `If-None-Match`"),
        InvalidRequest,
    )
)]
pub(super) async fn list_movies(
    State(state): State<AppState>,
    mut parts: Parts,
) -> Result<Response, Problem> {
    let generation = state.listing.generation();
    let accepted = Language::accepted(&parts.headers);
    let key = page_key(&state, &parts, accepted);
    if let Some(page) = state.pages.find(&key, generation).await {
        return Ok(page.into_response());
    }
    let Query(query) = Query::<ListQuery>::from_request_parts(&mut parts, &state).await?;
    let mut request = query.parse().map_err(Problem::invalid)?;
    request.language = language::display(&state, request.language.or(accepted));
    let raw = parts.uri.query().unwrap_or_default();
    let key = page_key(&state, &parts, accepted);
    Ok(respond(&state, request, raw, &key, generation).await?)
}

/// The key of a cached page: the query, and the accepted language unless it is the catalogue's own.
fn page_key<'a>(state: &AppState, parts: &'a Parts, accepted: Option<Language>) -> Cow<'a, str> {
    let raw = parts.uri.query().unwrap_or_default();
    match language::display(state, accepted) {
        // A query contains no space.
        Some(language) => Cow::Owned(format!("{language} {raw}")),
        None => Cow::Borrowed(raw),
    }
}

/// Responds to `request`, written as `raw`, and caches the page by `key` for this generation of the index.
async fn respond(
    state: &AppState,
    request: ListRequest,
    raw: &str,
    key: &str,
    generation: u64,
) -> Result<Response, ApiError> {
    let ListRequest {
        selected,
        fields,
        region,
        language,
        fingerprint,
    } = request;
    let includes = fields.includes(language);
    let region = region.as_deref();
    let with_stats = fields.has(STATS);
    let cache_control = with_stats.then_some([(CACHE_CONTROL, NO_CACHE)]);
    let request = match selected {
        Selected::Page(request) => PageRequest {
            includes,
            ..*request
        },
        Selected::Batch(ids) => {
            let TranslatedMovies { movies, language } = state.listing.batch(&ids, includes).await?;
            let count = i64::try_from(movies.len()).unwrap_or(i64::MAX);
            let response = MoviesResponse {
                page: 1,
                page_size: i64::try_from(ids.len()).unwrap_or(i64::MAX),
                total_pages: count.min(1),
                total_results: count,
                data: summarize(state, movies, &fields, region).await,
                next_cursor: None,
            };
            let language = language::headers(state, language);
            return Ok((cache_control, language, Json(response)).into_response());
        }
    };
    state.listing.check_filter(&request.filter).await?;
    let MoviePage {
        total_pages,
        total_results,
        movies,
        language,
        next,
    } = state.listing.list(&request).await?;
    let response = MoviesResponse {
        page: request.page,
        page_size: request.page_size,
        total_pages,
        total_results,
        data: summarize(state, movies, &fields, region).await,
        next_cursor: None,
    };
    let body = serde_json::to_vec(&response).map_err(ApiError::Serialization)?;
    let language = language::content(state, language);
    let page = page_response(body, language, &request, next, &fingerprint, raw);
    if !with_stats {
        state.pages.insert(key, generation, page.clone()).await;
    }
    Ok((cache_control, page).into_response())
}

pub(super) async fn summarize(
    state: &AppState,
    movies: Vec<Movie>,
    fields: &Fields,
    region: Option<&str>,
) -> Vec<MovieSummary> {
    let ids: Vec<MovieId> = movies.iter().map(|movie| movie.id).collect();
    let movies = movies.into_iter();
    let mut summaries: Vec<MovieSummary> = movies
        .map(|movie| fields.summarize(movie, region))
        .collect();
    if fields.has(STATS) && !ids.is_empty() {
        let stats = available(STATS, state.platform.stats(ids.iter().copied()).await);
        for (movie, id) in summaries.iter_mut().zip(&ids) {
            movie.stats = Some(stats.as_ref().and_then(|stats| stats.get(id).cloned()));
        }
    }
    summaries
}

/// The end of a serialized [`MoviesResponse`] without a cursor.
const NO_CURSOR: &[u8] = b"null}";

/// Puts the cursor of the next page into `body`, so that a page is serialized once, and makes its entity tag. The start
/// of a walk changes with every change of any movie; the tag leaves it out, since a client can go on with the cursor
/// that it has.
fn page_response(
    mut body: Vec<u8>,
    language: Language,
    request: &PageRequest,
    next: Option<WalkPlace>,
    fingerprint: &str,
    raw: &str,
) -> CachedResponse {
    let mut hash = Sha256::new_with_prefix(&body);
    let mut link = None;
    if let Some(place) = next {
        let cursor = next_cursor(request, fingerprint, &place);
        let since = Moment::default();
        let undated = WalkPlace { since, ..place };
        hash.update(next_cursor(request, fingerprint, &undated));
        body.truncate(body.len() - NO_CURSOR.len());
        // Base64 needs no escapes.
        body.extend_from_slice(format!("\"{cursor}\"}}").as_bytes());
        link = Some(next_page(raw, &cursor).into());
    }
    CachedResponse {
        etag: format!("\"{}\"", short_hash(hash, 16)).into(),
        language: language.to_string().into(),
        link,
        body: body.into(),
    }
}

impl IntoResponse for CachedResponse {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(VARY, VARY_BY_LANGUAGE);
        let mut insert = |name: HeaderName, value: Bytes| {
            if let Ok(value) = HeaderValue::from_maybe_shared(value) {
                headers.insert(name, value);
            }
        };
        insert(ETAG, self.etag);
        insert(CONTENT_LANGUAGE, self.language);
        if let Some(link) = self.link {
            insert(LINK, link);
        }
        (headers, self.body).into_response()
    }
}

/// The first `bytes` bytes of a hash, hexadecimal.
pub(super) fn short_hash(hash: Sha256, bytes: usize) -> String {
    let mut text = format!("{:x}", hash.finalize());
    text.truncate(2 * bytes);
    text
}

/// The link to the next page: the same query, with `cursor` instead of a page number.
fn next_page(raw: &str, cursor: &str) -> String {
    let pairs: Vec<_> = url::form_urlencoded::parse(raw.as_bytes())
        .filter(|(name, _)| name != "page" && name != "cursor")
        .collect();
    let pairs = pairs
        .iter()
        .map(|(name, value)| (&**name, Some(value.to_string())));
    let cursor = ("cursor", Some(cursor.to_owned()));
    next_link("/api/v1/movies", &pairs.chain([cursor]).collect::<Vec<_>>())
}
