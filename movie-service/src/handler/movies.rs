//! Lists of films.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, header::LINK},
};
use chassis::{
    extract::{Bounded, Query},
    paging::{Cursor, DEFAULT_PAGE_SIZE, Page, PageSize, next_link},
    problem::{FieldError, ProblemDocument},
};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::error::ApiError;
use crate::{
    app::AppState,
    models::{Movie, MovieId},
    repository::movies::{Filter, Order, Position, SortBy},
    service::catalogue::PageStart,
};

/// TMDB's host of images, with the width that lists and details show a poster in.
pub(super) const POSTER_BASE: &str = "https://image.tmdb.org/t/p/w500";

#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum SortByParam {
    ReleaseDate,
    Title,
    Popularity,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, ToSchema, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum OrderParam {
    Asc,
    Desc,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The page's number, from 1.
    #[param(inline, example = 1)]
    page: Option<Page>,
    /// How many films a page has.
    #[param(inline, example = 20)]
    page_size: Option<PageSize>,
    /// What the list is ordered by: `popularity` where not given.
    #[param(inline)]
    sort_by: Option<SortByParam>,
    /// Which way: `desc` where not given.
    #[param(inline)]
    order: Option<OrderParam>,
    /// The first day of release, inclusive.
    #[param(example = "1999-01-01")]
    release_date_from: Option<NaiveDate>,
    /// The last day of release, inclusive.
    #[param(example = "1999-12-31")]
    release_date_to: Option<NaiveDate>,
    /// The `next_cursor` of the page before, instead of `page`: goes on without skips or repeats
    /// while films change. The other parameters must be the same as then.
    cursor: Option<String>,
}

/// A film in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MovieSummary {
    /// TMDB's id.
    id: MovieId,
    /// The title.
    #[schema(example = "The Matrix")]
    title: String,
    /// The day of the first release, `YYYY-MM-DD`; empty where unknown.
    #[schema(example = "1999-03-31")]
    release_date: String,
    /// TMDB's popularity.
    #[schema(example = 73.5)]
    popularity: f64,
    /// The poster, 500 pixels wide; empty where there is none.
    #[schema(example = "")]
    poster_url: String,
}

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

pub(super) fn image(base: &str, path: Option<&str>) -> String {
    path.map(|path| format!("{base}{path}")).unwrap_or_default()
}

pub(super) fn day(date: Option<NaiveDate>) -> String {
    date.map(|date| date.to_string()).unwrap_or_default()
}

impl From<Movie> for MovieSummary {
    fn from(movie: Movie) -> Self {
        Self {
            id: movie.id,
            release_date: day(movie.release_date),
            popularity: movie.popularity,
            poster_url: image(POSTER_BASE, movie.poster_path.as_deref()),
            title: movie.title,
        }
    }
}

/// What a cursor of this list holds. The order is in it, so that a cursor cannot be used in another.
#[derive(Serialize, Deserialize)]
struct ListCursor {
    sort_by: SortByParam,
    order: OrderParam,
    page: i64,
    key: String,
    id: i64,
}

impl Cursor for ListCursor {}

impl ListQuery {
    fn start(&self, sort_by: SortByParam, order: OrderParam) -> Result<PageStart, FieldError> {
        let Some(text) = &self.cursor else {
            return Ok(PageStart::Number(self.page.map_or(1, Bounded::get)));
        };
        if self.page.is_some() {
            return Err(FieldError::new(
                "page",
                "cannot be given together with cursor",
            ));
        }
        let cursor = ListCursor::decode(text)
            .ok_or_else(|| FieldError::new("cursor", "must be a next_cursor of this list"))?;
        if (cursor.sort_by, cursor.order) != (sort_by, order) {
            return Err(FieldError::new(
                "cursor",
                "belongs to another sort_by or order",
            ));
        }
        Ok(PageStart::After {
            page: cursor.page,
            position: Position {
                key: cursor.key,
                id: cursor.id,
            },
        })
    }
}

/// List films
///
/// A page of the catalogue. Walk it by `page`, or by `cursor`, which neither skips nor repeats films
/// while the catalogue changes.
#[utoipa::path(
    get,
    path = "/api/v1/movies",
    tag = "movies",
    params(ListQuery),
    responses(
        (status = 200, description = "a page of films", body = ListResponse,
            headers(("Link" = String, description = "the next page"), ("ETag" = String, description = "of this page"))),
        (status = 304, description = "the page is the one that `If-None-Match` names"),
        (status = 400, description = "a parameter is wrong", body = ProblemDocument, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list_movies(
    State(state): State<AppState>,
    Query(query): Query<ListQuery>,
) -> Result<(HeaderMap, Json<ListResponse>), ApiError> {
    let sort_by = query.sort_by.unwrap_or(SortByParam::Popularity);
    let order = query.order.unwrap_or(OrderParam::Desc);
    let start = query
        .start(sort_by, order)
        .map_err(|error| ApiError::Invalid(vec![error]))?;
    let page_size = query.page_size.map_or(DEFAULT_PAGE_SIZE, Bounded::get);
    let filter = Filter {
        release_date_from: query.release_date_from,
        release_date_to: query.release_date_to,
    };
    let page = state
        .catalogue
        .list(&filter, sort_by.into(), order.into(), start, page_size)
        .await?;
    let next_cursor = page.next.map(|position| {
        ListCursor {
            sort_by,
            order,
            page: page.page + 1,
            key: position.key,
            id: position.id,
        }
        .encode()
    });
    let mut headers = HeaderMap::new();
    if let Some(cursor) = &next_cursor {
        let own = [
            ("page_size", Some(page_size.to_string())),
            ("sort_by", query.sort_by.map(|_| text(&sort_by))),
            ("order", query.order.map(|_| text(&order))),
            (
                "release_date_from",
                query.release_date_from.map(|date| date.to_string()),
            ),
            (
                "release_date_to",
                query.release_date_to.map(|date| date.to_string()),
            ),
            ("cursor", Some(cursor.clone())),
        ];
        if let Ok(link) = HeaderValue::try_from(next_link("/api/v1/movies", &own)) {
            headers.insert(LINK, link);
        }
    }
    let response = ListResponse {
        page: page.page,
        page_size,
        total_pages: page.total_pages,
        total_results: page.total_results,
        data: page.movies.into_iter().map(MovieSummary::from).collect(),
        next_cursor,
    };
    Ok((headers, Json(response)))
}

/// The text under which a parameter's value travels.
fn text(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

impl From<SortByParam> for SortBy {
    fn from(param: SortByParam) -> Self {
        match param {
            SortByParam::ReleaseDate => Self::ReleaseDate,
            SortByParam::Title => Self::Title,
            SortByParam::Popularity => Self::Popularity,
        }
    }
}

impl From<OrderParam> for Order {
    fn from(param: OrderParam) -> Self {
        match param {
            OrderParam::Asc => Self::Asc,
            OrderParam::Desc => Self::Desc,
        }
    }
}
