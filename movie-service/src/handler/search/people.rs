//! The endpoints of people and keywords, whose ids filters take.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use chassis::{
    extract::{Path, Query},
    language::{AcceptLanguage, Language},
    openapi::{InvalidId, InvalidRequest},
    paging::{DEFAULT_PAGE_SIZE, Page, PageSize},
};
use filter::{FacetKind, Term};
use search::{Kind, Results};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Highlight, name_in,
    query::{NameQuery, next_cursor},
};
use crate::{
    handler::{
        error::{ApiError, PersonNotFound, SearchUnavailable},
        language,
        movies::{POSTER_BASE, day, image},
    },
    models::{Filter, Includes, Movie, MovieId, Order, SortBy},
    service::{listing::PageRequest, search::SearchRequest},
    state::AppState,
};

/// A person or keyword that a name finds.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::handler) struct NamedHit {
    /// TMDB's id, which filters take.
    #[schema(example = 10099)]
    id: i64,
    /// The name.
    #[schema(example = "Park Chan-wook")]
    name: String,
    /// The number of movies in the catalogue.
    #[schema(example = 8)]
    movie_count: usize,
    /// The name by which it was found.
    highlight: Highlight,
}

/// A page of people or keywords.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::handler) struct NamesResponse {
    /// The name.
    #[schema(example = "park chan")]
    query: String,
    /// Results per page.
    #[schema(example = 20)]
    page_size: i64,
    /// The number of results on all pages.
    #[schema(example = 1)]
    total_results: usize,
    /// The results, best first.
    data: Vec<NamedHit>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// Search people
///
/// Finds members of casts and crews by name, with the ids that the filter `people` takes. The name is read as the query
/// of a search.
#[utoipa::path(
    get,
    path = "/api/v1/people",
    tag = "search",
    params(NameQuery),
    responses((status = 200, description = "a page of people", body = NamesResponse), InvalidRequest, SearchUnavailable)
)]
pub(in crate::handler) async fn search_people(
    State(state): State<AppState>,
    accepted: AcceptLanguage,
    Query(query): Query<NameQuery>,
) -> Result<Response, ApiError> {
    find(&state, &query, accepted, Kind::Person, FacetKind::Person).await
}

/// Search keywords
///
/// Finds keywords, with the ids that the filter `keywords` takes.
#[utoipa::path(
    get,
    path = "/api/v1/keywords",
    tag = "search",
    params(NameQuery),
    responses((status = 200, description = "a page of keywords", body = NamesResponse), InvalidRequest, SearchUnavailable)
)]
pub(in crate::handler) async fn search_keywords(
    State(state): State<AppState>,
    accepted: AcceptLanguage,
    Query(query): Query<NameQuery>,
) -> Result<Response, ApiError> {
    find(&state, &query, accepted, Kind::Keyword, FacetKind::Keyword).await
}

async fn find(
    state: &AppState,
    query: &NameQuery,
    accepted: AcceptLanguage,
    kind: Kind,
    facet: FacetKind,
) -> Result<Response, ApiError> {
    let request = query.parse().map_err(ApiError::Invalid)?;
    let Results {
        hits, total, next, ..
    } = state
        .search
        .find(SearchRequest {
            query: request.query.clone(),
            kind,
            filter: Filter::default(),
            limit: usize::try_from(request.page_size).unwrap_or(1),
            after: request.after,
            facets: false,
        })
        .await?;
    let requested = language::display(state, query.language.or(accepted.0));
    let mut used = None;
    let ids: Vec<i64> = hits.iter().map(|hit| hit.id).collect();
    let counts = state.listing.movies_of(facet, &ids);
    let data = hits
        .iter()
        .zip(counts)
        .map(|(hit, (movie_count, _))| NamedHit {
            id: hit.id,
            name: name_in(hit, requested, &mut used),
            movie_count,
            highlight: Highlight::new(hit),
        });
    let response = NamesResponse {
        data: data.collect(),
        page_size: request.page_size,
        total_results: total,
        next_cursor: next.map(|place| next_cursor(place, &request.fingerprint)),
        query: request.query,
    };
    Ok((language::headers(state, used), Json(response)).into_response())
}

/// A movie of a person.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::handler) struct FilmographyEntry {
    /// TMDB's id.
    id: MovieId,
    /// The title.
    #[schema(example = "Oldboy")]
    title: String,
    /// The day of the first release, `YYYY-MM-DD`; empty if unknown.
    #[schema(example = "2003-11-21")]
    release_date: String,
    /// The poster, 500 pixels wide; empty if there is none.
    #[schema(example = "")]
    poster_url: String,
    /// The person's jobs: `Director`, `Writer`, `Screenplay` or `Actor`.
    #[schema(example = json!(["Director", "Screenplay"]))]
    jobs: Vec<String>,
}

/// A person with a page of the filmography.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::handler) struct PersonResponse {
    /// TMDB's id.
    #[schema(example = 10099)]
    id: i64,
    /// The name.
    #[schema(example = "Park Chan-wook")]
    name: String,
    /// The page number.
    #[schema(example = 1)]
    page: i64,
    /// Movies per page.
    #[schema(example = 20)]
    page_size: i64,
    /// The number of pages.
    #[schema(example = 1)]
    total_pages: i64,
    /// The number of movies in the catalogue.
    #[schema(example = 8)]
    total_results: i64,
    /// The movies, the latest first.
    filmography: Vec<FilmographyEntry>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::handler) struct PersonQuery {
    /// The page number, from 1.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100_000, default = 1, example = 1)]
    page: Option<Page>,
    /// Movies per page.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 100, default = 20, example = 20)]
    page_size: Option<PageSize>,
    /// The display language, BCP 47; names and titles that are not known in it keep those of the catalogue.
    #[param(value_type = Option<String>, example = "ko-KR")]
    language: Option<Language>,
}

/// Get a person
///
/// A member of casts or crews with the movies of the catalogue in which the person directs, writes or plays one of the
/// first ten roles, the latest first.
#[utoipa::path(
    get,
    path = "/api/v1/people/{id}",
    tag = "search",
    params(("id" = i64, Path, description = "TMDB's id of the person", example = 10099), PersonQuery),
    responses(
        (status = 200, description = "the person", body = PersonResponse),
        InvalidId, PersonNotFound,
    )
)]
pub(in crate::handler) async fn get_person(
    State(state): State<AppState>,
    Path(id): Path<i64>,
    accepted: AcceptLanguage,
    Query(query): Query<PersonQuery>,
) -> Result<Response, ApiError> {
    let requested = language::display(&state, query.language.or(accepted.0));
    let page = query.page.map_or(1, Page::get);
    let page_size = query.page_size.map_or(DEFAULT_PAGE_SIZE, PageSize::get);
    let request = PageRequest {
        filter: Filter {
            people: vec![vec![Term::Id(id)]],
            ..Filter::default()
        },
        sort_by: SortBy::ReleaseDate,
        order: Order::Desc,
        page,
        after: None,
        page_size,
        includes: Includes {
            people: true,
            language: requested,
            ..Includes::default()
        },
    };
    let list = state.listing.list(&request).await?;
    if list.total_results == 0 {
        return Err(ApiError::PersonNotFound);
    }
    let credited = |movie: &Movie| {
        movie
            .people
            .iter()
            .find(|person| person.id == id)
            .map(|person| person.name.clone())
    };
    let name = match list.movies.iter().find_map(credited) {
        Some(name) => name,
        // A page behind the last one.
        None => {
            let first = state
                .listing
                .list(&PageRequest {
                    page: 1,
                    page_size: 1,
                    ..request
                })
                .await?;
            first
                .movies
                .iter()
                .find_map(credited)
                .ok_or(ApiError::PersonNotFound)?
        }
    };
    let entry = |movie: Movie| {
        let mut jobs: Vec<String> = Vec::new();
        for person in movie.people.iter().filter(|person| person.id == id) {
            if !jobs.contains(&person.job) {
                jobs.push(person.job.clone());
            }
        }
        FilmographyEntry {
            id: movie.id,
            release_date: day(movie.release_date),
            poster_url: image(POSTER_BASE, movie.poster_path.as_deref()),
            title: movie.title,
            jobs,
        }
    };
    let response = PersonResponse {
        id,
        name,
        page,
        page_size,
        total_pages: list.total_pages,
        total_results: list.total_results,
        filmography: list.movies.into_iter().map(entry).collect(),
    };
    let language = language::headers(&state, list.language);
    Ok((language, Json(response)).into_response())
}
