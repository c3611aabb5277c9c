//! The endpoints of search: movies, suggestions while typing, popular queries, people, keywords.

mod highlight;
pub(super) mod people;
mod query;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header::LINK},
    response::{IntoResponse, Response},
};
use chassis::{
    caller::Caller,
    extract::Query,
    language::{AcceptLanguage, Language},
    openapi::InvalidRequest,
};
use search::{Facets, Hit, Kind, Name, Results};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::{
    highlight::Highlight,
    query::{SearchQuery, check_text, next_cursor},
};
use super::{
    error::{ApiError, SearchUnavailable},
    language,
    movies::{POSTER_BASE, entry::MovieSummary, image, summarize},
};
use crate::{
    models::{GenreCount, MovieId},
    service::{
        search::{SearchRequest, build::Shown},
        translation::TranslatedMovies,
    },
    state::AppState,
};

/// Suggestions per response.
const MAX_SUGGESTIONS: i64 = 8;
/// Popular queries per response.
const MAX_POPULAR: i64 = 50;

/// A movie that a query finds.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MovieHit {
    /// The movie.
    #[serde(flatten)]
    movie: MovieSummary,
    /// The name by which it was found.
    highlight: Highlight,
    /// The score, comparable within this query.
    #[schema(example = 1.04)]
    score: f32,
}

/// The number of movies of a genre.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct GenreFacet {
    /// TMDB's id.
    #[schema(example = 53)]
    id: u32,
    /// The name in the display language, if it is known.
    #[schema(example = "Thriller")]
    name: String,
    /// Movies that the query finds.
    #[schema(example = 12)]
    count: usize,
}

/// The number of movies of a year.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct YearFacet {
    /// The year of release.
    #[schema(example = 2003)]
    year: u16,
    /// Movies that the query finds.
    #[schema(example = 3)]
    count: usize,
}

/// The number of movies of a language.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LanguageFacet {
    /// The original language, ISO 639-1.
    #[schema(example = "ko")]
    language: String,
    /// Movies that the query finds.
    #[schema(example = 5)]
    count: usize,
}

/// Movies that the query finds, by attributes.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FacetsResponse {
    /// By genre, the most frequent first.
    genres: Vec<GenreFacet>,
    /// By year of release, the latest first.
    years: Vec<YearFacet>,
    /// By original language, the most frequent first.
    languages: Vec<LanguageFacet>,
}

/// A page of search results.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SearchResponse {
    /// The query.
    #[schema(example = "oldboy")]
    query: String,
    /// Movies per page.
    #[schema(example = 20)]
    page_size: i64,
    /// The number of movies on all pages.
    #[schema(example = 1)]
    total_results: usize,
    /// The movies, best first.
    data: Vec<MovieHit>,
    /// All movies that the query finds, by attributes; null with `facets=false`.
    facets: Option<FacetsResponse>,
    /// The cursor of the next page; null on the last.
    next_cursor: Option<String>,
}

/// Search movies
///
/// Finds movies by their titles in all languages, their cast and directors, keywords and year. Accents, case, spaces and
/// punctuation do not matter; the last word may be incomplete; typing errors are tolerated in words of four letters or
/// more, never in numbers. Korean may be typed as initial consonants (`ㅅㅋㅇㅍ`), half-typed, or on the wrong keyboard
/// layout. A whole title comes first, then titles that start with the query, then others; among equals the better known
/// movie.
#[utoipa::path(
    get,
    path = "/api/v1/search",
    tag = "search",
    params(SearchQuery),
    responses(
        (status = 200, description = "a page of movies", body = SearchResponse,
            headers(("Link" = String, description = "the next page"))),
        InvalidRequest, SearchUnavailable,
    )
)]
pub(super) async fn search_movies(
    State(state): State<AppState>,
    caller: Caller,
    accepted: AcceptLanguage,
    Query(query): Query<SearchQuery>,
) -> Result<Response, ApiError> {
    let request = query.parse().map_err(ApiError::Invalid)?;
    state.listing.check_filter(&request.filter).await?;
    let is_first_page = request.after.is_none();
    let results = state
        .search
        .find(SearchRequest {
            query: request.query.clone(),
            kind: Kind::Movie,
            filter: request.filter,
            limit: usize::try_from(request.page_size).unwrap_or(1),
            after: request.after,
            facets: request.facets,
        })
        .await?;
    if is_first_page && results.total > 0 {
        state
            .popular
            .count(&request.query, caller.subject.as_deref());
    }
    let Results {
        hits,
        total,
        next,
        facets,
    } = results;
    let ids: Vec<MovieId> = hits.iter().filter_map(|hit| MovieId::new(hit.id)).collect();
    let requested = language::display(&state, request.language.or(accepted.0));
    let TranslatedMovies {
        movies,
        language: used,
    } = state
        .listing
        .batch(&ids, request.fields.includes(requested))
        .await?;
    // A movie that was removed a moment ago is left out.
    let mut found: Vec<&Hit> = Vec::with_capacity(movies.len());
    for movie in &movies {
        found.extend(hits.iter().find(|hit| hit.id == movie.id.get()));
    }
    let matches: Vec<(Highlight, f32)> = found
        .iter()
        .map(|hit| (Highlight::new(hit), hit.score))
        .collect();
    let summaries = summarize(&state, movies, &request.fields, request.region.as_deref()).await;
    let data = summaries
        .into_iter()
        .zip(matches)
        .map(|(movie, (highlight, score))| MovieHit {
            movie,
            highlight,
            score,
        });
    let next_cursor = next.map(|place| next_cursor(place, &request.fingerprint));
    let facets = match request.facets {
        true => Some(name_facets(&state, facets, requested).await?),
        false => None,
    };
    let response = SearchResponse {
        query: request.query,
        page_size: request.page_size,
        total_results: total,
        data: data.collect(),
        facets,
        next_cursor,
    };
    let link = response
        .next_cursor
        .as_ref()
        .map(|cursor| query.next_link(cursor));
    let link = link
        .and_then(|link| HeaderValue::try_from(link).ok())
        .map(|link| [(LINK, link)]);
    Ok((language::headers(&state, used), link, Json(response)).into_response())
}

async fn name_facets(
    state: &AppState,
    facets: Facets,
    language: Option<Language>,
) -> Result<FacetsResponse, ApiError> {
    let (names, _) = state.listing.genres(language).await?;
    let genre = |named: GenreCount| {
        let id = u32::try_from(named.id).ok()?;
        let count = facets.genres.get(&id).copied()?;
        let name = named.name;
        Some(GenreFacet { id, name, count })
    };
    let mut genres: Vec<GenreFacet> = names.into_iter().filter_map(genre).collect();
    genres.sort_by(|one, two| {
        two.count
            .cmp(&one.count)
            .then_with(|| one.name.cmp(&two.name))
    });
    let years = facets
        .years
        .into_iter()
        .rev()
        .map(|(year, count)| YearFacet { year, count });
    let languages = facets
        .languages
        .into_iter()
        .map(|(language, count)| LanguageFacet { language, count });
    let mut languages: Vec<LanguageFacet> = languages.collect();
    languages.sort_by(|one, two| {
        two.count
            .cmp(&one.count)
            .then_with(|| one.language.cmp(&two.language))
    });
    Ok(FacetsResponse {
        genres,
        years: years.collect(),
        languages,
    })
}

/// The kind of a suggestion.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SuggestionKind {
    /// A movie.
    Movie,
    /// A member of casts or crews.
    Person,
    /// A keyword.
    Keyword,
}

/// A suggestion.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Suggestion {
    /// The kind.
    r#type: SuggestionKind,
    /// TMDB's id.
    #[schema(example = 670)]
    id: i64,
    /// The title or name in the display language, if it is known.
    #[schema(example = "Oldboy")]
    name: String,
    /// The name by which it was found.
    highlight: Highlight,
    /// The year of release of a movie; null if unknown.
    #[schema(example = 2003)]
    year: Option<i32>,
    /// The poster of a movie, 500 pixels wide; empty if there is none.
    #[schema(example = "")]
    poster_url: String,
}

/// Suggestions for a query.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SuggestionsResponse {
    /// The query.
    #[schema(example = "old")]
    query: String,
    /// The suggestions, best first.
    data: Vec<Suggestion>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SuggestQuery {
    /// The query as typed so far, 1 to 200 characters.
    #[param(value_type = String, example = "old", min_length = 1, max_length = 200, pattern = r"^[^\u0000-\u0008\u000E-\u001F\u007F-\u009F]*[^\s\u0000-\u001F\u007F-\u009F][^\u0000-\u0008\u000E-\u001F\u007F-\u009F]*$")]
    q: Option<String>,
    /// Suggestions.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 8, default = 8, example = 5)]
    limit: Option<String>,
    /// The display language, BCP 47; a name that is not known in it keeps that of the catalogue.
    #[param(value_type = Option<String>, example = "ko-KR")]
    language: Option<Language>,
}

/// Suggest while typing
///
/// Suggests movies, people and keywords for a query that is not typed to the end, at most 8. The query is read as that of
/// a search.
#[utoipa::path(
    get,
    path = "/api/v1/search/suggest",
    tag = "search",
    params(SuggestQuery),
    responses(
        (status = 200, description = "suggestions, perhaps none", body = SuggestionsResponse),
        InvalidRequest, SearchUnavailable,
    )
)]
pub(super) async fn suggest(
    State(state): State<AppState>,
    accepted: AcceptLanguage,
    Query(query): Query<SuggestQuery>,
) -> Result<Response, ApiError> {
    let requested = query.language;
    let mut check = chassis::validate::Validator::default();
    let text = check_text(query.q.as_deref(), &mut check);
    let limit = check.integer("limit", query.limit.as_deref(), 1..=MAX_SUGGESTIONS);
    let query = check.finish(text).map_err(ApiError::Invalid)?;
    let limit = usize::try_from(limit.unwrap_or(MAX_SUGGESTIONS)).unwrap_or(1);
    let requested = language::display(&state, requested.or(accepted.0));
    let suggestions = state.search.suggest(query.clone(), limit).await?;
    let mut used = None;
    let data = suggestions.into_iter().map(|(kind, hit)| {
        let shown: Shown = serde_json::from_str(&hit.payload).unwrap_or_default();
        Suggestion {
            r#type: match kind {
                Kind::Movie => SuggestionKind::Movie,
                Kind::Person => SuggestionKind::Person,
                Kind::Keyword => SuggestionKind::Keyword,
            },
            id: hit.id,
            name: name_in(&hit, requested, &mut used),
            highlight: Highlight::new(&hit),
            year: shown.year,
            poster_url: image(POSTER_BASE, shown.poster_path.as_deref()),
        }
    });
    let data = data.collect();
    let response = Json(SuggestionsResponse { data, query });
    Ok((language::headers(&state, used), response).into_response())
}

/// The name of a hit in `requested`, which is then `used`, or in the catalogue's language.
fn name_in(hit: &Hit, requested: Option<Language>, used: &mut Option<Language>) -> String {
    let is_in =
        |name: &&Name| name.language.as_deref() == requested.as_ref().map(Language::primary);
    let translated = requested.and_then(|_| hit.names.iter().find(is_in));
    if translated.is_some() {
        *used = requested;
    }
    let name = translated.or(hit.names.first());
    name.map(|name| name.text.clone()).unwrap_or_default()
}

/// A popular query.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PopularQueryResponse {
    /// The query.
    #[schema(example = "oldboy")]
    query: String,
    /// Searches in the last seven days; each user counts once a day.
    #[schema(example = 42)]
    count: i64,
}

/// Popular queries.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PopularResponse {
    /// The queries, the most frequent first.
    data: Vec<PopularQueryResponse>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PopularParams {
    /// Queries.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 50, default = 10, example = 10)]
    limit: Option<String>,
}

/// List popular queries
///
/// The queries that were searched most often in the last seven days and found something. Only numbers are stored, and a
/// query with few searches is not listed.
#[utoipa::path(
    get,
    path = "/api/v1/search/popular",
    tag = "search",
    params(PopularParams),
    responses((status = 200, description = "the queries, perhaps none", body = PopularResponse), InvalidRequest)
)]
pub(super) async fn list_popular(
    State(state): State<AppState>,
    Query(params): Query<PopularParams>,
) -> Result<Json<PopularResponse>, ApiError> {
    let mut check = chassis::validate::Validator::default();
    let limit = check.integer("limit", params.limit.as_deref(), 1..=MAX_POPULAR);
    let limit = check
        .finish(limit.unwrap_or(10))
        .map_err(ApiError::Invalid)?;
    let popular = state.popular.list(limit).await?;
    let data = popular.into_iter().map(|popular| PopularQueryResponse {
        query: popular.query,
        count: popular.count,
    });
    Ok(Json(PopularResponse {
        data: data.collect(),
    }))
}
