//! Single movies.

use axum::{
    Json,
    extract::State,
    http::{
        HeaderValue,
        header::{AGE, CACHE_CONTROL},
    },
    response::{IntoResponse, Response},
};
use chassis::{
    extract::{Path, Query},
    language::{AcceptLanguage, Language},
    openapi::InvalidRequest,
    validate::Validator,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::{
    error::{ApiError, MovieNotFound},
    language,
    movies::{
        BACKDROP_BASE, NO_CACHE, POSTER_BASE, available, day,
        entry::{Credit, pick},
        image, short_hash,
    },
};
use crate::{
    models::{Keyword, MovieId, MovieRef, Provider, Stats},
    service::{hydration::Served, page_cache::CachedResponse},
    state::AppState,
};

/// A movie.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MovieResponse {
    /// TMDB's id.
    id: MovieId,
    /// The title.
    #[schema(example = "The Matrix")]
    title: String,
    /// The plot summary; empty if unknown.
    overview: String,
    /// The day of the first release, `YYYY-MM-DD`; empty if unknown.
    #[schema(example = "1999-03-31")]
    release_date: String,
    /// Names of the genres, alphabetical.
    #[schema(example = json!(["Action", "Science Fiction"]))]
    genres: Vec<String>,
    /// The original language, ISO 639-1.
    #[schema(example = "en")]
    language: String,
    /// The runtime in minutes; 0 if unknown.
    #[schema(example = 136)]
    duration: i32,
    /// TMDB's popularity.
    #[schema(example = 73.5)]
    popularity: f64,
    /// The poster, 500 pixels wide; empty if there is none.
    #[schema(example = "")]
    poster_url: String,
    /// The backdrop, 780 pixels wide; empty if there is none.
    #[schema(example = "")]
    backdrop_url: String,
    /// TMDB's watch page.
    #[schema(example = "https://www.themoviedb.org/movie/603/watch")]
    booking_url: String,
    /// The title in the original language.
    #[schema(example = "The Matrix")]
    original_title: String,
    /// TMDB's vote average, 0 to 10.
    #[schema(example = 7.9)]
    vote_average: f64,
    /// The number of votes.
    #[schema(example = 13000)]
    vote_count: i32,
    /// The time of the last successful request to TMDB for the movie.
    synced_at: DateTime<Utc>,
    /// True if that is too long ago.
    #[schema(example = false)]
    stale: bool,
    /// IMDb's id; null if unknown.
    #[schema(example = "tt0133093")]
    imdb_id: Option<String>,
    /// Countries of production, ISO 3166-1.
    #[schema(example = json!(["US"]))]
    countries: Vec<String>,
    /// With `include=credits`: directors, writers and the first ten of the cast.
    #[serde(skip_serializing_if = "Option::is_none")]
    credits: Option<Vec<Credit>>,
    /// With `include=keywords`: the keywords.
    #[serde(skip_serializing_if = "Option::is_none")]
    keywords: Option<Vec<Keyword>>,
    /// With `include=providers`: watch providers.
    #[serde(skip_serializing_if = "Option::is_none")]
    providers: Option<Vec<Provider>>,
    /// With `include=stats`: users' reactions; null if they are unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Stats>)]
    stats: Option<Option<Stats>>,
    /// With `include=similar`: similar movies, as `GET /movies/{id}/similar` lists them; null if they are unavailable.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    similar: Option<Option<Box<RawValue>>>,
}

impl MovieResponse {
    fn new(served: &Served, includes: Includes) -> Self {
        let movie = &served.film.movie;
        Self {
            id: movie.id,
            release_date: day(movie.release_date),
            duration: movie.runtime.unwrap_or(0),
            popularity: movie.popularity,
            poster_url: image(POSTER_BASE, movie.poster_path.as_deref()),
            backdrop_url: image(BACKDROP_BASE, movie.backdrop_path.as_deref()),
            booking_url: format!("https://www.themoviedb.org/movie/{}/watch", movie.id),
            title: movie.title.clone(),
            overview: movie.overview.clone(),
            genres: movie.genres.clone(),
            language: movie.original_language.clone(),
            original_title: movie.original_title.clone(),
            vote_average: movie.vote_average,
            vote_count: movie.vote_count,
            synced_at: movie.synced_at,
            stale: served.stale_for.is_some(),
            imdb_id: movie.imdb_id.clone(),
            countries: movie.countries.clone(),
            credits: includes
                .credits
                .then(|| movie.people.iter().cloned().map(Credit::from).collect()),
            keywords: includes.keywords.then(|| movie.keywords.0.clone()),
            providers: includes.providers.then(|| movie.providers.0.clone()),
            stats: None,
            similar: None,
        }
    }
}

/// The optional parts of a movie.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
struct Includes {
    credits: bool,
    keywords: bool,
    providers: bool,
    stats: bool,
    similar: bool,
}

/// The values of `include`.
const INCLUDES: [&str; 5] = ["credits", "keywords", "providers", "stats", "similar"];

impl Includes {
    fn parse(list: &str) -> Result<Self, ApiError> {
        let names = list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty());
        let mut check = Validator::default();
        let names = pick("include", names, &INCLUDES, &mut check);
        let has = |name| names.contains(&name);
        let includes = Self {
            credits: has("credits"),
            keywords: has("keywords"),
            providers: has("providers"),
            stats: has("stats"),
            similar: has("similar"),
        };
        check.finish(includes).map_err(ApiError::Invalid)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct MovieQuery {
    /// Optional parts, separated by commas: `credits`, `keywords`, `providers`, `stats`, `similar`.
    #[param(
        example = "credits,providers",
        pattern = r"^(credits|keywords|providers|stats|similar)(,(credits|keywords|providers|stats|similar))*$"
    )]
    include: Option<String>,
    /// The display language (BCP 47); by default that of `Accept-Language`, else the catalogue's own. Title, overview,
    /// genres and names that are not translated into it are the catalogue's.
    #[param(value_type = Option<String>, example = "ko-KR")]
    language: Option<Language>,
}

/// Get a movie
///
/// All details of a movie. One that the catalogue does not have yet is fetched from TMDB. A movie that was last
/// fetched long ago is marked as stale, with its age in seconds in `Age`, and refreshed in the background.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}",
    tag = "movies",
    params(("id" = String, Path, description = "TMDB's id of the movie, or IMDb's as `imdb:tt0133093`", example = "603", pattern = r"^([1-9][0-9]{0,17}|imdb:tt[0-9]{7,10})$"), MovieQuery),
    responses(
        (status = 200, description = "the movie", body = MovieResponse, headers(("ETag" = String, description = "the entity tag"), ("Age" = i64, description = "seconds since the last fetch from TMDB, if the movie is stale"), ("Content-Language" = String, description = "the display language if texts are in it, else the catalogue's own"))),
        (status = 304, description = "unchanged since `If-None-Match`"),
        InvalidRequest, MovieNotFound,
    )
)]
pub(super) async fn get_movie(
    State(state): State<AppState>,
    Path(reference): Path<MovieRef>,
    accepted: AcceptLanguage,
    Query(query): Query<MovieQuery>,
) -> Result<Response, ApiError> {
    let includes = Includes::parse(query.include.as_deref().unwrap_or_default())?;
    let requested = language::display(&state, query.language.or(accepted.0));
    let served = match requested {
        Some(language) => state.hydration.get_in(&reference, language).await?,
        None => state.hydration.get(&reference).await?,
    };
    let used = served.film.language;
    let age = served
        .stale_for
        .map(|age| [(AGE, HeaderValue::from(age.num_seconds().unsigned_abs()))]);
    if includes.stats || includes.similar {
        let movie = with_others(&state, &served, includes, requested).await;
        let cache_control = [(CACHE_CONTROL, NO_CACHE)];
        let language = language::headers(&state, used);
        return Ok((age, cache_control, language, Json(movie)).into_response());
    }
    let respond = || respond(&served, includes, language::content(&state, used));
    let response = if age.is_none() && includes == Includes::default() {
        served.film.response(respond)?
    } else {
        respond()?
    };
    Ok((age, response).into_response())
}

/// Serializes a movie. The entity tag names everything that the response depends on, which is cheaper than a hash; names
/// of genres in other languages may change on their own.
fn respond(
    served: &Served,
    includes: Includes,
    language: Language,
) -> Result<CachedResponse, ApiError> {
    let movie = &served.film.movie;
    let body = serde_json::to_vec(&MovieResponse::new(served, includes));
    let body = body.map_err(ApiError::Serialization)?;
    let translation = served.film.language.map(|language| {
        let hash = short_hash(Sha256::new_with_prefix(&body), 16);
        format!("-{language}-{hash}")
    });
    let etag = format!(
        "\"{}-{}-{}-{}{}{}{}{}\"",
        movie.id,
        movie.version,
        movie.synced_at.timestamp_micros(),
        u8::from(served.stale_for.is_some()),
        u8::from(includes.credits),
        u8::from(includes.keywords),
        u8::from(includes.providers),
        translation.unwrap_or_default(),
    );
    Ok(CachedResponse {
        etag: etag.into(),
        language: language.to_string().into(),
        link: None,
        body: body.into(),
    })
}

/// The movie with the fields of other services, null if they are unavailable.
async fn with_others(
    state: &AppState,
    served: &Served,
    includes: Includes,
    language: Option<Language>,
) -> MovieResponse {
    let id = served.film.movie.id;
    let stats = async {
        let call = includes.stats.then(|| state.platform.stats([id]));
        Some(available("stats", call?.await).and_then(|mut stats| stats.remove(&id)))
    };
    let similar = async {
        let call = includes
            .similar
            .then(|| state.platform.similar(id, language));
        Some(available("similar", call?.await))
    };
    let (stats, similar) = tokio::join!(stats, similar);
    MovieResponse {
        stats,
        similar,
        ..MovieResponse::new(served, includes)
    }
}

/// The watch providers of a movie.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProvidersResponse {
    /// TMDB's id of the movie.
    movie_id: MovieId,
    /// The offers by region, type and TMDB's display priority.
    providers: Vec<Provider>,
    /// The source of the data, which must be attributed.
    #[schema(example = "JustWatch")]
    attribution: &'static str,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ProvidersQuery {
    /// The region, ISO 3166-1; all regions by default.
    #[param(example = "KR", pattern = r"^[A-Za-z]{2}$")]
    region: Option<String>,
}

/// List watch providers
///
/// The watch providers of a movie by region, with the types of their offers.
#[utoipa::path(
    get,
    path = "/api/v1/movies/{id}/providers",
    tag = "movies",
    params(("id" = String, Path, description = "TMDB's id of the movie, or IMDb's as `imdb:tt0133093`", example = "603", pattern = r"^([1-9][0-9]{0,17}|imdb:tt[0-9]{7,10})$"), ProvidersQuery),
    responses(
        (status = 200, description = "the providers, perhaps none", body = ProvidersResponse),
        (status = 304, description = "unchanged since `If-None-Match`"),
        InvalidRequest, MovieNotFound,
    )
)]
pub(super) async fn list_providers(
    State(state): State<AppState>,
    Path(reference): Path<MovieRef>,
    Query(query): Query<ProvidersQuery>,
) -> Result<Json<ProvidersResponse>, ApiError> {
    let mut check = Validator::default();
    let region = filter::region(&mut check, query.region.as_deref());
    let region = check.finish(region).map_err(ApiError::Invalid)?;
    let served = state.hydration.get(&reference).await?;
    let movie = &served.film.movie;
    let mut providers = movie.providers.0.clone();
    providers.retain(|offer| region.as_ref().is_none_or(|region| offer.region == *region));
    Ok(Json(ProvidersResponse {
        movie_id: movie.id,
        providers,
        attribution: "JustWatch",
    }))
}
